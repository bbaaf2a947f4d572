"""Starting points of the sampler: the contract, and uniform noise."""

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor

from energy_at.generation.fitted import ClassTable, Fitted, check_data, class_table
from energy_at.generation.noise import START, uniform
from energy_at.types import Images, Labels, require


class ClassInit(Fitted, ABC):
    """A class-conditional sampler of starting points: ``init.fit(images, labels).sample(labels, seeds)``.

    A sample is a function of (fit, label, seed) alone, up to floating point rounding.
    """

    def fit(self, images: Images, labels: Labels) -> Self:
        """Fit to a data set.

        Args:
            images: [N, C, H, W] in [0, 1].
            labels: [N], each class of 0..K-1 at least once.

        Raises:
            InputError: if the data are of another form, or a class has too few images.
        """
        check_data(images, labels)
        labels = labels.to(images.device, torch.int64)
        table = self.table(labels)
        shape = torch.tensor(images.shape[1:])
        with torch.no_grad():
            fitted = self.fit_classes(images.detach(), table)
        self._tensors = {"shape": shape, "firsts": table.firsts, "counts": table.counts, **fitted}
        return self

    def table(self, labels: Labels) -> ClassTable:
        """The classes, each with as many images as this kind of start needs."""
        return class_table(labels)

    @torch.no_grad()
    def sample(self, labels: Labels, seeds: Tensor) -> Images:
        """Draw starting points.

        Args:
            labels: [n], of the fitted classes.
            seeds: [n], one integer a sample, see ``sample_seeds``.

        Returns:
            x0, [n, C, H, W] in [0, 1], on the fit's device.

        Raises:
            InputError: before fit or load, or if a label has no class.
        """
        labels, seeds = self.check_request(labels, seeds)
        return self.draw(labels, seeds).view(len(labels), *self["shape"].tolist()).clamp_(0, 1)

    @abstractmethod
    def fit_classes(self, images: Images, table: ClassTable) -> dict[str, Tensor]:
        """The fitted tensors, from images [N, C, H, W]."""

    @abstractmethod
    def draw(self, labels: Labels, seeds: Tensor) -> Tensor:
        """Starting points as rows [n, D], before they are clipped."""


class UniformInit(ClassInit):
    """x0 ~ U[0, 1) in every pixel, whatever the class."""

    def fit_classes(self, images: Images, table: ClassTable) -> dict[str, Tensor]:
        """Nothing but the images' shape matters."""
        return {}

    def draw(self, labels: Labels, seeds: Tensor) -> Tensor:
        """See ``ClassInit``."""
        return uniform(seeds, START, (int(self["shape"].prod()),))


def fit_to_training(init: ClassInit, data: Any, most: int | None, device: torch.device) -> None:
    """Fit starting points to the training images of the data module that a training runs on.

    Args:
        init: is fitted in place.
        data: an ``ImageData``.
        most: images at the most, a random subset; None for all.
        device: where samples are made.

    Raises:
        InputError: if it is another data module.
    """
    require(
        hasattr(data, "batches"),
        f"{type(init).__name__} is fitted to the images of an ImageData, and this training has none; leave it out",
    )
    count = None if most is None or most >= len(data.labels("train")) else most
    images, labels = zip(*data.batches("train", count), strict=True)
    init.fit(torch.cat(images).to(device).float().div_(255), torch.cat(labels).to(device))

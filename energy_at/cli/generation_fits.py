"""What ``energy-at generate`` fits to the training images, once, and keeps in a folder."""

from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from energy_at.data.base import ImageData
from energy_at.evaluation.store import digest, net_sha256, settings
from energy_at.generation import ClassInit, EnergyTargets, LocalPCA
from energy_at.generation.quality.features import Features, Penultimate, extract, kept_features
from energy_at.generation.run import Recipe
from energy_at.types import Images, InputError, Labels, require

MOST_GIGABYTES = 16


class TrainingImages:
    """The training images, and what was fitted to them.

    Args:
        data: the data set.
        count: how many of its training images, a random subset that every class shares in; None means all.
        folder: of the fits, whose names tell data, options and nets.
        device: where to compute.
    """

    def __init__(self, data: ImageData, count: int | None, folder: Path, device: torch.device) -> None:
        self.data, self.count, self.folder, self.device = data, count, folder, device

    @cached_property
    def bytes(self) -> tuple[Tensor, Labels]:
        """All images, uint8 [N, C, H, W], and labels [N].

        Raises:
            InputError: if they do not fit in memory, or there are fewer than asked for.
        """
        batches = self.data.batches("train", self.count)
        gigabytes = sum(batches.sampler.sizes) * prod(self.data.image_shape) / 1e9
        require(
            gigabytes <= MOST_GIGABYTES,
            f"the training images take {gigabytes:.0f} GB decoded, more than {MOST_GIGABYTES}; give train_count,"
            " a number of them to fit to and to compare with",
        )
        images, labels = zip(*batches, strict=True)
        return torch.cat(images), torch.cat(labels)

    @cached_property
    def sha256(self) -> str:
        """Of images and labels."""
        return digest(*self.bytes)

    def recipe(self, recipe: Recipe, net_neighbours: bool, targets: bool) -> tuple[Recipe, dict[str, Any]]:
        """Fit what a recipe needs; with it comes everything that decides its samples, as plain values.

        Args:
            recipe: with unfitted starting points, without targets.
            net_neighbours: whether ``LocalPCA`` looks for neighbours in the net's features.
            targets: whether samples stop at energies of training images.

        Raises:
            InputError: if the fits cannot be made; the message names what is wrong.
        """
        setting = {
            "net_sha256": net_sha256(recipe.net),
            "init": self.fit_init(recipe.init, recipe.net, net_neighbours),
            "sampler": settings(recipe.sampler),
            "targets": self.sha256 if targets else None,
            "classes": list(recipe.classes),
            "seed": recipe.seed,
        }
        return recipe._replace(targets=self.fit_targets(recipe.net) if targets else None), setting

    def fit_init(self, init: ClassInit, net: nn.Module, net_neighbours: bool) -> dict[str, Any]:
        """Fit the starting points; returns what they depend on.

        Args:
            init: is fitted in place.
            net: in whose features ``LocalPCA`` looks for neighbours, if it is to.
            net_neighbours: whether it is to.

        Raises:
            InputError: if the starting points have no neighbours, or a class has too few images.
        """
        facts = {"class": type(init).__name__, **{name: getattr(init, name) for name in init.option_names}}
        facts["fitted_to"] = self.sha256
        if net_neighbours:
            if not isinstance(init, LocalPCA):
                raise InputError(f"net_neighbours is for LocalPCA, but init is {facts['class']}; leave one of them out")
            seen = Penultimate(net)
            init.features = lambda images: seen(images.to(self.device))[0].to(images.device)
            facts["neighbours_in"] = net_sha256(net)
        unfitted = set(init.option_names) - set(init.fit_options)
        key = digest({name: value for name, value in facts.items() if name not in unfitted})
        path = self.folder / f"{facts['class']}-{key[:16]}.pt"
        init.reuse(path, lambda: init.fit(*self._floats())).to(self.device)
        return facts

    def fit_targets(self, net: nn.Module) -> EnergyTargets:
        """Energies of the training images under a net."""
        targets, key = EnergyTargets(), digest(net_sha256(net), self.sha256)
        path = self.folder / f"EnergyTargets-{key[:16]}.pt"
        return targets.reuse(path, lambda: targets.fit(net, *self._floats())).to(self.device)

    def features(self, net: nn.Module) -> Features:
        """What a network sees in the images.

        Args:
            net: gives vectors and logits, see ``feature_net``.
        """
        path = self.folder / f"features-{digest(net_sha256(net), self.sha256)[:16]}.npz"
        images, labels = self.bytes
        batches = zip(images.split(200), labels.split(200), strict=True)
        return kept_features(path, lambda: extract(net, batches, self.device))

    def _floats(self) -> tuple[Images, Labels]:
        images, labels = self.bytes
        return images.float().div_(255), labels

"""A user's own augmentation, of one image at a time, repeated by a resumed run."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import get_worker_info

from energy_at.data.sampling import generator
from energy_at.types import InputError, can_be_called, kind_of, require

Transform: TypeAlias = Callable[[Tensor], Tensor]

ELSEWHERE = {  # what is none of a transform's business
    **dict.fromkeys(("Normalize", "ToTensor"), "but the net normalises and images are tensors: leave it out"),
    **dict.fromkeys(("CutMix", "MixUp"), "which mixes whole batches: give it as data.mix"),
}


def check_transform(transform: object) -> None:
    """Refuse what cannot transform an image.

    Raises:
        InputError: if ``transform`` is neither None nor an instance that can be called, or does what is done elsewhere.
    """
    check_callable("transform", transform, "torchvision.transforms.v2.TrivialAugmentWide()")
    for part in getattr(transform, "transforms", [transform]):
        name = type(part).__name__
        require(name not in ELSEWHERE, f"transform has {name}, {ELSEWHERE.get(name)}")


def check_callable(name: str, value: object, example: str) -> None:
    """Refuse what can neither be called nor left out.

    Raises:
        InputError: if the argument ``name`` is neither None nor an instance that can be called.
    """
    works = value is None or can_be_called(value)
    require(works, f"{name} is {kind_of(value)}; give an instance such as {example}")


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """The CPU's random numbers, of torch, numpy and Python, from this seed; afterwards from where they were."""
    # a worker process draws nothing else
    with nullcontext() if get_worker_info() else isolate_rng(include_cuda=False):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        yield


def seeded(transform: Transform | None, seed: int, num_workers: int) -> "SeededTransform | None":
    """The transform with its random numbers, for so many worker processes.

    Args:
        transform: of one image; None for none.
        seed: of the run.
        num_workers: processes that apply it.

    Raises:
        InputError: if there are worker processes, and it cannot be sent to them.
    """
    try:
        pickle.dumps(transform if num_workers else None)
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # whichever, by the version of Python
        told = f"the transform cannot be sent to worker processes ({error}); make it a class of a module, or give"
        raise InputError(f"{told} num_workers: 0") from error
    return None if transform is None else SeededTransform(transform, seed)


@dataclass(frozen=True)
class SeededTransform:
    """Applies a transform whose randomness (of torch, numpy and Python) depends on (seed, epoch, image) alone.

    Args:
        transform: of one image, uint8 ``[C, H, W]``, into one of the same kind.
        seed: of the run.
    """

    transform: Transform
    seed: int

    def __call__(self, image: Tensor, index: int, epoch: int) -> Tensor:
        """The transformed image, uint8 ``[C, H, W]``.

        Args:
            image: uint8 ``[C, H, W]``; not changed.
            index: of the image in its data set.
            epoch: of the training.

        Raises:
            InputError: if the transform gives anything else than such an image.
        """
        drawn = int(generator(self.seed, epoch, 1 + index, 1).integers(2**32))
        with drawing_from(drawn):
            made = self.transform(image.clone())
        require(
            isinstance(made, Tensor) and made.dtype == image.dtype and made.shape == image.shape,
            f"the transform makes {kind_of(made)} of an image of {kind_of(image)}; let it keep type and size, since "
            "images are scaled and normalised later",
        )
        return made


@dataclass(frozen=True)
class ReadArray:
    """Transforms one image in memory, in a worker process.

    Args:
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``.
        transform: of each image.
    """

    images: Tensor
    labels: Tensor
    transform: SeededTransform

    def __call__(self, index: int, epoch: int) -> tuple[Tensor, int]:
        """The transformed image, uint8 ``[C, H, W]``, and its label."""
        return self.transform(self.images[index], index, epoch), int(self.labels[index])

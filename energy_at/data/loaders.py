"""Loaders that resume in mid-epoch: over arrays in memory, and over files read by worker processes.

They are plain iterables. Lightning calls ``sampler.set_epoch``, saves and restores ``state_dict``, and leaves
everything else, sharding included, to the sampler.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from energy_at.data.augment import draw_crop_flip
from energy_at.data.cutout import draw_centres
from energy_at.data.mixing import mixing_seed
from energy_at.data.sampling import Batches, Sampler, TrainBatches, generator
from energy_at.data.transform import ReadArray, SeededTransform
from energy_at.types import InputError


class Loader(ABC, Generic[Sampler]):
    """Iterates over a sampler's batches and remembers how far it came.

    Args:
        sampler: decides which images make up each batch.
    """

    batch_sampler = None  # Lightning asks every loader that has a sampler for this one too

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.mixes = False  # each training batch ends with the seed that it is mixed by on its device
        self._at = (0, 0)
        self._restored = False

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        """The epoch's batches; only those that remain when the epoch was restored from a checkpoint."""
        epoch = self.sampler.epoch
        start = self._at[1] if self._restored and self._at[0] == epoch else 0
        self._restored = False
        for step, batch in enumerate(self.batches(start), start):
            # counted before it is handed out: a checkpoint is written while the loop holds the batch
            self._at = (epoch, step + 1)
            yield (*batch, self._mixing_seed(step)) if self.mixes else batch

    def state_dict(self) -> dict[str, int]:
        """The epoch and the number of its batches already handed out."""
        return {"epoch": self._at[0], "step": self._at[1]}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue where ``state_dict`` was taken (the same batch size and number of processes assumed)."""
        self._at = (state["epoch"], state["step"])
        self._restored = True

    def _mixing_seed(self, step: int) -> int:
        sampler: Any = self.sampler
        return mixing_seed(sampler.seed, sampler.epoch, step, sampler.rank)

    @abstractmethod
    def batches(self, start: int) -> Iterator[tuple[Tensor, ...]]:
        """The epoch's batches from step ``start`` on."""


class MemoryLoader(Loader[Sampler]):
    """Gathers whole batches from arrays in memory, with the crops and flips to be applied on the device.

    Args:
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``.
        sampler: decides which images make up each batch.
        padding: pixels by which training crops are shifted at most; ``None`` leaves the images alone.
        flip: whether half of the crops are mirrored.
        cutout: whether a square is cut out of each crop, whose centre is drawn here.
        transform: of each image before it is cropped.
        num_workers: processes that transform ahead; 0 transforms in this process.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        sampler: Sampler,
        padding: int | None = None,
        flip: bool = False,
        cutout: bool = False,
        transform: SeededTransform | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(sampler)
        self.images, self.labels = images, labels
        self.padding, self.flip, self.cutout = padding, flip, cutout
        self._pinned = torch.cuda.is_available()
        read = None if transform is None else ReadArray(images, labels, transform)
        self._transformed = None if read is None else FileLoader(read, sampler, num_workers)

    def batches(self, start: int) -> Iterator[tuple[Tensor, ...]]:
        """See ``Loader``."""
        gathered = self._gathered(start) if self._transformed is None else self._transformed.batches(start)
        for step, images_and_labels in enumerate(gathered, start):
            batch = (*images_and_labels, *self._augmentation(step))
            yield tuple(tensor.pin_memory() for tensor in batch) if self._pinned else batch

    def _gathered(self, start: int) -> Iterator[tuple[Tensor, ...]]:
        for indices in self.sampler.batches(start):
            index = torch.from_numpy(np.ascontiguousarray(indices))
            yield self.images.index_select(0, index), self.labels[index]

    def _augmentation(self, step: int) -> tuple[Tensor, ...]:
        sampler = self.sampler
        if self.padding is None or not isinstance(sampler, TrainBatches):
            return ()
        # drawn for the global batch, so that an image's crop does not depend on the number of processes
        rng = generator(sampler.seed, sampler.epoch, 1 + step)
        drawn: tuple[Tensor, ...] = draw_crop_flip(rng, sampler.global_batch, self.padding, self.flip)
        if self.cutout:
            drawn += (draw_centres(rng, sampler.global_batch, *self.images.shape[2:]),)
        return tuple(sampler.shard(values) for values in drawn)


def worker_count(num_workers: int | None, most: int) -> int:
    """Worker processes of a loader: as many as were asked for, else one for each core that there is, up to ``most``."""
    if num_workers is not None:
        return num_workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(most, cores)


class FileLoader(Loader[Sampler]):
    """Batches of image files, decoded ahead by worker processes.

    Args:
        read: turns ``(index, epoch)`` into an image, uint8 ``[C, H, W]``, and its label; picklable.
        sampler: decides which images make up each batch.
        num_workers: worker processes; 0 decodes in this process.
    """

    def __init__(self, read: Callable[[int, int], tuple[Tensor, int]], sampler: Sampler, num_workers: int) -> None:
        super().__init__(sampler)
        self._keys = _Keys(sampler)
        self._loader = DataLoader(
            _Files(read),
            batch_sampler=self._keys,
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            prefetch_factor=4 if num_workers > 0 else None,
            generator=torch.Generator(),  # or each epoch would draw from everybody's
        )

    def batches(self, start: int) -> Iterator[tuple[Tensor, ...]]:
        """See ``Loader``."""
        self._keys.start = start
        try:
            yield from self._loader
        except InputError as error:  # of which a worker's comes with all of its traceback
            raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error


class _Keys:
    """What workers are asked for: the epoch travels with each index, because they outlive it."""

    def __init__(self, sampler: Batches) -> None:
        self.sampler = sampler
        self.start = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.sampler.epoch
        for indices in self.sampler.batches(self.start):
            yield [(int(index), epoch) for index in indices]


class _Files(Dataset[Any]):
    def __init__(self, read: Callable[[int, int], tuple[Tensor, int]]) -> None:
        self.read = read

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return self.read(*key)

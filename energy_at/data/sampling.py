"""Which images each process sees at each step: a function of (seed, epoch, step) alone, the same for any world size."""

from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import numpy as np
from torch import Tensor

from energy_at.types import require

SPLIT_SEED = 0

Rows = TypeVar("Rows", np.ndarray, Tensor)


def generator(seed: int, *key: int) -> np.random.Generator:
    """The random stream that belongs to ``(seed, *key)``.

    Args:
        seed: the run's seed, not negative.
        key: what the stream is for. ``(epoch, 0)`` orders an epoch and ``(epoch, 1 + i)`` augments step or image i:
            keys that differ only by trailing zeros would share one stream.
    """
    return np.random.default_rng([seed, *key])


def held_out(labels: np.ndarray, count: int, seed: int = SPLIT_SEED) -> tuple[np.ndarray, np.ndarray]:
    """Split indices into those kept and ``count`` held-out ones, each class giving its share (to within one image).

    Args:
        labels: int ``[N]``.
        count: number of held-out images, 0 to N.
        seed: of the random choice. The default is fixed, so that runs with different seeds share one split.

    Returns:
        Sorted indices ``[N - count]`` and ``[count]``.
    """
    ranked = evenly(labels, seed)
    return np.sort(ranked[count:]), np.sort(ranked[:count])


def evenly(labels: np.ndarray, seed: int = SPLIT_SEED) -> np.ndarray:
    """Indices ``[N]`` in a random order of which every beginning has each class's share, to within one image.

    Args:
        labels: int ``[N]``.
        seed: of the order.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.unique(labels, return_counts=True)[1]
    within = np.concatenate([np.empty(0), *((np.arange(size) + 0.5) / size for size in sizes)])
    return by_class[np.argsort(within, kind="stable")]


class TrainBatches:
    """Shuffled batches without a last partial one; rank r of R takes every R-th image of the global batch.

    So R processes with batches of b see at each step exactly the images that one process with batches of R b sees.

    Args:
        count: number of training images.
        batch_size: images per process and step.
        seed: of the shuffling.
        rank: this process, 0 to world_size - 1.
        world_size: number of processes.
        extra: number of extra images, indexed from ``count`` on.
        extra_fraction: share of extra images in each global batch (rounded to whole images). The epoch stays
            ``count // (world_size * batch_size)`` steps long.
        repeat: whether every epoch repeats the first, as Lightning's ``overfit_batches`` needs.

    Raises:
        InputError: if there are fewer images than one global batch.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        extra: int = 0,
        extra_fraction: float = 0.0,
        repeat: bool = False,
    ) -> None:
        self.global_batch = batch_size * world_size
        require(
            count >= self.global_batch,
            f"{count} training images do not fill one batch of {self.global_batch}; lower batch_size or val_size",
        )
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        self.extra = extra
        self.extra_per_step = round(extra_fraction * self.global_batch) if extra else 0
        self.epoch, self.repeat = 0, repeat

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows."""
        self.epoch = 0 if self.repeat else epoch

    def __len__(self) -> int:
        """Steps per epoch, the same on every rank."""
        return self.count // self.global_batch

    def batches(self, start: int = 0) -> Iterator[np.ndarray]:
        """This rank's indices, int ``[batch_size]``, for every step of the epoch from ``start`` on."""
        for indices in self._global_order()[start:]:
            yield self.shard(indices)

    def shard(self, values: Rows) -> Rows:
        """This rank's part of rows (array or tensor) given for the global batch."""
        return values[self.rank :: self.world_size]

    def _global_order(self) -> np.ndarray:
        rng = generator(self.seed, self.epoch, 0)
        steps, own = len(self), self.global_batch - self.extra_per_step
        order = rng.permutation(self.count)[: steps * own].reshape(steps, own)
        if not self.extra_per_step:
            return order
        extra = self.count + rng.integers(0, self.extra, size=(steps, self.extra_per_step))
        return np.concatenate([order, extra], axis=1)


class EvalBatches:
    """Batches in order, each image exactly once over all ranks, and equally many batches on every rank.

    Ranks with different numbers of batches would wait for one another forever in DistributedDataParallel, and a rank
    without images would report not-a-number: the last images are spread evenly, and too few to go round join the
    batch before.

    Args:
        count: number of images, at least ``world_size``.
        batch_size: images per process and step.
        rank: this process, 0 to world_size - 1.
        world_size: number of processes.

    Raises:
        InputError: if there are fewer images than processes.
    """

    epoch = 0  # evaluation is the same in every epoch

    def __init__(self, count: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        require(count >= world_size, f"{count} images cannot be shared by {world_size} processes; use fewer devices")
        self.rank, self.world_size = rank, world_size
        self.bounds = list(range(0, count, batch_size * world_size))
        if len(self.bounds) > 1 and count - self.bounds[-1] < world_size:
            self.bounds.pop()
        self.bounds.append(count)

    def __len__(self) -> int:
        """Number of batches, the same on every rank."""
        return len(self.bounds) - 1

    def batches(self, start: int = 0) -> Iterator[np.ndarray]:
        """This rank's indices for every batch from ``start`` on."""
        for low, high in zip(self.bounds[start:-1], self.bounds[start + 1 :], strict=True):
            yield np.arange(low, high)[self.rank :: self.world_size]


class ChosenBatches:
    """Batches of these images, in this order, whole on every process.

    Args:
        chosen: int ``[N]``, places in the data.
        batch_size: images a batch.
    """

    epoch = 0

    def __init__(self, chosen: np.ndarray, batch_size: int) -> None:
        self.chosen, self.batch_size = chosen, batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.chosen) // self.batch_size)

    @property
    def sizes(self) -> list[int]:
        """Images in each batch."""
        return [len(batch) for batch in self.batches()]

    def batches(self, start: int = 0) -> Iterator[np.ndarray]:
        """The indices of every batch from ``start`` on."""
        for low in range(start * self.batch_size, len(self.chosen), self.batch_size):
            yield self.chosen[low : low + self.batch_size]


Batches: TypeAlias = TrainBatches | EvalBatches | ChosenBatches
Sampler = TypeVar("Sampler", bound=Batches)
Unshuffled = TypeVar("Unshuffled", bound=EvalBatches | ChosenBatches)

"""A run of any number of samples, kept on disk batch by batch."""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor, nn

from energy_at.generation.batch_files import Batch, BatchFiles
from energy_at.generation.batches import sample_batch
from energy_at.generation.chain import Chain, to_bytes
from energy_at.generation.langevin import Callback, LangevinSampler, Samples
from energy_at.generation.noise import sample_seeds
from energy_at.generation.starts import ClassInit
from energy_at.generation.targets import EnergyTargets
from energy_at.types import Labels

PICTURED = 10  # samples of each class whose chains are pictured

OnBatch = Callable[[int], object]


class Recipe(NamedTuple):
    """What makes the samples of a run.

    Args:
        net: maps images in [0, 1] to logits.
        init: fitted starting points.
        sampler: takes them to low energy.
        targets: fitted energies at which samples stop; None means that all take every step.
        classes: sample i is of the class at place i modulo their number.
        seed: of the run.
    """

    net: nn.Module
    init: ClassInit
    sampler: LangevinSampler
    targets: EnergyTargets | None
    classes: Sequence[int]
    seed: int = 0

    def labels(self, index: Tensor) -> Labels:
        """The classes of the samples of these indices."""
        return torch.tensor(self.classes)[index % len(self.classes)]

    def sample(self, index: Tensor, callback: Callback | None = None) -> Samples:
        """The samples of these indices: a function of each index, up to the rounding of the net."""
        seeds = sample_seeds(self.seed, index)
        return sample_batch(self.net, self.init, self.sampler, self.labels(index), seeds, self.targets, callback)

    def batch(self, index: Tensor) -> Batch:
        """The same as they are kept, with their energies along the chain."""
        y, pictured = self.labels(index), (index < PICTURED * len(self.classes)).nonzero()[:, 0]
        chain = Chain(len(index), self.sampler.steps, pictured)
        x, energies, steps = self.sample(index, chain)
        target = torch.full((len(index),), -inf)
        if self.targets is not None:
            target = self.targets.sample(y, sample_seeds(self.seed, index))
        return Batch(index, to_bytes(x), y, energies, target, steps, chain.energies, pictured, chain.stages())


def run(
    recipe: Recipe,
    files: BatchFiles,
    n: int,
    batch_size: int = 100,
    shard: tuple[int, int] = (0, 1),
    on_batch: OnBatch | None = None,
) -> None:
    """Make those of this process's samples that are not on disk yet; no more than a batch is in memory at once.

    Args:
        recipe: of the samples.
        files: where they are kept.
        n: samples of the run, all processes together.
        batch_size: samples at a time.
        shard: (rank, processes); a sample is the same whoever makes it.
        on_batch: called with the number of samples after each batch.

    Raises:
        InputError: if a value is out of its range, or the energies do not stay finite.
    """
    for index in files.missing(n, batch_size, shard):
        files.keep(recipe.batch(index))
        if on_batch:
            on_batch(len(index))

"""What is kept of the way from the starting points to the samples."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from energy_at.generation.langevin import Step
from energy_at.types import Images


class Chain:
    """A sampler's callback that keeps the energies of a batch, and the images of some of its samples.

    Args:
        count: n, samples in the batch.
        steps: the most that a sample takes.
        pictured: [p], places in the batch of the samples whose images are kept.
    """

    def __init__(self, count: int, steps: int, pictured: Tensor) -> None:
        self.energies = torch.full((count, steps + 1), float("nan"))
        self.pictured = pictured
        self._slots = torch.full((count,), -1)
        self._slots[pictured] = torch.arange(len(pictured))
        self._frames: list[tuple[Tensor, Tensor]] = []

    def __call__(self, step: Step) -> None:
        """See ``LangevinSampler.__call__``."""
        rows = step.rows.cpu()
        self.energies[rows, step.step] = step.energies.float().cpu()
        slots = self._slots[rows]
        self._frames.append((slots[slots >= 0], to_bytes(step.x[slots >= 0])))

    def stages(self) -> Tensor:
        """Start, middle and end of the pictured samples' own chains, uint8 [p, 3, C, H, W]."""
        ends = (~self.energies[self.pictured].isnan()).sum(1) - 1
        starts = self._frames[0][1]
        stages = starts.new_empty(len(ends), 3, *starts.shape[1:])
        for slot, end in enumerate(ends.tolist()):
            for stage, step in enumerate((0, end // 2, end)):
                stages[slot, stage] = self._frame(slot, step)
        return stages

    def _frame(self, slot: int, step: int) -> Tensor:
        slots, frames = self._frames[step]
        return frames[slots == slot][0]


class Snapshots:
    """A sampler's callback that gives the images as they would be with fewer steps.

    Args:
        at: numbers of steps, the largest no more than the sampler's.
    """

    def __init__(self, at: Sequence[int]) -> None:
        self.at = set(at)
        self._now: Tensor | None = None
        self._kept: dict[int, Images] = {}

    def __call__(self, step: Step) -> None:
        """See ``LangevinSampler.__call__``."""
        if self._now is None:
            self._now = step.x.clone()
        self._now[step.rows] = step.x
        if step.step in self.at:
            self._kept[step.step] = self._now.clone()

    def images(self) -> dict[int, Images]:
        """The batch [n, C, H, W] after each of these numbers of steps, finished samples as they are."""
        last = {} if self._now is None else dict.fromkeys(self.at, self._now)
        return {steps: (last | self._kept)[steps] for steps in sorted(self.at)}


class Along(NamedTuple):
    """Energies of many samples along their chains; a finished sample keeps its last one.

    Args:
        moving: [T + 1], how many samples the net saw after that many steps.
        mean: [T + 1], of E(x, y).
        low, middle, high: [T + 1], its deciles 1, 5 and 9.
    """

    moving: Tensor
    mean: Tensor
    low: Tensor
    middle: Tensor
    high: Tensor


def along(energies: Tensor) -> Along:
    """Summarise chains, step by step.

    Args:
        energies: [n, T + 1], not-a-number after a chain's end.
    """
    last = (~energies.isnan()).sum(1, keepdim=True) - 1
    places = torch.arange(energies.shape[1]).minimum(last)
    frozen = energies.gather(1, places).double()
    deciles = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    low, middle, high = torch.stack([step.quantile(deciles) for step in frozen.T], dim=1)
    return Along((~energies.isnan()).sum(0), frozen.mean(0), low, middle, high)


def to_bytes(images: Images) -> Tensor:
    """Images in [0, 1] as uint8, on the CPU, each value to the nearest of the 256."""
    return images.mul(255).round_().to("cpu", torch.uint8)

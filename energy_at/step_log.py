"""Numbers of every step, handed to Lightning only where they are written."""

from typing import Any, TypeAlias

import torch
from torch import Tensor

Means: TypeAlias = dict[str, tuple[Tensor, int]]


class StepLog:
    """Keeps each step's numbers until they are due: Lightning's ``log`` takes as long as a pass of a small net."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[list[Tensor], list[int]]] = {}

    def add(self, name: str, value: Tensor, count: int) -> None:
        """A mean over ``count`` images; nothing is computed yet."""
        values, counts = self._kept.setdefault(name, ([], []))
        values.append(value.detach())
        counts.append(count)

    def take(self) -> Means:
        """Mean over all images since the last call, and their number, by name."""
        means = {name: (_mean(values, counts), sum(counts)) for name, (values, counts) in self._kept.items()}
        self._kept.clear()
        return means

    def forget(self) -> None:
        """Drop what an epoch that broke off has left."""
        self._kept.clear()


def due(trainer: Any) -> bool:
    """Whether loggers write after the training step that a trainer is in, or no step of the epoch comes after it."""
    steps = trainer.global_step + 1
    ends = trainer.is_last_batch or steps == trainer.max_steps or trainer.should_stop
    return bool(ends or trainer.fast_dev_run or steps % max(1, trainer.log_every_n_steps) == 0)


def _mean(values: list[Tensor], counts: list[int]) -> Tensor:
    if len(set(counts)) == 1:
        return torch.stack(values).mean()
    shares = [count / sum(counts) for count in counts]  # Python numbers: a tensor of them would be copied to the device
    return torch.stack([share * value for share, value in zip(shares, values, strict=True)]).sum()

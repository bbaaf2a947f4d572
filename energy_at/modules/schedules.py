"""Learning-rate schedules, per step: each turns an optimizer and the number of steps into a torch scheduler.

The optimizer's lr is the highest one. Positions are fractions of the training, so that a schedule keeps its shape when
max_epochs changes: a drop at epoch 100 of 200 is ``100/200``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from energy_at.describe import Described
from energy_at.types import Ratio, RatioLike, require


class Schedule(Described, ABC):
    """``schedule(optimizer, total_steps)`` gives the scheduler; most state a factor in [0, 1] over the training."""

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """A scheduler that is stepped after every optimizer step."""
        return _FactorLR(optimizer, lambda step: self.factor(step / max(1, total_steps)))

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Share of the optimizer's lr at this fraction of the training, 0 at its first step."""


class Cyclic(Schedule):
    """Triangle: 0 at the start, 1 at ``peak``, 0 at the end (arXiv 2001.03994, published code).

    Args:
        peak: fraction of the training at which the lr is highest, in (0, 1).

    Raises:
        InputError: if peak is outside (0, 1).
    """

    def __init__(self, peak: RatioLike = 0.5) -> None:
        self.peak = Ratio(peak)
        require(0 < self.peak < 1, f"peak is {peak}, but it is a fraction of the training; write for example peak: 0.5")

    def factor(self, progress: float) -> float:
        """See ``Schedule``."""
        return min(progress / self.peak, (1 - progress) / (1 - self.peak))


class Piecewise(Schedule):
    """Multiplied by ``gamma`` at each drop (arXiv 2002.11569: drops at 100 and 150 of 200 epochs).

    Args:
        drops: fractions of the training, each in (0, 1); "100/200" is read too.
        gamma: factor at each drop, in (0, 1].

    Raises:
        InputError: if a drop or gamma is out of its range.
    """

    def __init__(self, drops: Sequence[RatioLike] = (0.5, 0.75), gamma: float = 0.1) -> None:
        self.drops = [Ratio(drop) for drop in drops]
        self.gamma = gamma
        for drop in self.drops:
            require(0 < drop < 1, f"a drop is at {drop}, but it is a fraction of the training; write 100/200")
        require(0 < gamma <= 1, f"gamma is {gamma}, but a drop multiplies by a value in (0, 1]; write gamma: 0.1")

    def factor(self, progress: float) -> float:
        """See ``Schedule``."""
        # a drop at 2/3 of 30 steps is due at step 20, whatever 20/30 rounds to
        return self.gamma ** sum(progress >= drop - 1e-9 for drop in self.drops)


class Cosine(Schedule):
    """Linear warm-up, then half a cosine down to 0 (arXiv 1608.03983, eq. 5, without restarts).

    Args:
        warmup: fraction of the training spent on the linear rise, in [0, 1).

    Raises:
        InputError: if warmup is outside [0, 1).
    """

    def __init__(self, warmup: RatioLike = 0.0) -> None:
        self.warmup = Ratio(warmup)
        require(0 <= self.warmup < 1, f"warmup is {warmup}, but it is a fraction of the training; write warmup: 0.05")

    def factor(self, progress: float) -> float:
        """See ``Schedule``."""
        if progress < self.warmup:
            return progress / self.warmup
        return (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup))) / 2


class OneCycle(Schedule):
    """torch's OneCycleLR with its defaults: lr/25 up to lr, then down to lr/250,000; momentum 0.95, 0.85, 0.95.

    Args:
        pct_start: fraction of the training spent rising, in (0, 1).
        cycle_momentum: let momentum move against the learning rate, as the recipes that use it do.

    Raises:
        InputError: if pct_start is outside (0, 1).
    """

    def __init__(self, pct_start: float = 0.25, cycle_momentum: bool = True) -> None:
        require(0 < pct_start < 1, f"pct_start is {pct_start}, but it is a fraction of the training; write 0.25")
        self.pct_start = pct_start
        self.cycle_momentum = cycle_momentum

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """See ``Schedule``."""
        lrs = [group["lr"] for group in optimizer.param_groups]
        # one step more than the training has: Lightning steps once after the last update too
        return _OneCycleLR(
            optimizer, lrs, total_steps + 1, pct_start=self.pct_start, cycle_momentum=self.cycle_momentum
        )

    def factor(self, progress: float) -> float:
        """Not used: torch's scheduler states lr and momentum itself."""
        raise NotImplementedError


class _OnOwnLength(LRScheduler):
    """Of a training that goes on, perhaps with more epochs: its next step has the rate of its own length."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See torch, which would leave the rate as the shorter training had it."""
        super().load_state_dict(state_dict)
        count = self._step_count
        self.last_epoch, self._step_count = self.last_epoch - 1, count + 1  # of the first step torch warns
        self.step()
        self._step_count = count


class _FactorLR(_OnOwnLength, LambdaLR):
    pass


class _OneCycleLR(_OnOwnLength, OneCycleLR):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = ("total_steps", "_schedule_phases")
        super().load_state_dict({name: value for name, value in state_dict.items() if name not in own})

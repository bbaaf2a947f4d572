"""The alternating timer: candidates take turns, so that other load on the machine falls on all of them alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.memory import peak_memory
from benchmarks.setting import Setting
from benchmarks.watch import Lap, Watch, alone

Step = Callable[[], Any]
TRIES = 3
MOST_ROUNDS = 20


@dataclass
class Measured:
    """What one candidate took.

    Args:
        laps: one a round.
        peak: MiB that its first steps added at most, None where the system does not tell.
    """

    laps: list[Lap] = field(default_factory=list)
    peak: float | None = None

    @property
    def seconds(self) -> list[float]:
        """One value a round."""
        return [lap.seconds for lap in self.laps]

    @property
    def shortest(self) -> float:
        """Each piece as fast as it was in any round, since other load only ever adds to a time."""
        return sum(map(min, zip(*(lap.pieces for lap in self.laps), strict=True)))


@dataclass(frozen=True)
class Goal:
    """A bound on a ratio.

    Args:
        bound: the value to reach.
        least: whether the ratio has to be at least the bound, rather than at most.
    """

    bound: float
    least: bool = False

    def met(self, ratio: float) -> bool:
        """Whether this ratio reaches the bound."""
        return ratio >= self.bound if self.least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.bound}"


def alternate(
    steps: dict[str, Step], setting: Setting, number: int | None = None, wall: bool = False
) -> dict[str, Measured]:
    """Time every candidate in every round, after a warm-up in which its memory is measured.

    Args:
        steps: the candidates by name, each a function that does one step.
        setting: the device, which is waited for, and the number of rounds.
        number: steps in each timing; the setting's by default.
        wall: other processes do part of the work: wall time, and no memory.
    """
    device, number, start = setting.device, number or setting.number, time.perf_counter()
    measured = {name: Measured(peak=first(step, device, wall)) for name, step in steps.items()}
    for done in range(MOST_ROUNDS):
        if done >= setting.rounds and time.perf_counter() - start > setting.seconds:
            break
        for name, step in steps.items():
            measured[name].laps.append(quietest(step, setting, number, wall))
    return measured


def first(step: Step, device: torch.device, wall: bool) -> float | None:
    """The warm-up, and its peak memory."""
    peak = peak_memory(step, device)
    return None if wall else peak


def quietest(step: Step, setting: Setting, number: int, wall: bool) -> Lap:
    """A timing that no other program disturbed; after ``TRIES`` disturbed ones, the shortest."""
    spared = alone(setting.device) and not wall
    laps, tries = [], 1 if setting.quick or spared else TRIES
    while not laps or (not laps[-1].quiet and len(laps) < tries):
        laps.append(timed(step, setting.device, number, wall))
    return min(laps, key=lambda lap: lap.seconds)


def timed(step: Step, device: torch.device, number: int = 1, wall: bool = False) -> Lap:
    """One step, averaged over ``number`` of them."""
    watch = Watch(device, wall)
    for _ in range(number):
        step()
    lap = watch.lap()
    return Lap((lap.seconds / number,), lap.others)


def combined(*parts: tuple[Measured, float]) -> Measured:
    """What these would take one after another, each so many times; round by round."""
    laps = []
    for of_round in zip(*(measured.laps for measured, _ in parts), strict=True):
        counted = list(zip(of_round, (count for _, count in parts), strict=True))
        pieces = tuple(count * piece for lap, count in counted for piece in lap.pieces)
        laps.append(Lap(pieces, statistics.mean(lap.others for lap in of_round)))
    return Measured(laps, max((measured.peak for measured, _ in parts if measured.peak), default=None))


def constant(seconds: float, beside: Measured) -> Measured:
    """A time that is given and not measured, to be compared with one that was."""
    return Measured([Lap((seconds,), lap.others) for lap in beside.laps])


def compare(name: str, over: Measured, under: Measured, goal: Goal | None = None) -> dict[str, Any]:
    """One row: the ratio of the shortest times over / under.

    Args:
        name: what is compared with what.
        over: numerator; ours where less is better, the reference where the row says how many times faster we are.
        under: denominator.
        goal: bound on the ratio.

    Returns:
        The ratio; the quartiles of the rounds' own ratios; the goal; both peak memories in MiB, and their ratio; both
        shortest times; and the cores that other programs took on average.
    """
    ratio = over.shortest / under.shortest
    return {
        "name": name,
        "ratio": round(ratio, 3),
        "quartiles": quartiles([a / b for a, b in zip(over.seconds, under.seconds, strict=True)]),
        "goal": goal and str(goal),
        "met": goal and goal.met(ratio),
        "memory_ratio": over.peak and under.peak and round(over.peak / under.peak, 2),
        "memory_mib": [measured.peak and round(measured.peak, 1) for measured in (over, under)],
        "seconds": [round(measured.shortest, 4) for measured in (over, under)],
        "other_load": round(statistics.mean(lap.others for lap in over.laps + under.laps), 2),
        "rounds": len(over.laps),
    }


def quartiles(values: list[float]) -> list[float]:
    """The lower and the upper one."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return [round(low, 3), round(high, 3)]

"""Time that a piece of work takes, and what other programs took of the machine meanwhile."""

import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

QUIET = 0.05  # cores that other programs may take during a timing
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Lap:
    """One timing.

    Args:
        pieces: times, in seconds, of the parts that it consists of, see ``Watch``.
        others: cores that other programs kept busy on average; 0 where the system does not tell.
    """

    pieces: tuple[float, ...]
    others: float = 0.0

    @property
    def seconds(self) -> float:
        """Time of the whole."""
        return sum(self.pieces)

    @property
    def quiet(self) -> bool:
        """Whether other programs hardly ran; 20 ms are within the resolution of the system's counts."""
        return self.others * self.seconds < QUIET * self.seconds + 0.02


class Watch:
    """Starts when made; waits for the device at both ends.

    It tells wall time; or, on a CPU where one thread does all the work, processor time, which other load spares.

    Args:
        device: where the timed work runs.
        wall: tell wall time in any case, because other processes do part of the work.
    """

    def __init__(self, device: torch.device, wall: bool = False) -> None:
        self.device = device
        self._clock = time.process_time if alone(device) and not wall else time.perf_counter
        self._wait()
        self._marks = [self._clock()]
        self._start = _machine()

    def mark(self) -> None:
        """A piece ends here; not on a device that works ahead of Python, where waiting would change what is timed."""
        if self.device.type == "cpu":
            self._marks.append(self._clock())

    def lap(self) -> Lap:
        """The time since the start, in pieces."""
        self._wait()
        ends = [*self._marks, self._clock()]
        wall, busy, own = (now - then for now, then in zip(_machine(), self._start, strict=True))
        return Lap(tuple(end - start for start, end in pairwise(ends)), max(0.0, busy - own) / wall)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def alone(device: torch.device) -> bool:
    """Whether one thread does all the work."""
    return device.type == "cpu" and torch.get_num_threads() == 1


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _machine() -> tuple[float, float, float]:
    """Wall time, processor time of the whole machine, and that of this process with its children, in seconds."""
    return time.perf_counter(), _busy(), time.process_time() + _children()


def _busy() -> float:
    with suppress(OSError):
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / TICKS
    return 0.0


def _children() -> float:
    """Processor time of the processes that this one started: those that ended, and loaders' workers, which go on."""
    times = os.times()
    working = sum(_spent(child.pid) for child in multiprocessing.active_children())
    return times.children_user + times.children_system + working


def _spent(pid: int) -> float:
    with suppress(OSError):
        behind_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, behind_name[11:13])) / TICKS
    return 0.0

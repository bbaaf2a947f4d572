"""Time that a piece of work takes, and what other processes took of the machine meanwhile."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

QUIET = 0.05  # cores that other processes may take during a timing


@dataclass(frozen=True)
class Lap:
    """One timing.

    Args:
        pieces: times, in seconds, of the parts that it consists of, see ``clock``.
        others: cores that other processes kept busy on average; 0 where the system does not tell.
    """

    pieces: tuple[float, ...]
    others: float = 0.0

    @property
    def seconds(self) -> float:
        """Time of the whole."""
        return sum(self.pieces)

    @property
    def quiet(self) -> bool:
        """Whether other processes hardly ran; 20 ms are within the resolution of the system's counts."""
        return self.others * self.seconds < QUIET * self.seconds + 0.02


class Watch:
    """Starts when made; waits for the device at both ends.

    Args:
        device: where the timed work runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._wait()
        self._marks = [clock(device)]
        self._start = _machine()

    def mark(self) -> None:
        """A piece ends here; not on a device that works ahead of Python, where waiting would change what is timed."""
        if self.device.type == "cpu":
            self._marks.append(clock(self.device))

    def lap(self) -> Lap:
        """The time since the start, in pieces."""
        self._wait()
        ends = [*self._marks, clock(self.device)]
        wall, busy, own = (now - then for now, then in zip(_machine(), self._start, strict=True))
        return Lap(tuple(end - start for start, end in pairwise(ends)), max(0.0, busy - own) / wall)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def clock(device: torch.device) -> float:
    """Seconds: wall time; or, on a CPU where one thread does all the work, processor time, which other load spares."""
    return time.process_time() if alone(device) else time.perf_counter()


def alone(device: torch.device) -> bool:
    """Whether one thread does all the work."""
    return device.type == "cpu" and torch.get_num_threads() == 1


def _machine() -> tuple[float, float, float]:
    """Wall time, processor time of the whole machine, and that of this process with all its threads, in seconds."""
    return time.perf_counter(), _busy(), time.process_time()


def _busy() -> float:
    with suppress(OSError):
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0

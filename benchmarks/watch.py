"""Wall time, and what other processes took of the machine meanwhile."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

QUIET = 0.05  # cores that other processes may take during a timing


@dataclass(frozen=True)
class Lap:
    """One timing.

    Args:
        seconds: wall time.
        others: cores that other processes kept busy on average; 0 where the system does not tell.
    """

    seconds: float
    others: float

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
        self._start = _clocks()

    def lap(self) -> Lap:
        """The time since the start."""
        self._wait()
        wall, busy, own = (now - then for now, then in zip(_clocks(), self._start, strict=True))
        return Lap(wall, max(0.0, busy - own) / wall)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _clocks() -> tuple[float, float, float]:
    """Wall time, processor time of the whole machine, and that of this process with all its threads, in seconds."""
    return time.perf_counter(), _busy(), time.process_time()


def _busy() -> float:
    with suppress(OSError):
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0

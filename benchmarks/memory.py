"""Peak memory of a step."""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

MIB = 2**20


def peak_memory(step: Callable[[], Any], device: torch.device) -> float | None:
    """MiB that a step needs at most beyond what was there before: on CUDA allocated, else resident (Linux).

    It is the candidate's first step, so gradients and the optimizer's state count.
    """
    if device.type == "cuda":
        return _peak_on_cuda(step, device)
    before = _forget_peak()
    step()
    return None if before is None else _resident("VmHWM") - before


def _peak_on_cuda(step: Callable[[], Any], device: torch.device) -> float:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return (torch.cuda.max_memory_allocated(device) - before) / MIB


def _forget_peak() -> float | None:
    """Hand freed memory back, restart the system's record of the peak, and return what is resident now."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _resident("VmRSS")
    return None


def _resident(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

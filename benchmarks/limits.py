"""The machine's limits, measured like everything else: its best matrix product and its best memory copy.

The best product is that of two square matrices of the size at which this machine's threads (or its GPU) make most
FLOPs a second, in bf16 or in fp32; the best copy is that of a block too large for any cache, read and written. They say
what the machine can do at most, not what a net can: a convolution of few channels does few FLOPs for each byte that it
reads, and batch norm, activations and the attack's own arithmetic do hardly any, so their time is that of memory. The
"limit" column is therefore no goal; it is the share of the best product's speed that a whole step keeps, counting the
FLOPs of its convolutions and matrix products alone (``benchmarks.flops``). It grows with the width of the net.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from benchmarks.setting import Setting
from benchmarks.timing import Measured, Step, alternate, combined, compare, timed

SIZES = {"cpu": (256, 512, 1024, 2048), "cuda": (2048, 4096, 8192)}
FLOPS = {"cpu": 1e10, "cuda": 1e12}  # of one timing at least
BYTES = {"cpu": 2**27, "cuda": 2**30}


@dataclass(frozen=True)
class Work:
    """A step that is known to do so many FLOPs, or to move so many bytes.

    Args:
        step: does it.
        amount: FLOPs or bytes.
    """

    step: Step
    amount: float


@cache
def best_product(setting: Setting, half: bool) -> Work:
    """The matrix product, of all sizes, with most FLOPs a second."""
    dtype, sizes = torch.bfloat16 if half else torch.float32, SIZES[setting.device.type]
    return max((product(size, dtype, setting.device) for size in sizes), key=lambda work: _speed(work, setting))


def product(size: int, dtype: torch.dtype, device: torch.device) -> Work:
    """Square matrices, multiplied as often as a timing needs."""
    a, b, out = (torch.rand(size, size, device=device).to(dtype) for _ in range(3))
    flops = 2.0 * size**3
    times = max(1, round(FLOPS[device.type] / flops))

    def step() -> None:
        with _as_convolutions_round():
            for _ in range(times):
                torch.matmul(a, b, out=out)

    return Work(step, times * flops)


@cache
def best_copy(setting: Setting) -> Work:
    """From one block of memory to another, each byte read and written."""
    size = BYTES[setting.device.type]
    source, target = (torch.ones(size, dtype=torch.uint8, device=setting.device) for _ in range(2))
    return Work(lambda: target.copy_(source), 2.0 * size)


def share(took: Measured, amount: float, limit: Measured, work: Work) -> float:
    """Of the limit's speed, what a step reaches that did this amount of work."""
    return round(amount / took.shortest * limit.shortest / work.amount, 3)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Half precision against single precision, and FLOPs against bytes."""
    works = {
        "bf16": best_product(setting, half=True),
        "fp32": best_product(setting, half=False),
        "copy": best_copy(setting),
    }
    took = alternate({name: work.step for name, work in works.items()}, setting)
    unit = {name: combined((took[name], 1e9 / work.amount)) for name, work in works.items()}
    speed = {name: 1 / measured.shortest for name, measured in unit.items()}  # in GFLOP/s or GB/s
    return [
        compare(
            f"best bf16 product, {speed['bf16']:.0f} GFLOP/s / fp32, {speed['fp32']:.0f}", unit["fp32"], unit["bf16"]
        ),
        compare(f"FLOPs of that product / bytes copied, {speed['copy']:.1f} GB/s", unit["copy"], unit["bf16"]),
    ]


def _speed(work: Work, setting: Setting) -> float:
    work.step()
    return work.amount / min(timed(work.step, setting.device).seconds for _ in range(3))


@contextmanager
def _as_convolutions_round() -> Iterator[None]:
    """On CUDA, convolutions in fp32 may round their inputs to TF32 where products do not; the limit has to as well."""
    product, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = product.fp32_precision
    product.fp32_precision = convolution.fp32_precision
    try:
        yield
    finally:
        product.fp32_precision = before

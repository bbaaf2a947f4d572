"""Several processes, one a device, as Lightning Fabric starts them; on a cluster, as its scheduler has started them."""

import atexit
import subprocess
import time
from collections.abc import Sequence
from math import ceil
from typing import Any
from warnings import warn

import torch
from lightning.fabric import Fabric

from energy_at.cli.messages import plain_reasons
from energy_at.types import InputError

LAST_WORDS_S = 5.0
ECHOES = ("gloo/transport", "timeout caused pair closure")  # of the other backends there are classes of errors
ECHO = "ended, because another process has ended or does not answer; it says why, unless it hangs"


def launched(accelerator: str = "auto", devices: int | str = "auto", num_nodes: int = 1) -> Fabric:
    """Start the other processes of this command; all of them return from here.

    Args:
        accelerator: cpu, cuda or auto.
        devices: processes on each node, one a device; auto means all there are.
        num_nodes: machines, which share the folder of the results.

    Raises:
        InputError: if there are no such devices.
    """
    with plain_reasons():
        try:
            fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=num_nodes)
        except RuntimeError as error:  # of which Lightning has one a kind of device
            raise InputError(
                f"there is no device for --accelerator {accelerator} here; leave it out, or write cpu"
            ) from error
    end_with_this(fabric.strategy.launcher)
    fabric.launch()
    return fabric


def end_with_this(launcher: Any) -> None:
    """Have the processes that this one starts end when it ends, after a moment for what they still have to say.

    Lightning leaves one that hangs behind where this one fails.

    Args:
        launcher: of a strategy; one that starts no processes is left alone.
    """
    atexit.register(_end, launcher)


def _end(launcher: Any) -> None:
    until = time.monotonic() + LAST_WORDS_S
    for process in getattr(launcher, "procs", ()):
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def is_echo(error: BaseException) -> bool:
    """Whether an error says no more than that another process has ended, or does not answer."""
    return isinstance(error, torch.distributed.DistError) or any(sign in str(error) for sign in ECHOES)


def warn_of_idle(sizes: Sequence[int], fabric: Fabric) -> None:
    """Say where some processes have nothing to do, because the images are fewer batches than there are processes.

    Args:
        sizes: images of each batch; a process takes every N-th.
        fabric: of this process.
    """
    batches = len(sizes)
    if batches < fabric.world_size and fabric.is_global_zero:
        each = ceil(sum(sizes) / fabric.world_size)
        warn(
            f"of {fabric.world_size} processes only {batches} {'has' if batches == 1 else 'have'} images; write"
            f" --data.eval_batch_size {each}, with which attacks draw other noise",
            stacklevel=3,
        )


def gathered(part: Any) -> list[Any]:
    """What every process gives, in the order of their ranks; on every process."""
    if not torch.distributed.is_initialized():
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts

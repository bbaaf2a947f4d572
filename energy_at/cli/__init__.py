"""The command line ``energy-at``. Nothing here imports torch until the arguments have passed a first look."""

import atexit
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache

from energy_at.cli.first_look import FirstLookError, expanded, first_look

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 after success, 2 after bad input, 1 where a training ended because its loss was no number or a
        file could not be written, 130 where Ctrl-C ended it and 143 where SIGTERM did.
    """
    # threads that wait yield their core to whatever else the machine does; OpenMP reads it when torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("DISABLE_MPS", "1")  # Lightning's: "auto" is the CPU on a Mac, whose GPU has no float64
    # from Python 3.14 on, workers are forked from a process of their own, which imports all they need once for them
    multiprocessing.set_forkserver_preload(["__main__", "energy_at.data.loaders"])
    try:
        args = expanded(sys.argv[1:] if args is None else args)
        text = first_look(args)
    except FirstLookError as error:
        print(f"energy-at: {error}", file=sys.stderr)
        return 2
    if text is not None:
        print(text)
        return 0
    return _imported()(args)


@cache
def _imported() -> Callable[[Sequence[str]], int]:
    """What runs the commands. No garbage is looked for while it is imported, nor among that until the process ends."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        from energy_at.cli.app import run
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)
        if was_on:
            gc.enable()
    return run

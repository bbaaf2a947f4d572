"""A training beside another one: on a machine that is shared, threads that wait have to yield their core.

Three epochs on the digits in processes of their own: alone with OpenMP's own habit, in which all cores' threads spin
while they wait, alone as the command runs it, and two of those side by side. Wall time, with all of each process's
start.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from typing import Any

from benchmarks.setting import Setting
from benchmarks.startup import environment
from benchmarks.timing import Goal, alternate, compare

TRAINING = ("fit", "--config=digits_pgd_at.yaml", "--trainer.max_epochs=3", "--trainer.enable_progress_bar=false")
AS_BEFORE = ("-c", f"from energy_at.cli.app import run; run({TRAINING!r})")
ALONE = ("-m", "energy_at", *TRAINING)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Alone against what it was, and two against one."""
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            "before": partial(together, folder, AS_BEFORE, OMP_NUM_THREADS=str(os.cpu_count())),
            "alone": partial(together, folder, ALONE),
            "two": partial(together, folder, ALONE, ALONE),
        }
        took = alternate(steps, setting, 1, wall=True)
    return [
        compare("digits training alone / on threads that spin", took["alone"], took["before"], Goal(1.02)),
        compare("two digits trainings side by side / one alone", took["two"], took["alone"], Goal(2.3)),
    ]


def together(folder: str, *commands: tuple[str, ...], **variables: str) -> None:
    """Start all in an environment with these variables, and wait for all."""
    env = {key: value for key, value in environment(folder).items() if not key.startswith("OMP_")} | variables
    quiet = {"cwd": folder, "env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen([sys.executable, *command], **quiet) for command in commands]
    for child in running:
        if child.wait() != 0:
            raise RuntimeError(f"{' '.join(child.args)} failed")

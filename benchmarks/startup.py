"""How long a fresh process takes until it says something: the help, and the first training step on digits.

Both against their goals in seconds, and against processes that do what no training with Lightning is without: one that
imports torch and lightning, and one that imports torch alone and makes a single SGD step, for which torch imports its
compiler too. The training leaves at the end of its first step. All write into a temporary folder, byte code too; after
the warm-up that is there, and files lie in memory, as on the second call of a day.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L

from benchmarks.setting import Setting
from benchmarks.timing import Goal, alternate, compare, constant

HELP_SECONDS, FIRST_STEP_SECONDS = 2.0, 5.0
CONFIG = "digits_rsfgsm_der.yaml"
TORCH_STEP = """
import torch
net = torch.nn.Linear(2, 2)
net(torch.ones(1, 2)).sum().backward()
torch.optim.SGD(net.parameters(), lr=0.1).step()
"""


class LeaveAfterFirstStep(L.Callback):
    """Ends the process without its ceremonies."""

    def on_train_batch_end(self, *args: Any) -> None:
        """See Lightning."""
        os._exit(0)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Both against their goals, and the training against the imports that it cannot do without."""
    leave = f"--trainer.callbacks+={LeaveAfterFirstStep.__module__}.{LeaveAfterFirstStep.__name__}"
    commands = {
        "imports": ("-c", "import torch, lightning"),
        "torch": ("-c", TORCH_STEP),
        "help": ("-m", "energy_at", "--help"),
        "first step": (
            "-m",
            "energy_at",
            "fit",
            "--config",
            CONFIG,
            f"--trainer.accelerator={_accelerator(setting)}",
            leave,
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        took = alternate({name: partial(fresh, args, folder) for name, args in commands.items()}, setting, 1, wall=True)
    first, helped = took["first step"], took["help"]
    return [
        compare(f"energy-at --help / {HELP_SECONDS:g} s", helped, constant(HELP_SECONDS, helped), Goal(1.0)),
        compare(
            f"first training step on digits / {FIRST_STEP_SECONDS:g} s",
            first,
            constant(FIRST_STEP_SECONDS, first),
            Goal(1.0),
        ),
        compare("first training step on digits / import torch, lightning", first, took["imports"]),
        compare(
            f"import torch, one SGD step / {FIRST_STEP_SECONDS:g} s",
            took["torch"],
            constant(FIRST_STEP_SECONDS, took["torch"]),
        ),
    ]


def fresh(args: tuple[str, ...], folder: str) -> None:
    """A Python process in this folder, which finds both packages."""
    line, env = [sys.executable, *args], environment(folder)
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)} failed: {done.stderr}")


def environment(folder: str) -> dict[str, str]:
    """This process's, in which another one finds both packages and writes byte code into the folder."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    given = {"PYTHONPATH": path, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | given


def _accelerator(setting: Setting) -> str:
    return "gpu" if setting.cuda else "cpu"

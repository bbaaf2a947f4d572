"""An epoch of Trainer.fit with everything that a run has, against an epoch of the same steps in a bare loop.

The Trainer's side has the energy logger, the overfitting monitor, the plot, both checkpoints (written at every epoch's
end), the CSV logger, and the progress bar or none. Both sides read the same in-memory images with augmentation, run
the module's own objective in bf16 and NHWC memory, and update with its own optimizer; neither validates. Epochs are
short here, so what happens once an epoch weighs more than in a real training. The plot draws at most every 30 s: one
drawing is compared with that.
"""

import copy
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import torch

from benchmarks.fitting import EpochTimer, bare_epoch, fit, images
from benchmarks.setting import Setting
from benchmarks.timing import Goal, Measured, alternate, compare
from benchmarks.watch import Lap
from energy_at.attacks import PGD, RSFGSM
from energy_at.callbacks import BestCheckpoint, EnergyLogger, EnergyPlot, LastCheckpoint, OverfittingMonitor
from energy_at.callbacks.energy_logger import QUANTITIES
from energy_at.modules import AdversarialTraining, StandardAT

GOAL = Goal(1.05)


def run_callbacks() -> list[L.Callback]:
    """Those of every run; without validation the best epoch is chosen by the training accuracy."""
    best = BestCheckpoint(monitor="train/robust_acc")
    return [EnergyLogger(), OverfittingMonitor(), EnergyPlot(), best, LastCheckpoint()]


def overhead(
    name: str, module: AdversarialTraining, setting: Setting, batch: int, steps: int, rounds: int, bar: bool
) -> dict[str, Any]:
    """One row: the Trainer's epochs over bare ones run between them; the first of each is warm-up."""
    bare = bare_epoch(copy.deepcopy(module).to(setting.device), images(batch), steps)
    timer = EpochTimer(setting.device, bare)
    fit(module, [timer, *run_callbacks()], images(batch), steps, 1 + rounds, bar)
    return compare(name, Measured(timer.epochs[1:]), Measured(timer.betweens[1:]), GOAL)


def drawing(setting: Setting) -> dict[str, Any]:
    """One row: a drawing of 200 epochs' curves over the least time between two drawings."""
    plot = EnergyPlot()
    names = [
        f"{stage}/{quantity}{end}" for stage in ("train", "val") for quantity in QUANTITIES for end in ("", "_std")
    ]
    plot.rows = [{"epoch": epoch, "val/robust_acc": 0.5} | dict.fromkeys(names, 1.0) for epoch in range(200)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SimpleNamespace(log_dir=Path(folder), lightning_module=None, callbacks=[])
        took = alternate({"draw": lambda: plot.draw(trainer)}, setting.rounds, torch.device("cpu"))["draw"]
    took.peak = None
    return compare(
        "one drawing of the plot / 30 s", took, Measured([Lap((plot.seconds,))] * setting.rounds), Goal(0.05)
    )


def rows(setting: Setting) -> list[dict[str, Any]]:
    """A narrow net with a single-step attack, where overhead weighs most, and ResNet-18 with PGD-10."""
    steps = 8 if setting.quick else 48
    found = []
    for bar in (False, True):
        module = StandardAT(setting.narrow(), attack=RSFGSM(), channels_last=True)
        name = f"Trainer / bare loop: narrow net, RS-FGSM, batch 128, progress bar {'on' if bar else 'off'}"
        found.append(overhead(name, module, setting, 128, steps, 2 * setting.rounds, bar))
    module = StandardAT(setting.resnet(), attack=PGD(), channels_last=True)
    name = "Trainer / bare loop: ResNet-18, PGD-10, batch 64, progress bar on"
    return [*found, overhead(name, module, setting, 64, steps // 6, setting.rounds, True), drawing(setting)]

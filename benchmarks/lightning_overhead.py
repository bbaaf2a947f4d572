"""An epoch of Trainer.fit with everything that a run has, against epochs of the same steps in bare loops.

The Trainer's side has the energy logger, the overfitting monitor, the plot, both checkpoints (written at every epoch's
end), the CSV logger and the progress bar. The bare loop runs the module's own objective in bf16 and NHWC memory, and
updates with its own optimizer; it reads the same in-memory images with augmentation. The textbook loop
(``benchmarks.textbook``) reads the same images from a per-image loader. None validates. The net is a narrow
PreActResNet-18, where overhead weighs most. Epochs are short on a CPU, and their ends are told apart: they are compared
with an epoch of CIFAR-10's length. The plot draws at most every 30 s: one drawing is compared with that.
"""

import copy
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L

from benchmarks import textbook
from benchmarks.fitting import EpochTimer, bare_epoch, fit, textbook_epoch
from benchmarks.loader import BATCH, images
from benchmarks.setting import Setting
from benchmarks.timing import Goal, Measured, alternate, combined, compare, constant
from energy_at.attacks import RSFGSM
from energy_at.callbacks import BestCheckpoint, EnergyLogger, EnergyPlot, LastCheckpoint, OverfittingMonitor
from energy_at.metrics import QUANTITIES
from energy_at.modules import DER, TRADES, WEAT, AdversarialTraining, StandardAT

GOAL = Goal(1.03)
EPOCH = 390  # steps of CIFAR-10's
SHARE = 6  # a sixth of the steps suffices where one is long


def run_callbacks() -> list[L.Callback]:
    """Those of every run; without validation the best epoch is chosen by the training accuracy."""
    best = BestCheckpoint(monitor="train/robust_acc")
    return [EnergyLogger(), OverfittingMonitor(), EnergyPlot(), best, LastCheckpoint()]


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Each objective, and the textbook for the first; and the picture."""
    net, nhwc = setting.narrow, {"channels_last": True, "cuda_graph": setting.cuda}
    few = max(1, setting.steps // SHARE)
    return [
        *single_step(StandardAT(net(), attack=RSFGSM(), **nhwc), setting),
        overhead("DER, RS-FGSM", DER(net(), attack=RSFGSM(), **nhwc), setting, BATCH, setting.steps),
        overhead("TRADES", TRADES(net(), **nhwc), setting, setting.images, few),
        overhead("WEAT", WEAT(net(), **nhwc), setting, setting.images, few),
        drawing(setting),
    ]


def single_step(module: StandardAT, setting: Setting) -> list[dict[str, Any]]:
    """AT with RS-FGSM: the textbook's epochs over the Trainer's, and the Trainer's over bare ones."""
    data, steps, few = images(BATCH), setting.steps, max(1, setting.steps // SHARE)
    bare = bare_epoch(copy.deepcopy(module).to(setting.device), data, steps)
    reference = textbook_epoch(setting.narrow(), textbook.at(textbook.RSFGSM), data, few)
    timer = EpochTimer(setting.device, bare, reference)
    fit(module, [timer, *run_callbacks()], data, steps, 1 + setting.rounds, bar=True)
    ours, floor, theirs = (Measured(laps[1:]) for laps in (timer.epochs, *timer.betweens))
    name = f"AT, RS-FGSM, batch {BATCH}"
    end, whole = Measured(timer.ends[1:]), combined((ours, EPOCH / steps))
    return [
        compare(f"{name}: textbook with its loader / Trainer", combined((theirs, steps / few)), ours),
        compare(f"{name}: Trainer / bare loop", ours, floor, GOAL),
        compare(f"{name}: the epoch's end, with two checkpoints / an epoch of {EPOCH} steps", end, whole),
    ]


def overhead(name: str, module: AdversarialTraining, setting: Setting, batch: int, steps: int) -> dict[str, Any]:
    """One row: the Trainer's epochs over bare ones run between them; the first of each is warm-up."""
    data = images(batch)
    timer = EpochTimer(setting.device, bare_epoch(copy.deepcopy(module).to(setting.device), data, steps))
    fit(module, [timer, *run_callbacks()], data, steps, 1 + setting.rounds, bar=True)
    ours, floor = Measured(timer.epochs[1:]), Measured(timer.betweens[0][1:])
    return compare(f"{name}, batch {batch}: Trainer / bare loop", ours, floor, GOAL)


def drawing(setting: Setting) -> dict[str, Any]:
    """One row: a drawing of 200 epochs' curves over the least time between two drawings."""
    plot = EnergyPlot()
    names = [
        f"{stage}/{quantity}{end}" for stage in ("train", "val") for quantity in QUANTITIES for end in ("", "_std")
    ]
    plot.rows = [{"epoch": epoch, "val/robust_acc": 0.5} | dict.fromkeys(names, 1.0) for epoch in range(200)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SimpleNamespace(log_dir=Path(folder), lightning_module=None, callbacks=[])
        took = alternate({"draw": lambda: plot.draw(trainer)}, setting, number=1)["draw"]
    return compare("one drawing of the plot / 30 s", took, constant(plot.seconds, took), Goal(0.05))

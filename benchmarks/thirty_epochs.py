"""30 epochs of RS-FGSM on CIFAR-10's size, against the two minutes that they may take on one GPU.

PreActResNet-18, batches of 128, bf16 and NHWC memory, Trainer.fit with all callbacks, both checkpoints and the loader,
without validation. An epoch is measured and multiplied; on a CPU a few of its steps, and no goal.
"""

from functools import partial
from typing import Any

from benchmarks.fitting import EpochTimer, fit
from benchmarks.lightning_overhead import run_callbacks
from benchmarks.loader import BATCH, COUNT, images
from benchmarks.memory import peak_memory
from benchmarks.setting import Setting
from benchmarks.timing import Goal, Measured, combined, compare, constant
from energy_at.attacks import RSFGSM
from energy_at.modules import StandardAT

EPOCHS, MINUTES = 30, 2


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row, and on a GPU one with CUDA graphs, whose goal it is."""
    return [row(setting, graphs) for graphs in ([False, True] if setting.cuda else [False])]


def row(setting: Setting, graphs: bool) -> dict[str, Any]:
    """The first epoch is warm-up."""
    steps, whole, data = setting.steps if setting.cuda else 3, COUNT // BATCH, images(BATCH)
    net = setting.narrow(setting.widths[-1])
    module = StandardAT(net, attack=RSFGSM(), channels_last=True, cuda_graph=graphs)
    timer = EpochTimer(setting.device)
    training = partial(fit, module, [timer, *run_callbacks()], data, steps, 1 + setting.rounds, bar=True)
    peak = peak_memory(training, setting.device)
    epoch = combined((Measured(timer.epochs[1:], peak), whole / steps))
    total = combined((epoch, EPOCHS))
    means = ", CUDA graphs" if graphs else ""
    name = f"{EPOCHS} epochs, PreActResNet-18, RS-FGSM{means}: {total.shortest / 60:.1f} min / {MINUTES} min"
    return compare(name, total, constant(60 * MINUTES, total), Goal(1.0) if graphs else None)

"""The training step of every objective, each against the bare passes that it cannot do without.

ResNet-18, 64 images of 32x32, bf16 autocast and NHWC memory on both sides; ours includes the optimizer's update, the
floor does not (``benchmarks.bare``).
"""

from typing import Any

import torch

from benchmarks.bare import Passes, floor_step, module_step
from benchmarks.setting import Setting
from benchmarks.timing import alternate, compare
from energy_at.attacks import FGSM, PGD, RSFGSM
from energy_at.modules import DER, TRADES, WEAT, AdversarialTraining, StandardAT

SINGLE = Passes(gradients=1)
TRADES_PASSES = Passes(gradients=10, forwards=1, updates=2, training=False)


def cases(setting: Setting) -> dict[str, tuple[AdversarialTraining, Passes]]:
    """The modules, and the passes of their floors."""
    net = setting.resnet
    return {
        "AT, FGSM": (StandardAT(net(), attack=FGSM(), channels_last=True), SINGLE),
        "AT, RS-FGSM": (StandardAT(net(), attack=RSFGSM(), channels_last=True), SINGLE),
        "AT, PGD-10": (StandardAT(net(), attack=PGD(), channels_last=True), Passes()),
        "TRADES": (TRADES(net(), channels_last=True), TRADES_PASSES),
        "WEAT": (WEAT(net(), channels_last=True), TRADES_PASSES),
        "DER, RS-FGSM, joint pass": (
            DER(net(), attack=RSFGSM(), channels_last=True),
            Passes(gradients=1, joined=2),
        ),
    }


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row an objective."""
    x, y = setting.batch()
    x = x.contiguous(memory_format=torch.channels_last)
    found = []
    for name, (module, passes) in cases(setting).items():
        net = setting.resnet().to(memory_format=torch.channels_last)
        steps = {
            "ours": module_step(module.to(setting.device), x, y, half=True),
            "floor": floor_step(net, x, y, passes, half=True),
        }
        took = alternate(steps, setting.rounds, setting.device, setting.number)
        found.append(compare(f"{name} step / floor", took["ours"], took["floor"]))
    return found

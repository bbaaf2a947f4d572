"""What each method costs: the training steps of all of them side by side, against RS-FGSM's.

The narrow PreActResNet-18, images of 32x32, bf16 autocast and NHWC memory, optimizer's update included.
"""

from typing import Any

from torch import nn

from benchmarks.bare import module_step
from benchmarks.setting import Setting
from benchmarks.timing import alternate, compare
from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM
from energy_at.modules import DER, TRADES, WEAT, AdversarialTraining, LinearDER, StandardAT

REFERENCE = "RS-FGSM"


def methods(setting: Setting) -> dict[str, AdversarialTraining]:
    """Single-step methods first, then those of ten steps."""

    def options() -> dict[str, nn.Module | bool]:
        return {"net": setting.narrow(), "channels_last": True}

    return {
        REFERENCE: StandardAT(**options(), attack=RSFGSM()),
        "FGSM": StandardAT(**options(), attack=FGSM()),
        "N-FGSM": StandardAT(**options(), attack=NFGSM()),
        "PGD-2": StandardAT(**options(), attack=PGD(steps=2)),
        "RS-FGSM + DER": DER(**options(), attack=RSFGSM()),
        "RS-FGSM + LinearDER": LinearDER(**options(), attack=RSFGSM()),
        "RS-FGSM + LinearDER on the whole batch": LinearDER(**options(), attack=RSFGSM(), share=1),
        "PGD-10": StandardAT(**options(), attack=PGD()),
        "PGD-10 + DER": DER(**options(), attack=PGD()),
        "TRADES": TRADES(**options()),
        "WEAT": WEAT(**options()),
    }


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row a method."""
    batch = setting.batch(nhwc=True)
    steps = {
        name: module_step(module.to(setting.device), *batch, half=True) for name, module in methods(setting).items()
    }
    took = alternate(steps, setting)
    return [compare(f"{name} / {REFERENCE}", took[name], took[REFERENCE]) for name in steps if name != REFERENCE]

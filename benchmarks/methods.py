"""What each method costs: the training steps of all of them side by side, against RS-FGSM's.

The narrow PreActResNet-18, images of 32x32, bf16 autocast and NHWC memory, optimizer's update included.
"""

from typing import Any

from benchmarks.bare import module_step
from benchmarks.objectives import cases
from benchmarks.setting import Setting
from benchmarks.timing import alternate, compare
from energy_at.attacks import FGSM, PGD, RSFGSM
from energy_at.modules import AAER, ELLE, MART, PGI, AdversarialTraining, DualAT, GradAlign, LinearDER, StandardAT

REFERENCE = "AT, RS-FGSM"


def methods(setting: Setting) -> dict[str, AdversarialTraining]:
    """The objectives that have a floor to be compared with, and those that are only compared with each other."""

    def linear(share: float) -> LinearDER:
        return LinearDER(setting.narrow(), attack=RSFGSM(), share=share, channels_last=True)

    return {name: case.module for name, case in cases(setting).items()} | {
        "AT, PGD-2": StandardAT(setting.narrow(), attack=PGD(steps=2), channels_last=True),
        "LinearDER, RS-FGSM, a quarter": linear(0.25),
        "LinearDER, RS-FGSM, the whole batch": linear(1),
        "GradAlign, FGSM": GradAlign(setting.narrow(), attack=FGSM(), channels_last=True),
        "GradAlign on a quarter, FGSM": GradAlign(setting.narrow(), share=0.25, attack=FGSM(), channels_last=True),
        "ELLE, FGSM": ELLE(setting.narrow(), attack=FGSM(), channels_last=True),
        "ELLE on a quarter, FGSM": ELLE(setting.narrow(), share=0.25, attack=FGSM(), channels_last=True),
        "AAER, RS-FGSM": AAER(setting.narrow(), attack=RSFGSM(), channels_last=True),
        "PGI, FGSM": PGI(setting.narrow(), attack=FGSM(), channels_last=True),
        "DualAT, PGD-10 and 15 contrastive steps": DualAT(setting.narrow(), steps=15, channels_last=True),
        "MART, PGD-10": MART(setting.narrow(), attack=PGD(), channels_last=True),
    }


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row a method."""
    batch = setting.batch(nhwc=True)
    steps = {
        name: module_step(module.to(setting.device), *batch, half=True) for name, module in methods(setting).items()
    }
    took = alternate(steps, setting)
    return [compare(f"{name} / {REFERENCE}", took[name], took[REFERENCE]) for name in steps if name != REFERENCE]

"""What a CUDA graph and torch.compile gain in a training step, in bf16 and NHWC memory.

PGD-10 with ResNet-18, and RS-FGSM with PreActResNet-18, each against the same step as it is written. A graph needs a
GPU; on a CPU torch.compile alone is measured. The first steps, in which kernels are compiled, are warm-up.
"""

from functools import partial
from typing import Any

from torch import nn

from benchmarks.bare import module_step
from benchmarks.setting import Setting
from benchmarks.timing import Step, alternate, compare
from energy_at.attacks import PGD, RSFGSM, Attack
from energy_at.modules import StandardAT


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row a net and a means."""
    narrow = partial(setting.narrow, setting.widths[-1])
    return [
        *of("PGD-10, ResNet-18", setting.resnet, PGD(), setting),
        *of("RS-FGSM, PreActResNet-18", narrow, RSFGSM(), setting),
    ]


def of(name: str, net: Any, attack: Attack, setting: Setting) -> list[dict[str, Any]]:
    """Both means in one measurement."""
    wanted = {"graph": {"cuda_graph": True}} if setting.cuda else {}
    wanted |= {"compiled": {"compile": True}} | ({"both": {"cuda_graph": True, "compile": True}} if wanted else {})
    steps = {kind: training(net(), attack, setting, **options) for kind, options in {"eager": {}, **wanted}.items()}
    took = alternate(steps, setting)
    return [compare(f"{name}: eager / {kind}", took["eager"], took[kind]) for kind in wanted]


def training(net: nn.Module, attack: Attack, setting: Setting, **options: bool) -> Step:
    """Attack, loss, backward pass and update, as the module's training step does them."""
    module = StandardAT(net, attack=attack, channels_last=True, **options).to(setting.device)
    module._compilation.begin(module.net)
    return module_step(module, *setting.batch(nhwc=True), half=True)

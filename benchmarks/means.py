"""Means of making a step faster, each against doing without it: those that are kept, and those that did not pay.

Nets with random weights, images of 32x32, bf16 autocast and NHWC memory where a row says nothing else; a narrow
PreActResNet-18, and ResNet-18. "With" and "without" compute the same, but for rounding, where a row does not say
otherwise. What was expected of each and what became of it stands in docs/performance.md.
"""

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from benchmarks.bare import autocast, module_step
from benchmarks.setting import Setting
from benchmarks.timing import Step, alternate, compare, constant
from energy_at.attacks import PGD, RSFGSM
from energy_at.attacks.pgd import Objective, input_gradient
from energy_at.models import blocks, resnet
from energy_at.modules import StandardAT
from energy_at.objectives import trades_loss
from energy_at.types import Images

STEPS = 3


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row or two a means."""
    return [
        *precision_and_memory(setting),
        cast_once(setting),
        *bounds_once(setting),
        *fused_sgd(setting),
        *relu_in_place(setting),
        folded(setting),
        joint_forward(setting),
        *([] if setting.quick else compiled(setting)),
    ]


def step_of(net: nn.Module, setting: Setting, half: bool = True, nhwc: bool = True, **options: Any) -> Step:
    """A training step of StandardAT, with PGD where the options name no attack."""
    options = {"attack": PGD(steps=STEPS)} | options
    module = StandardAT(net, channels_last=nhwc, **options).to(setting.device)
    return module_step(module, *setting.batch(nhwc=nhwc), half)


def precision_and_memory(setting: Setting) -> list[dict[str, Any]]:
    """The two switches of parts/fast.yaml, each without the other."""
    found = []
    for name, net in nets(setting).items():
        took = alternate(
            {
                "neither": step_of(net(), setting, half=False, nhwc=False),
                "NHWC": step_of(net(), setting, half=False),
                "bf16": step_of(net(), setting, nhwc=False),
                "both": step_of(net(), setting),
            },
            setting,
        )
        for switch, other in (("NHWC", "bf16"), ("bf16", "NHWC")):
            found += [
                compare(f"{name}: fp32, NCHW / {switch} alone", took["neither"], took[switch]),
                compare(f"{name}: without {switch} / with, beside {other}", took[other], took["both"]),
            ]
    return found


def cast_once(setting: Setting) -> dict[str, Any]:
    """The weights' cast at every pass against once a step, which autocast's cache does by itself."""
    net = setting.narrow().to(memory_format=torch.channels_last)
    attack, (x, y) = PGD(steps=STEPS), setting.batch(nhwc=True)

    def attacking(cached: bool) -> None:
        with torch.autocast(setting.device.type, torch.bfloat16, cache_enabled=cached):
            attack(net, x, y)

    took = alternate({"each pass": partial(attacking, False), "once": partial(attacking, True)}, setting)
    return compare("narrow net: weights cast in each pass / once", took["each pass"], took["once"])


class BoundsOnce(PGD):
    """PGD in Linf whose bounds are taken once an attack, not once a step."""

    def ascend(self, net: nn.Module, x: Images, x_adv: Images, objective: Objective) -> Images:
        """See ``PGD``."""
        low, high = (x - self.eps).clamp_(min=0), (x + self.eps).clamp_(max=1)
        for _ in range(self.steps):
            grad = input_gradient(net, x_adv, objective)
            x_adv = torch.clamp(torch.add(x_adv.detach(), grad.sign(), alpha=self.alpha), low, high)
        return x_adv


def bounds_once(setting: Setting) -> list[dict[str, Any]]:
    """What sign and clamp could save at most: less than this row's share of the whole step."""
    return versus(
        setting,
        "bounds in each step / once an attack",
        lambda net: step_of(net, setting),
        lambda net: step_of(net, setting, attack=BoundsOnce(steps=STEPS)),
    )


def fused_sgd(setting: Setting) -> list[dict[str, Any]]:
    """The optimizer's kernel, where an update is dearest: after a single attack step."""

    def sgd(fused: bool) -> Callable[[Any], torch.optim.Optimizer]:
        return partial(torch.optim.SGD, lr=0.0, momentum=0.9, weight_decay=5e-4, fused=fused)

    return versus(
        setting,
        "SGD / fused SGD, RS-FGSM",
        lambda net: step_of(net, setting, attack=RSFGSM(), optimizer=sgd(False)),
        lambda net: step_of(net, setting, attack=RSFGSM(), optimizer=sgd(True)),
    )


class InPlace:
    """``torch.nn.functional`` with a rectifier that writes over its input."""

    def __getattr__(self, name: str) -> Any:
        return getattr(F, name)

    def relu(self, x: Tensor) -> Tensor:
        """In place."""
        return F.relu(x, inplace=True)


def relu_in_place(setting: Setting) -> list[dict[str, Any]]:
    """Rectifiers that write over batch norm's output."""

    def in_place(net: nn.Module) -> Step:
        step = step_of(net, setting)

        def replaced() -> None:
            with mock.patch.object(blocks, "F", InPlace()), mock.patch.object(resnet, "F", InPlace()):
                step()

        return replaced

    return versus(setting, "ReLU / in place", lambda net: step_of(net, setting), in_place)


def folded(setting: Setting) -> dict[str, Any]:
    """Batch norm folded into ResNet-18's convolutions before an attack in evaluation mode, the folding included."""
    net = setting.resnet().to(memory_format=torch.channels_last).eval()
    attack, (x, y) = PGD(steps=STEPS), setting.batch(nhwc=True)

    def attacking(prepare: Callable[[nn.Module], nn.Module]) -> None:
        with autocast(setting.device, half=True):
            attack(prepare(net), x, y)

    took = alternate({"as it is": partial(attacking, lambda same: same), "folded": partial(attacking, fold)}, setting)
    with torch.no_grad():
        difference = (net(x) - fold(net)(x)).abs().max() / net(x).abs().max()
    name = f"ResNet-18, eval attack: as it is / folded (logits differ by {difference:.0e} of the largest, fp32)"
    return compare(name, took["as it is"], took["folded"])


def fold(net: nn.Module) -> nn.Module:
    """A copy of a ResNet in evaluation mode, each batch norm in the convolution before it."""
    new = copy.deepcopy(net)
    new.conv1, new.bn1 = joined(new.conv1, new.bn1), nn.Identity()
    for block in (layer for layer in new.modules() if isinstance(layer, blocks.BasicBlock)):
        block.conv1, block.bn1 = joined(block.conv1, block.bn1), nn.Identity()
        block.conv2, block.bn2 = joined(block.conv2, block.bn2), nn.Identity()
        if len(block.shortcut):
            block.shortcut = joined(*block.shortcut)
    return new


def joined(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution for the two."""
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return conv


def joint_forward(setting: Setting) -> dict[str, Any]:
    """TRADES' update in two passes or in one; batch norm then sees both halves together, another training."""
    net = setting.narrow().to(memory_format=torch.channels_last)
    x, y = setting.batch(nhwc=True)
    x_adv = x.add(0.01).clamp(max=1)

    def update(logits: Callable[[], tuple[Tensor, Tensor]]) -> None:
        with autocast(setting.device, half=True):
            loss = trades_loss(*(half.float() for half in logits()), y)
        net.zero_grad()
        loss.backward()

    steps = {
        "two": partial(update, lambda: (net(x), net(x_adv))),
        "one": partial(update, lambda: net(torch.cat([x, x_adv])).chunk(2)),
    }
    took = alternate(steps, setting)
    return compare("narrow net: TRADES' update in two passes / in one (another batch norm)", took["two"], took["one"])


def compiled(setting: Setting) -> list[dict[str, Any]]:
    """``torch.compile`` of the net, graphs for attack and update; and what compiling takes."""
    compiling = setting.narrow()
    compiling.compile(dynamic=False)
    step, start = step_of(compiling, setting), time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    took = alternate({"eager": step_of(setting.narrow(), setting), "compiled": step}, setting)
    compiling_took, minute = (constant(length, took["eager"]) for length in (seconds, 60))
    return [
        compare("narrow net: eager / compiled", took["eager"], took["compiled"]),
        compare("narrow net: compiling / a minute", compiling_took, minute),
    ]


def nets(setting: Setting) -> dict[str, Callable[[], nn.Module]]:
    """The two."""
    return {"narrow net": setting.narrow, "ResNet-18": setting.resnet}


def versus(
    setting: Setting, what: str, without: Callable[[nn.Module], Step], with_it: Callable[[nn.Module], Step]
) -> list[dict[str, Any]]:
    """A row for each net."""
    found = []
    for name, net in nets(setting).items():
        took = alternate({"without": without(net()), "with": with_it(net())}, setting)
        found.append(compare(f"{name}: {what}", took["without"], took["with"]))
    return found

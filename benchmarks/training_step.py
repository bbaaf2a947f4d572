"""The PGD-10 training step of StandardAT against the textbook loop, the floor, and the machine's limit.

ResNet-18, images of 32x32. Ours runs in NHWC memory, in bf16 autocast and in single precision; the textbook loop in
single precision and NCHW memory, with ``loss.backward()`` in every attack step as published, and with the gradient at
the images alone. The floor is ten forward passes with the gradient at the images and one with that at the weights, at
our precision and in our memory format, on images that are already on the device; it has no update. On a GPU ours runs
from CUDA graphs, and floor and textbook as they are written. On a CPU the goals hold for two cores.
"""

from typing import Any

import torch

from benchmarks.bare import Passes, floor_step, module_step
from benchmarks.flops import cost
from benchmarks.limits import best_product, share
from benchmarks.setting import Setting
from benchmarks.textbook import PGD, Ascent, at, by_autograd, textbook_step
from benchmarks.timing import Goal, Measured, Step, alternate, compare
from energy_at.modules import StandardAT


def ours(setting: Setting, half: bool) -> Step:
    """StandardAT with its default attack, PGD-10; on a GPU from CUDA graphs."""
    module = StandardAT(setting.resnet(), channels_last=True, cuda_graph=setting.cuda).to(setting.device)
    return module_step(module, *setting.batch(nhwc=True), half)


def floor(setting: Setting, half: bool) -> Step:
    """Ten input gradients, and one pass for the weights."""
    net = setting.resnet().to(memory_format=torch.channels_last)
    return floor_step(net, *setting.batch(nhwc=True), Passes(), half)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """How many times faster than the textbook loop, and how many times the floor."""
    steps = {
        "bf16": ours(setting, half=True),
        "bf16 floor": floor(setting, half=True),
        "bf16 product": best_product(setting, half=True).step,
        "fp32": ours(setting, half=False),
        "fp32 floor": floor(setting, half=False),
        "fp32 product": best_product(setting, half=False).step,
        "textbook": textbook_step(setting.resnet(), *setting.batch(), at(PGD)),
        "textbook, grad": textbook_step(setting.resnet(), *setting.batch(), at(Ascent(input_gradient=by_autograd))),
    }
    took = alternate(steps, setting)
    textbook = took["textbook"]
    return [
        compare(
            "PGD-10 step: textbook / ours in bf16", textbook, took["bf16"], Goal(setting.textbook_goal, least=True)
        ),
        compare("PGD-10 step: textbook / ours in fp32", textbook, took["fp32"]),
        compare("PGD-10 step: textbook / textbook with autograd.grad", textbook, took["textbook, grad"]),
        against_floor("bf16", took, setting),
        against_floor("fp32", took, setting),
    ]


def against_floor(precision: str, took: dict[str, Measured], setting: Setting) -> dict[str, Any]:
    """The step over its floor, and its share of the machine's limit."""
    step, product = took[precision], took[f"{precision} product"]
    flops = setting.images * cost(setting.resnet()).of(Passes())
    limit = share(step, flops, product, best_product(setting, half=precision == "bf16"))
    row = compare(
        f"PGD-10 step: ours in {precision} / floor", step, took[f"{precision} floor"], Goal(setting.floor_goal)
    )
    return row | {"limit": limit}

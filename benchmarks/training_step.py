"""The PGD-10 training step of StandardAT against the textbook loop, and against the floor.

ResNet-18, 64 images of 32x32. Ours runs in NHWC memory, in bf16 autocast and in single precision; the textbook loop in
single precision and NCHW memory, with ``loss.backward()`` in every attack step as published, and with the gradient at
the images alone. The floor is ten forward passes with the gradient at the images and one with that at the weights, at
our precision and in our memory format, on images that are already on the device; it has no update. On a CPU the goals
hold for two cores.
"""

from typing import Any

import torch

from benchmarks.bare import Passes, floor_step, module_step
from benchmarks.setting import Setting
from benchmarks.textbook import by_autograd, by_backward, textbook_step
from benchmarks.timing import Goal, Step, alternate, compare
from energy_at.modules import StandardAT


def ours(setting: Setting, half: bool) -> Step:
    """StandardAT with its default attack, PGD-10."""
    x, y = setting.batch()
    module = StandardAT(setting.resnet(), channels_last=True).to(setting.device)
    return module_step(module, x.contiguous(memory_format=torch.channels_last), y, half)


def floor(setting: Setting, half: bool) -> Step:
    """Ten input gradients, and one pass for the weights."""
    x, y = setting.batch()
    net = setting.resnet().to(memory_format=torch.channels_last)
    return floor_step(net, x.contiguous(memory_format=torch.channels_last), y, Passes(), half)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """How many times faster than the textbook loop, and how many times the floor."""
    steps = {
        "bf16": ours(setting, half=True),
        "bf16 floor": floor(setting, half=True),
        "fp32": ours(setting, half=False),
        "fp32 floor": floor(setting, half=False),
        "textbook": textbook_step(setting.resnet(), *setting.batch(), by_backward),
        "textbook, grad": textbook_step(setting.resnet(), *setting.batch(), by_autograd),
    }
    took = alternate(steps, setting.rounds, setting.device, setting.number)
    textbook = took["textbook"]
    return [
        compare("PGD-10 step: textbook / ours in bf16", textbook, took["bf16"], Goal(2.5, least=True)),
        compare("PGD-10 step: textbook / ours in fp32", textbook, took["fp32"]),
        compare("PGD-10 step: textbook / textbook with autograd.grad", textbook, took["textbook, grad"]),
        compare("PGD-10 step: ours in bf16 / floor", took["bf16"], took["bf16 floor"], Goal(1.05)),
        compare("PGD-10 step: ours in fp32 / floor", took["fp32"], took["fp32 floor"], Goal(1.05)),
    ]

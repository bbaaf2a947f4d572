"""Steps without Lightning: a module's own step, and the floor below which no step with these passes can come."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import Step
from energy_at.modules import AdversarialTraining


def autocast(device: torch.device, half: bool) -> torch.autocast:
    """What Lightning's bf16-mixed puts around a step; nothing for full precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def updating(module: AdversarialTraining, half: bool) -> Callable[[Tensor, Tensor], None]:
    """Attack, objective, backward pass and update of a module on a batch, with its own optimizer."""
    optimizer = module.optimizer(module.parameters())

    def update(x: Tensor, y: Tensor) -> None:
        with autocast(x.device, half), module._compilation.for_batch(x):
            loss = module._outputs(x, y)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def module_step(module: AdversarialTraining, x: Tensor, y: Tensor, half: bool) -> Step:
    """The same on one batch, again and again."""
    return partial(updating(module, half), x, y)


@dataclass(frozen=True)
class Passes:
    """The passes through the net that an objective cannot do without.

    Args:
        gradients: forward passes with the gradient at the images, in the attack.
        forwards: forward passes without a gradient, in the attack.
        updates: forward passes with the gradient at the weights.
        joined: batches that each of those takes at once.
        training: the net's mode in the attack.
    """

    gradients: int = 10
    forwards: int = 0
    updates: int = 1
    joined: int = 1
    training: bool = True


def floor_step(net: nn.Module, x: Tensor, y: Tensor, passes: Passes, half: bool) -> Step:
    """The bare passes, one after another on the same images: no attack, no update."""
    joined, labels = x.repeat(passes.joined, 1, 1, 1), y.repeat(passes.joined)
    joined = joined.contiguous(memory_format=torch.channels_last) if _nhwc(x) else joined

    def step() -> None:
        with autocast(x.device, half):
            attack_passes(net.train(passes.training), x, y, passes)
            net.train()
            loss = sum(F.cross_entropy(net(joined), labels) for _ in range(passes.updates))
        if passes.updates > 0:
            net.zero_grad()
            loss.backward()

    return step


def attack_passes(net: nn.Module, x: Tensor, y: Tensor, passes: Passes) -> None:
    """Those of an attack: forward alone, and with the gradient at the images."""
    for _ in range(passes.forwards):
        with torch.no_grad():
            net(x)
    for _ in range(passes.gradients):
        image = x.detach().requires_grad_()
        torch.autograd.grad(F.cross_entropy(net(image), y), image)


def _nhwc(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()

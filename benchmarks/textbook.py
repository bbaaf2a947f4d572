"""PGD training as the published code of fast AT (arXiv 2001.03994) and robust overfitting (arXiv 2002.11569) has it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import Step

InputGradient = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
EPS, ALPHA = 8 / 255, 2 / 255


def by_backward(net: nn.Module, x: Tensor, delta: Tensor, y: Tensor) -> Tensor:
    """As published: ``loss.backward()``, which fills the gradients of all weights too."""
    F.cross_entropy(net(torch.clamp(x + delta, 0, 1)), y).backward()
    grad = delta.grad.detach().clone()
    delta.grad.zero_()
    return grad


def by_autograd(net: nn.Module, x: Tensor, delta: Tensor, y: Tensor) -> Tensor:
    """The same gradient alone."""
    return torch.autograd.grad(F.cross_entropy(net(torch.clamp(x + delta, 0, 1)), y), delta)[0]


def pgd(net: nn.Module, x: Tensor, y: Tensor, steps: int, input_gradient: InputGradient) -> Tensor:
    """The perturbation after ``steps`` steps from a uniform start."""
    delta = torch.zeros_like(x).uniform_(-EPS, EPS)
    delta.data = torch.clamp(delta, 0 - x, 1 - x)
    delta.requires_grad = True
    for _ in range(steps):
        grad = input_gradient(net, x, delta, y)
        delta.data = torch.clamp(delta + ALPHA * torch.sign(grad), -EPS, EPS)
        delta.data = torch.clamp(delta.data, 0 - x, 1 - x)
    return delta.detach()


def textbook_step(net: nn.Module, x: Tensor, y: Tensor, input_gradient: InputGradient, steps: int = 10) -> Step:
    """Attack, loss on the result, backward pass and update, in single precision and NCHW memory."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        delta = pgd(net, x, y, steps, input_gradient)
        loss = F.cross_entropy(net(torch.clamp(x + delta, 0, 1)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step

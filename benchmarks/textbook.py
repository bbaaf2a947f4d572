"""Training steps as published code has them: single precision, NCHW memory, eager, nothing shared between passes.

AT is that of fast AT (arXiv 2001.03994), robust overfitting (arXiv 2002.11569) and N-FGSM (arXiv 2202.01181); TRADES is
its authors' (arXiv 1901.08573), and WEAT adds its weights to that. DER's code is not public: AT's attack, and a second
pass for the images that it started from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import Step

InputGradient = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
EPS, ALPHA = 8 / 255, 2 / 255
BETA = 6.0


def by_backward(net: nn.Module, x: Tensor, delta: Tensor, y: Tensor) -> Tensor:
    """As published: ``loss.backward()``, which fills the gradients of all weights too."""
    F.cross_entropy(net(torch.clamp(x + delta, 0, 1)), y).backward()
    grad = delta.grad.detach().clone()
    delta.grad.zero_()
    return grad


def by_autograd(net: nn.Module, x: Tensor, delta: Tensor, y: Tensor) -> Tensor:
    """The same gradient alone."""
    return torch.autograd.grad(F.cross_entropy(net(torch.clamp(x + delta, 0, 1)), y), delta)[0]


@dataclass(frozen=True)
class Ascent:
    """An attack on the cross-entropy.

    Args:
        steps: of the attack.
        alpha: length of one.
        start: radius of the uniform start, 0 for none.
        bound: radius of the ball.
        input_gradient: one of the above.
    """

    steps: int = 10
    alpha: float = ALPHA
    start: float = EPS
    bound: float = EPS
    input_gradient: InputGradient = by_backward

    def __call__(self, net: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The first and the last perturbation."""
        delta = torch.zeros_like(x).uniform_(-self.start, self.start)
        delta.data = torch.clamp(delta, 0 - x, 1 - x)
        first = delta.detach().clone()
        delta.requires_grad = True
        for _ in range(self.steps):
            grad = self.input_gradient(net, x, delta, y)
            delta.data = torch.clamp(delta + self.alpha * torch.sign(grad), -self.bound, self.bound)
            delta.data = torch.clamp(delta.data, 0 - x, 1 - x)
        return first, delta.detach()


PGD = Ascent()
FGSM = Ascent(steps=1, alpha=EPS, start=0.0)
RSFGSM = Ascent(steps=1, alpha=1.25 * EPS)
NFGSM = Ascent(steps=1, alpha=EPS, start=2 * EPS, bound=3 * EPS)  # so far it can get: it is not projected


def at(attack: Ascent = PGD) -> Loss:
    """Cross-entropy of the attacked images."""

    def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        _, delta = attack(net, x, y)
        return F.cross_entropy(net(torch.clamp(x + delta, 0, 1)), y)

    return loss


def der(attack: Ascent) -> Loss:
    """Cross-entropy, and the squared differences of both energies to those at the attack's start."""

    def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        first, delta = attack(net, x, y)
        before, after = net(torch.clamp(x + first, 0, 1)), net(torch.clamp(x + delta, 0, 1))
        marginal = torch.logsumexp(before, dim=1) - torch.logsumexp(after, dim=1)
        joint = (before - after).gather(1, y[:, None])
        return F.cross_entropy(after, y) + 0.5 * (marginal.square().mean() + joint.square().mean())

    return loss


def trades(weighted: bool = False) -> Loss:
    """TRADES, whose attack passes the natural images anew in every step and whose loss does so twice; or WEAT."""

    def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        x_adv = trades_attack(net, x)
        logits = net(x)
        natural = F.cross_entropy(logits, y, reduction="none")
        kl = F.kl_div(F.log_softmax(net(x_adv), dim=1), F.softmax(net(x), dim=1), reduction="none").sum(dim=1)
        weight = 1 / torch.log1p(torch.exp(torch.logsumexp(logits, dim=1).abs())).detach() if weighted else 1.0
        return (weight * (natural + BETA * kl)).mean()

    return loss


def trades_attack(net: nn.Module, x: Tensor) -> Tensor:
    """PGD-10 on the KL divergence, in evaluation mode."""
    net.eval()
    x_adv = x + 0.001 * torch.randn_like(x)
    for _ in range(10):
        x_adv.requires_grad_()
        kl = F.kl_div(F.log_softmax(net(x_adv), dim=1), F.softmax(net(x), dim=1), reduction="sum")
        x_adv = x_adv.detach() + ALPHA * torch.sign(torch.autograd.grad(kl, x_adv)[0])
        x_adv = torch.clamp(torch.min(torch.max(x_adv, x - EPS), x + EPS), 0, 1)
    net.train()
    return x_adv


def updating(net: nn.Module, loss: Loss) -> Callable[[Tensor, Tensor], None]:
    """Loss, backward pass and update on a batch."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def update(x: Tensor, y: Tensor) -> None:
        value = loss(net, x, y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return update


def textbook_step(net: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Step:
    """The same on one batch, again and again."""
    update = updating(net, loss)
    return lambda: update(x, y)

"""Defenses at test time: a net around a net, whose images are changed before they are classified."""

from math import inf
from typing import Literal, Self, get_args

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from energy_at.energy import full_precision, marginal_energy
from energy_at.lengths import l2_length, unit
from energy_at.types import Images, Logits, require, require_count, require_one_of

Backward = Literal["exact", "identity"]


class EnergyDescent(nn.Module):
    """ET3: classify x' = x - alpha grad E(x) / |grad E(x)|_2, kept within a ball and [0, 1] (arXiv 2603.26984).

    Deterministic and without training. An attack's gradient goes through the whole of it, second derivatives included
    (``backward`` "exact"), or takes the descent for the identity (BPDA, arXiv 1802.00420): a defense of this kind is
    worth what is left under the worst of all attacks. The paper's text was not at hand: a reconstruction from its
    published numbers.

    Args:
        net: maps images in [0, 1] to logits.
        step_size: alpha, the L2 length of a step, at least 0. Published for ImageNet: 5; look for your own at 32x32.
        eps: L2 radius of the ball around x, at least 0. Published for ImageNet: 10.
        steps: at least 0. Published: 1.
        backward: what gradients see of the descent.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        net: nn.Module,
        step_size: float = 0.5,
        eps: float = 1.0,
        steps: int = 1,
        backward: Backward = "exact",
    ) -> None:
        super().__init__()
        for name, value in {"step_size": step_size, "eps": eps}.items():
            require(0 <= value < inf, f"{name} is {value}, but it is finite and at least 0; write {name}: 0.5")
        require_count("steps", steps, 1, least=0)
        require_one_of("backward", backward, get_args(Backward))
        self.net = net
        self.step_size, self.eps, self.steps, self.backward = step_size, eps, steps, backward
        self.train(net.training)

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of the images where their energy has been lowered."""
        return self.net(self.descend(x))

    def descend(self, x: Images) -> Images:
        """x', [N, C, H, W] in [0, 1]; differentiable in x where gradients are on."""
        exact = self.backward == "exact" and torch.is_grad_enabled() and x.requires_grad
        with torch.inference_mode(False), torch.enable_grad():
            moved = x.clone() if exact else x.detach().clone()
            for _ in range(self.steps):
                moved = self._step(moved, x, exact)
        return moved if exact else x + (moved - x).detach()

    def through_identity(self) -> Self:
        """The same net, of which gradients see the identity in place of the descent."""
        return type(self)(self.net, self.step_size, self.eps, self.steps, backward="identity")

    @property
    def options(self) -> dict[str, float | int | str]:
        """What a report says of it."""
        names = ("step_size", "eps", "steps", "backward")
        return {"class": type(self).__name__, **{name: getattr(self, name) for name in names}}

    def _step(self, moved: Images, x: Images, exact: bool) -> Images:
        if exact:  # a step's own graph is built again where it is needed: memory of one step, not of all
            return checkpoint(self._lowered, moved, x, True, use_reentrant=False)
        return self._lowered(moved.detach(), x.detach(), False)

    def _lowered(self, moved: Images, x: Images, exact: bool) -> Images:
        moved = moved if exact else moved.requires_grad_()
        energy = marginal_energy(full_precision(self.net(moved)))
        (grad,) = torch.autograd.grad(energy.sum(), moved, create_graph=exact)
        offset = moved - self.step_size * unit(grad) - x
        offset = offset * (self.eps / l2_length(offset)).clamp(max=1)
        return (x + offset).clamp(0, 1)

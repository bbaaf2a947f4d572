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
    """ET3: classify x' = x - alpha grad E(x) / |grad E(x)|_2, kept within [0, 1] and a ball (arXiv 2603.26984).

    Deterministic and without training. An attack's gradient goes through the whole of it, second derivatives included
    (``backward`` "exact"), or takes the descent for the identity (BPDA, arXiv 1802.00420): a defense of this kind is
    worth what is left under the worst of all attacks. After the published code for classifiers (OmnAI-Lab,
    Energy-Guided-Test-Time-Defense), which attacks the net inside and through the identity.

    Args:
        net: maps images in [0, 1] to logits.
        step_size: alpha, the L2 length of a step, at least 0. Published for ImageNet: 5, or 2.5 with five steps; look
            for your own at 32x32.
        eps: L2 radius of the ball around x, at least 0. Published for ImageNet: twice the step.
        steps: at least 0. Published: 1 or 5.
        backward: what gradients see of the descent.
        temperature: t of E(x) = -t logsumexp_k f(x)[k] / t, above 0. Published: 1.

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
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in {"step_size": step_size, "eps": eps}.items():
            require(0 <= value < inf, f"{name} is {value}, but it is finite and at least 0; write {name}: 0.5")
        require_count("steps", steps, 1, least=0)
        require_one_of("backward", backward, get_args(Backward))
        told = f"temperature is {temperature}, but it is finite and above 0; write temperature: 1"
        require(0 < temperature < inf, told)
        self.net = net
        self.step_size, self.eps, self.steps, self.backward = step_size, eps, steps, backward
        self.temperature = temperature
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
        return type(self)(self.net, self.step_size, self.eps, self.steps, "identity", self.temperature)

    @property
    def options(self) -> dict[str, float | int | str]:
        """What a report says of it."""
        names = ("step_size", "eps", "steps", "backward", "temperature")
        return {"class": type(self).__name__, **{name: getattr(self, name) for name in names}}

    def _step(self, moved: Images, x: Images, exact: bool) -> Images:
        if exact:  # a step's own graph is built again where it is needed: memory of one step, not of all
            return checkpoint(self._lowered, moved, x, True, use_reentrant=False)
        return self._lowered(moved.detach(), x.detach(), False)

    def _lowered(self, moved: Images, x: Images, exact: bool) -> Images:
        moved = moved if exact else moved.requires_grad_()
        energy = self.temperature * marginal_energy(full_precision(self.net(moved)) / self.temperature)
        (grad,) = torch.autograd.grad(energy.sum(), moved, create_graph=exact)
        # within [0, 1] first: what is cut off there takes no part of the ball
        offset = (moved - self.step_size * unit(grad)).clamp(0, 1) - x
        return x + offset * (self.eps / l2_length(offset)).clamp(max=1)

"""Threat models: the ball of allowed perturbations, how to start in it, step along a gradient, and come back to it.

Every image stays in [0, 1]. The ball's radius eps is in the same units: pixel values for Linf, their Euclidean length
over the whole image for L2.
"""

from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from energy_at.lengths import l2_length, unit
from energy_at.types import Images

Norm: TypeAlias = Literal["Linf", "L2"]


class ThreatModel(Protocol):
    """What an attack needs to know of a norm."""

    @staticmethod
    def noise(x: Images, radius: float, generator: torch.Generator | None) -> Tensor:
        """Uniform noise from the ball of this radius, shaped like x."""

    @staticmethod
    def step(x_adv: Images, grad: Tensor, alpha: float) -> Images:
        """Move by alpha in the direction of steepest ascent for this norm."""

    @staticmethod
    def project(x_adv: Images, x: Images, eps: float) -> Images:
        """The nearest point of the eps-ball around x, then of [0, 1]."""


class Linf:
    """max_i |x*_i - x_i| <= eps."""

    @staticmethod
    def noise(x: Images, radius: float, generator: torch.Generator | None) -> Tensor:
        """Independent U(-radius, radius) in every pixel."""
        return torch.empty_like(x).uniform_(-radius, radius, generator=generator)

    @staticmethod
    def step(x_adv: Images, grad: Tensor, alpha: float) -> Images:
        """x* + alpha sign(grad)."""
        return torch.add(x_adv, grad.sign(), alpha=alpha)

    @staticmethod
    def project(x_adv: Images, x: Images, eps: float) -> Images:
        """One clamp between max(x - eps, 0) and min(x + eps, 1)."""
        return torch.clamp(x_adv, (x - eps).clamp_(min=0), (x + eps).clamp_(max=1))


class L2:
    """||x* - x||_2 <= eps, over all pixels and channels of an image."""

    @staticmethod
    def noise(x: Images, radius: float, generator: torch.Generator | None) -> Tensor:
        """Uniform in the ball: a Gaussian direction, and a length radius u^(1/d)."""
        gaussian = torch.empty_like(x).normal_(generator=generator)
        length = l2_length(gaussian)
        u = torch.empty_like(length).uniform_(generator=generator)
        return (gaussian * (radius * u ** (1 / x.shape[1:].numel()) / length)).to(x.dtype)

    @staticmethod
    def step(x_adv: Images, grad: Tensor, alpha: float) -> Images:
        """x* + alpha grad / ||grad||; no step where the gradient is 0 or no number."""
        return torch.add(x_adv, unit(grad).to(x_adv.dtype), alpha=alpha)

    @staticmethod
    def project(x_adv: Images, x: Images, eps: float) -> Images:
        """Shrink the perturbation to length eps where it is longer, then clamp to [0, 1]."""
        delta = x_adv - x
        return (x + delta * (eps / l2_length(delta)).clamp_(max=1)).clamp_(0, 1).to(x.dtype)


THREATS: dict[str, type[ThreatModel]] = {"Linf": Linf, "L2": L2}

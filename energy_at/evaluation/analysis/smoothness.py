"""How smooth the energy is around an image: dE against eps, and E along a line through the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from energy_at.attacks.threat import THREATS, Norm
from energy_at.energy import joint_energy, marginal_energy
from energy_at.types import Images, Labels, Logits, require, require_count


@dataclass(frozen=True)
class Smoothness:
    """Which images to look around, and how far.

    Args:
        images: number of images, spread evenly over the data, at least 1.
        factors: multiples of each attack's eps at which dE is measured, above 0.
        multiples: of the perturbation, at which E is measured on the line; negative ones lie on the other side.

    Raises:
        InputError: if a value is out of its range.
    """

    images: int = 256
    factors: Sequence[float] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    multiples: Sequence[float] = tuple(i / 4 for i in range(-8, 9))

    def __post_init__(self) -> None:
        require_count("images", self.images, 256)
        require(
            len(self.factors) > 0 and all(isfinite(f) and f > 0 for f in self.factors),
            f"factors are {list(self.factors)}, but an eps is finite and above 0; write for example [0.5, 1, 2]",
        )
        require(
            len(self.multiples) > 0 and all(isfinite(t) for t in self.multiples),
            f"multiples are {list(self.multiples)}, but they are finite; write for example [-1, -0.5, 0, 0.5, 1]",
        )

    def chosen(self, index: int, batches: int, size: int) -> Tensor:
        """Which images of a batch are looked around: each batch gives its share, so that sorted classes all take part.

        Args:
            index: of the batch.
            batches: how many there are.
            size: images in this batch.
        """
        share = (index + 1) * self.images // batches - index * self.images // batches
        return torch.linspace(0, size - 1, min(share, size)).round().long()


def random_perturbation(norm: Norm, eps: float, x: Images, generator: torch.Generator) -> Tensor:
    """A random direction of length eps: for Linf a corner of the ball, for L2 a point of its sphere.

    Args:
        norm: "Linf" or "L2".
        eps: its length in this norm.
        x: [N, C, H, W]; one direction an image.
        generator: source of the noise, on x's device.
    """
    noise = torch.empty_like(x).normal_(generator=generator)
    return THREATS[norm].step(torch.zeros_like(x), noise, eps)


@torch.no_grad()
def line_energies(net: nn.Module, x: Images, delta: Tensor, y: Labels, multiples: Sequence[float]) -> dict[str, Tensor]:
    """E and E(., y) at clip_[0,1](x + t delta) for every multiple t.

    Args:
        net: maps images in [0, 1] to logits.
        x: [N, C, H, W] in [0, 1].
        delta: perturbations, shaped like x.
        y: [N].
        multiples: T values of t.

    Returns:
        "line_E_marginal" and "line_E_joint", [N, T] in double precision.
    """
    logits = [net((x + t * delta).clamp(0, 1)).double() for t in multiples]
    return _stacked("line_E", logits, y)


@torch.no_grad()
def sweep_energies(
    net: nn.Module, attacked: Callable[[float], Images], y: Labels, factors: Sequence[float]
) -> dict[str, Tensor]:
    """E(x*) and E(x*, y) where the attack's eps is multiplied by each factor.

    Args:
        net: maps images in [0, 1] to logits.
        attacked: x* for a factor.
        y: [N].
        factors: F of them.

    Returns:
        "sweep_E_marginal" and "sweep_E_joint", [N, F] in double precision.
    """
    return _stacked("sweep_E", [net(attacked(factor)).double() for factor in factors], y)


def _stacked(prefix: str, logits: Sequence[Logits], y: Labels) -> dict[str, Tensor]:
    return {
        f"{prefix}_marginal": torch.stack([marginal_energy(point) for point in logits], dim=1),
        f"{prefix}_joint": torch.stack([joint_energy(point, y) for point in logits], dim=1),
    }

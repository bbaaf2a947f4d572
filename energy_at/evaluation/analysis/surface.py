"""The energy around one image, on the plane of the single-step attack and a random direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from energy_at.attacks.base import caller_state_kept
from energy_at.attacks.losses import cross_entropy
from energy_at.attacks.pgd import input_gradient
from energy_at.attacks.threat import Linf
from energy_at.energy import full_precision, marginal_energy
from energy_at.evaluation.analysis.plate import canvas
from energy_at.evaluation.analysis.smoothness import random_perturbation
from energy_at.evaluation.curves import BLACK
from energy_at.net_state import in_mode
from energy_at.seeding import seeded_generator
from energy_at.types import kind_of, require


@dataclass(frozen=True)
class EnergySurface:
    """E(x + s a + t b) - E(x) on a grid; a is the single-step attack's perturbation, b a random corner of the ball.

    Args:
        net: name of the net, for the figure.
        multiples: [P], of a and of b.
        energy: [P, P], in nats; rows t, columns s.
        right: [P, P], whether the net names the label there.
    """

    net: str
    multiples: np.ndarray
    energy: np.ndarray
    right: np.ndarray


def energy_surface(
    net: nn.Module,
    image: Tensor,
    label: int,
    eps: float,
    name: str = "net",
    reach: float = 1.5,
    points: int = 41,
    seed: int = 0,
) -> EnergySurface:
    """Look around an image, in evaluation mode; points outside of [0, 1] are clipped to it.

    A net that overfits catastrophically is right on the attack's axis, at s = 1, where it was trained, and wrong beside
    it (arXiv 2007.02617, arXiv 2010.01799).

    Args:
        net: maps images in [0, 1] to logits.
        image: [C, H, W] in [0, 1].
        label: of the image.
        eps: Linf length of both directions, above 0, images in [0, 1].
        name: of the net, for the figure.
        reach: largest multiple of both directions, above 0.
        points: of the grid in each direction, an odd number from 3 on, so that the image itself is one of them.
        seed: of the random direction.

    Raises:
        InputError: if the image is of another form, or eps, reach or points out of range.
    """
    require(image.dim() == 3, f"the image is {kind_of(image)}; give one, [C, H, W]")
    require(eps > 0 and reach > 0, f"eps is {eps} and reach {reach}; both are above 0, for example 8/255 and 1.5")
    require(points >= 3 and points % 2 == 1, f"points is {points}; write an odd number from 3 on, for example 41")
    x, y = image[None], torch.tensor([label], device=image.device)
    with caller_state_kept(net, x), in_mode(net, training=False):
        gradient = input_gradient(net, x, lambda logits: cross_entropy(logits, y))
        attack = Linf.step(torch.zeros_like(x), gradient, eps)
        across = random_perturbation("Linf", eps, x, seeded_generator(x.device, seed))
        multiples = torch.linspace(-reach, reach, points, device=x.device, dtype=x.dtype)
        s, t = multiples.view(-1, 1, 1, 1), multiples
        with torch.no_grad():
            logits = torch.cat([full_precision(net((x + s * attack + row * across).clamp(0, 1))) for row in t])
            here = marginal_energy(full_precision(net(x)))
    return EnergySurface(
        net=name,
        multiples=multiples.cpu().numpy(),
        energy=(marginal_energy(logits) - here).view(points, points).cpu().numpy(),
        right=(logits.argmax(dim=1) == label).view(points, points).cpu().numpy(),
    )


def draw_surfaces(images: Sequence[Sequence[EnergySurface]]) -> Figure:
    """One row an image, one column a net; hatched where the net is wrong, the ball's border dotted.

    Args:
        images: the surfaces of each image, one a net.

    Raises:
        InputError: if they are of another form.
    """
    listed = isinstance(images, Sequence) and all(isinstance(row, Sequence) for row in images) and len(images) > 0
    require(listed, f"the surfaces are {kind_of(images)}; give a list of rows, as [[energy_surface(...)]]")
    columns = len(images[0])
    figure, axes = canvas(len(images), columns, height=min(3.2, 8 / columns))
    for surfaces, panels in zip(images, axes, strict=True):
        limit = max(float(np.abs(surface.energy).max()) for surface in surfaces) or 1.0
        for surface, panel in zip(surfaces, panels, strict=True):
            at = surface.multiples
            shown = panel.pcolormesh(at, at, surface.energy, cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True)
            wrong = (~surface.right).astype(float)
            panel.contourf(at, at, wrong, levels=[0.5, 1.5], colors="none", hatches=["////"])
            if 0 < wrong.mean() < 1:
                panel.contour(at, at, wrong, levels=[0.5], colors=BLACK, linewidths=1.2)
            panel.plot([-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1], color=BLACK, lw=0.8, ls=":")
            panel.plot(0, 0, "+", color=BLACK, ms=9, mew=1.6)
            panel.plot(1, 0, "x", color=BLACK, ms=7, mew=1.6)
            panel.set(title=surface.net, aspect="equal")
        panels[0].set_ylabel("random direction")
        figure.colorbar(shown, ax=list(panels), label="change of $E(x)$ [nat]")
    for panel in axes[-1]:
        panel.set_xlabel("single-step attack")
    return figure

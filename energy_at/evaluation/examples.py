"""A few images beside their adversarial ones, with what the net makes of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from energy_at.attacks import Attack
from energy_at.energy import full_precision, joint_energy, marginal_energy
from energy_at.generation.mosaics import INCHES, middles, show_mosaic
from energy_at.net_state import in_mode
from energy_at.types import Images, Labels

IMAGES = ("image", "adversarial image", "perturbation, enlarged")
COLUMNS = ("label", "prediction", "prediction, attacked", "E(x)", "E(x*)", "dE(x)", "E(x,y)", "E(x*,y)", "dE(x,y)")


@dataclass(frozen=True)
class Examples:
    """Of N images, on the CPU.

    Args:
        x: natural images [N, C, H, W] in [0, 1].
        x_adv: adversarial images, likewise.
        y: labels [N].
        logits: of the natural images, [N, K].
        logits_adv: of the adversarial ones.
        class_names: of the labels; without them the labels are their numbers.
    """

    x: Tensor
    x_adv: Tensor
    y: Tensor
    logits: Tensor
    logits_adv: Tensor
    class_names: Sequence[str] = ()

    @property
    def perturbation(self) -> Tensor:
        """x* - x, enlarged so that the longest step of each image spans half the range; grey where nothing changed."""
        step = self.x_adv - self.x
        longest = step.abs().amax(dim=(1, 2, 3), keepdim=True)
        return 0.5 + step / (2 * longest.clamp(min=torch.finfo(step.dtype).tiny))

    @property
    def pictures(self) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 [N, C, H, W] each, in the order of ``IMAGES``."""
        x, x_adv, perturbation = (
            picture.mul(255).round().to(torch.uint8) for picture in (self.x, self.x_adv, self.perturbation)
        )
        return x, x_adv, perturbation

    def rows(self) -> Iterator[list[Any]]:
        """A row of values for each image, in the order of ``COLUMNS``."""
        marginal, marginal_adv = marginal_energy(self.logits), marginal_energy(self.logits_adv)
        joint, joint_adv = joint_energy(self.logits, self.y), joint_energy(self.logits_adv, self.y)
        energies = (marginal, marginal_adv, marginal - marginal_adv, joint, joint_adv, joint - joint_adv)
        labels = (self.y, self.logits.argmax(1), self.logits_adv.argmax(1))
        for i in range(len(self.y)):
            yield [*(self.name(int(label[i])) for label in labels), *(float(energy[i]) for energy in energies)]

    def name(self, label: int) -> str:
        """Of a class."""
        return self.class_names[label] if self.class_names else str(label)


@torch.no_grad()
def examples_of(
    net: nn.Module, x: Images, y: Labels, attack: Attack, seed: int = 0, class_names: Sequence[str] = ()
) -> Examples:
    """Attack a few images in the net's evaluation mode.

    Args:
        net: maps images [N, C, H, W] in [0, 1] to logits [N, K].
        x: images, on the net's device.
        y: labels [N].
        attack: finds x*.
        seed: of its noise.
        class_names: of the labels.
    """
    with in_mode(net, False):
        x_adv = attack(net, x, y, generator=torch.Generator(x.device).manual_seed(seed))
        logits, logits_adv = full_precision(net(x)), full_precision(net(x_adv))
    return Examples(x.cpu(), x_adv.cpu(), y.cpu(), logits.cpu(), logits_adv.cpu(), class_names)


def draw_examples(examples: Examples) -> Figure:
    """Images, adversarial images and enlarged perturbations in three rows; labels above, what is predicted below."""
    rows = list(examples.rows())
    figure = Figure(figsize=(INCHES * len(rows) + 2.2, INCHES * 3 + 1.2), layout="constrained")
    axes = figure.subplots()
    show_mosaic(axes, examples.pictures, IMAGES)
    places = middles(examples.x.shape[-1], len(rows))
    axes.set_xticks(places, [f"{row[1]}\n{row[2]}\n{row[5]:+.2f}" for row in rows], fontsize=7, parse_math=False)
    axes.set_xlabel("predicted, predicted under attack, dE(x)", fontsize=8)
    above = axes.secondary_xaxis("top")
    above.set_xticks(places, [row[0] for row in rows], fontsize=7, parse_math=False)
    above.tick_params(length=0)
    above.spines[:].set_visible(False)
    return figure

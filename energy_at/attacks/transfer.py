"""Adversarial images that are made on one net, and meant for another."""

import torch
from torch import nn

from energy_at.attacks.base import AroundAnother, Attack
from energy_at.net_state import in_mode
from energy_at.types import Images, Labels


class Transfer(AroundAnother):
    """Crafts images on another net than the one that is attacked (arXiv 1605.07277).

    Args:
        attack: what crafts them.
        source: the other net; used in evaluation mode, and put where the images are.
    """

    def __init__(self, attack: Attack, source: nn.Module) -> None:
        super().__init__(attack)
        self.source = source

    def check(self, net: nn.Module, classes: int) -> None:
        """See ``Attack``; asked of the other net."""
        self.attack.check(self.source, classes)

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``; the net that is attacked is not looked at."""
        source = self.source.to(x.device)
        with in_mode(source, False):
            return self.attack(source, x, y, start, generator)

"""Targeted attacks in the place of untargeted ones: they are given the true labels and choose those to reach."""

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from energy_at.attacks.base import AroundAnother, Attack
from energy_at.types import Images, Labels, Logits, require, require_count, require_one_of

Target: TypeAlias = Literal["random", "second", "least_likely", "all"]


class Targeted(AroundAnother):
    """A targeted attack, called with the true labels: it aims at other classes, and a wrong answer of any is a success.

    Radius, norm, seed and all else are those of the attack that it holds; the noise of both comes from one generator.

    Args:
        attack: built with ``targeted=True``, such as ``PGD(targeted=True)``.
        target: the class to reach: "random" (uniform among the others), "second" (the most likely one on x but for the
            true one), "least_likely" (arXiv 1611.01236, section 2), or "all": one after the other, the likeliest first.
            An image that one of them broke is not attacked further; one that none breaks comes back from the last.
        classes: for "all", as many at most, at least 1.

    Raises:
        InputError: if the attack is not targeted, or a value is out of its range.
    """

    def __init__(self, attack: Attack, target: Target = "random", classes: int = 9) -> None:
        require(
            getattr(attack, "targeted", False),
            f"{type(attack).__name__} is not targeted, but takes labels to leave; build it with targeted: true",
        )
        super().__init__(attack)
        require_one_of("target", target, get_args(Target))
        require_count("classes", classes, 9)
        self.target = target
        self.classes = classes

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``; y holds the true labels."""
        with torch.no_grad():
            first, *others = self._targets(net(x), y, generator).unbind(dim=1)
        x_adv = self.attack.perturb(net, x, first, start, generator)
        left = torch.arange(len(x), device=x.device)
        for target in others:
            left = left[_correct(net, x_adv[left], y[left])]
            if len(left) == 0:
                break
            begin = None if start is None else start[left]
            found = self.attack.perturb(net, x[left], target[left], begin, generator)
            x_adv = x_adv.index_copy(0, left, found)
        return x_adv

    def _targets(self, logits: Logits, y: Labels, generator: torch.Generator) -> Tensor:
        """The classes to reach, [N, T] in the order in which they are tried."""
        if self.target == "random":
            step = torch.randint(1, logits.shape[1], y.shape, generator=generator, device=y.device)
            return ((y + step) % logits.shape[1]).unsqueeze(1)
        others = logits.scatter(1, y.unsqueeze(1), -torch.inf).argsort(dim=1, descending=True)[:, :-1]
        match self.target:
            case "second":
                return others[:, :1]
            case "least_likely":
                return others[:, -1:]
        return others[:, : self.classes]


@torch.no_grad()
def _correct(net: nn.Module, x: Images, y: Labels) -> Tensor:
    return net(x).argmax(dim=1) == y

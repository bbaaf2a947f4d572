"""Attacks on a defended net in other ways than through the whole of it."""

from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from energy_at.attacks.base import AroundAnother, Attack
from energy_at.types import Images, Labels, require, require_one_of

Way: TypeAlias = Literal["around", "identity"]


class ThroughDefense(AroundAnother):
    """Crafts images of a defended net by another attack; the plain attack goes through the whole of the defense.

    Args:
        attack: what crafts them.
        way: "around": on the net inside, as one that does not know of the defense does; "identity": through the
            defense in the forward pass, and as if it were the identity in the backward pass (BPDA, arXiv 1802.00420).

    Raises:
        InputError: if the way is unknown; with a net, if it is not defended.
    """

    def __init__(self, attack: Attack, way: Way = "identity") -> None:
        super().__init__(attack)
        require_one_of("way", way, get_args(Way))
        self.way = way

    def check(self, net: nn.Module, classes: int) -> None:
        """See ``Attack``."""
        self.attack.check(self._seen(net), classes)

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``."""
        return self.attack.perturb(self._seen(net), x, y, start, generator)

    def _seen(self, net: Any) -> nn.Module:
        require(
            hasattr(net, "through_identity"),
            f"{type(net).__name__} is no defended net; give evaluate --defense (a --source has none),"
            " or leave ThroughDefense out",
        )
        seen: nn.Module = net.net if self.way == "around" else net.through_identity()
        return seen

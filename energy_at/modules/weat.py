"""Weighted Energy Adversarial Training (WEAT)."""

from typing import Any

from torch import Tensor, nn

from energy_at.modules.trades import TRADES
from energy_at.objectives import Variant, weat_loss
from energy_at.types import Labels, Logits, require_one_of


class WEAT(TRADES):
    """WEAT: minimise mean w(x) [CE + beta KL], w(x) = 1 / log(1 + exp(|E(x)|)) (arXiv 2407.06315, section 4).

    The step is TRADES' own: attack, modes and separate passes.

    Args:
        net: see ``AdversarialTraining``.
        variant: cross-entropy on the natural ("nat") or on the adversarial images ("adv").
        beta: weight of the KL term, at least 0; None means the published 6 ("nat") or 7 ("adv").
        kwargs: see ``TRADES`` and ``AdversarialTraining``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(self, net: nn.Module, variant: Variant = "nat", beta: float | None = None, **kwargs: Any) -> None:
        published = {"nat": 6.0, "adv": 7.0}
        require_one_of("variant", variant, published)
        super().__init__(net, beta=published[variant] if beta is None else beta, **kwargs)
        self.variant = variant

    def loss(self, logits: Logits, logits_adv: Logits, y: Labels) -> Tensor:
        """See ``TRADES``."""
        return weat_loss(logits, logits_adv, y, self.beta, self.variant, self.label_smoothing)

"""Misclassification-aware adversarial training."""

from typing import Any, Literal

from torch import nn

from energy_at.baselines import mart_loss
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.types import Images, Labels, require, require_weight


class MART(AdversarialTraining):
    """MART: minimise BCE(x*, y) + beta KL(p(.|x) || p(.|x*)) (1 - p(y|x)) (openreview rklOg6EFwS, ICLR 2020).

    Args:
        net: see ``AdversarialTraining``.
        beta: weight of the second term, at least 0; published: 5 (the paper's lambda).
        attack_mode: the net's mode during the training attack; the published code attacks in "eval".
        kwargs: see ``AdversarialTraining``; ``attack`` defaults to PGD-10 on the cross-entropy at 8/255.

    Raises:
        InputError: if a value is out of its range, or label_smoothing is given, which MART's loss has no place for.
    """

    takes_shares = False

    def __init__(
        self, net: nn.Module, beta: float = 5.0, attack_mode: Literal["train", "eval"] = "eval", **kwargs: Any
    ) -> None:
        super().__init__(net, attack_mode=attack_mode, **kwargs)
        require_weight("beta", beta, example=5)
        require(
            self.label_smoothing == 0,
            f"label_smoothing is {self.label_smoothing}, but MART's cross-entropy has none; write label_smoothing: 0",
        )
        self.beta = beta

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        x_adv = self.perturb(x, y)
        logits, logits_adv = self(x), self(x_adv)
        return {"loss": mart_loss(logits, logits_adv, y, self.beta), "logits": logits, "logits_adv": logits_adv}

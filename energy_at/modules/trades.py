"""TRADES."""

from typing import Any, Literal

from torch import Tensor, nn

from energy_at.attacks import PGD
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.objectives import trades_loss
from energy_at.types import Images, Labels, Logits, require_weight


class TRADES(AdversarialTraining):
    """TRADES: minimise CE(x, y) + beta KL(p(.|x) || p(.|x*)), x* maximising that KL (arXiv 1901.08573).

    As in the published code the attack sees the net in evaluation mode and starts at x + 0.001 N(0, 1); natural and
    adversarial images then pass separately through the net in training mode, so that batch norm sees them apart. (That
    code passes the natural images twice; once gives the same loss and gradients.)

    Args:
        net: see ``AdversarialTraining``.
        beta: weight of the KL term, at least 0.
        attack_mode: see ``AdversarialTraining``.
        kwargs: see ``AdversarialTraining``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self, net: nn.Module, beta: float = 6.0, attack_mode: Literal["train", "eval"] = "eval", **kwargs: Any
    ) -> None:
        require_weight("beta", beta, example=6)
        super().__init__(net, attack_mode=attack_mode, **kwargs)
        self.beta = beta

    def default_attack(self) -> PGD:
        """PGD-10 on the KL divergence, step 2/255."""
        return PGD(loss="kl", start="gaussian")

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        x_adv = self.perturb(x, y)
        logits, logits_adv = self(x), self(x_adv)
        return {"loss": self.loss(logits, logits_adv, y), "logits": logits, "logits_adv": logits_adv}

    def loss(self, logits: Logits, logits_adv: Logits, y: Labels) -> Tensor:
        """The scalar to minimise, from logits [N, K]."""
        return trades_loss(logits, logits_adv, y, self.beta, self.label_smoothing)

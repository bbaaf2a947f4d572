"""Adversarial training without abnormal adversarial examples."""

from typing import Any

from torch import nn

from energy_at.attacks import PGD, RSFGSM
from energy_at.baselines import aaer_penalty
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.modules.parts import check_start
from energy_at.objectives import at_loss
from energy_at.types import Images, Labels, require_weight


class AAER(AdversarialTraining):
    """AAER: minimise CE(x*, y) + a penalty on the images whose loss the attack lowers (arXiv 2404.08154).

    See ``aaer_penalty``. The pass over the attack's starting points takes no gradient, and leaves no trace in
    batch-norm statistics. The penalty compares the images of a batch; with ``micro_batch``, those of each part.

    With lambda1 lambda2 above 1, as published, it *raises* the loss of the abnormal images, by (lambda1 lambda2 - 1)
    times its gradient. In trainings of six epochs at 16/255 that diverged, and with lambda1 0.3 it did not:
    docs/results.md.

    Args:
        net: see ``AdversarialTraining``.
        lambda1: of the whole penalty, at least 0; published: 1.
        lambda2: of the loss's decrease; published for CIFAR-10 with RS-FGSM at 8, 12, 16/255: 2.5, 5, 7.
        lambda3: of the logits' movement; published likewise: 1.5, 2.75, 3.25.
        kwargs: see ``AdversarialTraining``; ``attack`` defaults to RS-FGSM at 8/255.

    Raises:
        InputError: if a value is out of its range, or the attack has no start.
    """

    def __init__(
        self, net: nn.Module, lambda1: float = 1.0, lambda2: float = 2.5, lambda3: float = 1.5, **kwargs: Any
    ) -> None:
        super().__init__(net, **kwargs)
        for name, value in {"lambda1": lambda1, "lambda2": lambda2, "lambda3": lambda3}.items():
            require_weight(name, value)
        check_start(self.attack)
        self.lambda1 = lambda1
        self.lambda2 = lambda2
        self.lambda3 = lambda3

    def default_attack(self) -> PGD:
        """See ``AdversarialTraining``."""
        return RSFGSM()

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        start = self.draw_start(x)
        logits_adv = self(self.perturb(x, y, start))
        loss = at_loss(logits_adv, y, self.label_smoothing)
        if self.lambda1:
            weights = self.lambda1, self.lambda2, self.lambda3
            loss = loss + aaer_penalty(self.natural_logits(start), logits_adv, y, *weights)
        return {"loss": loss, "logits_adv": logits_adv}

"""Adversarial training with aligned input gradients."""

from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energy_at.attacks import FGSM, PGD
from energy_at.baselines import grad_align_loss, gradient_alignment
from energy_at.energy import full_precision
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.modules.parts import check_ball
from energy_at.net_state import statistics_kept
from energy_at.objectives import at_loss
from energy_at.types import Images, Labels, require_share, require_weight


class GradAlign(AdversarialTraining):
    """GradAlign: minimise CE(x*, y) + weight (1 - mean cos(grad l(x), grad l(x + eta))) (arXiv 2007.02617).

    eta is uniform in the attack's ball. The gradient at x + eta is differentiated once more, the one at x is constant
    (so in the published code, tml-epfl/understanding-fast-adv-training, with FGSM).

    Args:
        net: see ``AdversarialTraining``.
        weight: of the penalty, at least 0; published for CIFAR-10 at eps 8/255: 0.2, at 16/255: 2; for SVHN at 8/255:
            2.5.
        share: of each batch that the penalty looks at, in (0, 1]; published: all of it, which costs as much as three
            to four steps of FGSM.
        kwargs: see ``AdversarialTraining``; ``attack`` defaults to FGSM at 8/255.

    Raises:
        InputError: if a value is out of its range, or the attack has no ball.
    """

    def __init__(self, net: nn.Module, weight: float = 0.2, share: float = 1.0, **kwargs: Any) -> None:
        super().__init__(net, **kwargs)
        require_weight("weight", weight)
        require_share(share)
        check_ball(self.attack)
        self.weight = weight
        self.share = share

    def default_attack(self) -> PGD:
        """See ``AdversarialTraining``."""
        return FGSM()

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        logits_adv = self(self.perturb(x, y))
        if self.weight == 0:
            return {"loss": at_loss(logits_adv, y, self.label_smoothing), "logits_adv": logits_adv}
        seen = ceil(self.share * len(x))
        alignment = self._alignment(x[:seen], y[:seen])
        loss = grad_align_loss(logits_adv, y, alignment, self.weight, self.label_smoothing)
        return {"loss": loss, "logits_adv": logits_adv}

    def _alignment(self, x: Images, y: Labels) -> Tensor:
        attack = self.scheduled_attack()
        noise = attack.threat.noise(x, attack.eps, self.step_generator(1))
        return gradient_alignment(self._input_gradient(x, y, False), self._input_gradient(x + noise, y, True))

    def _input_gradient(self, x: Images, y: Labels, create_graph: bool) -> Images:
        x = x.detach().requires_grad_()
        # a compiled net can be differentiated once only; the sum, because half precision loses a mean's gradients
        with torch.enable_grad(), statistics_kept(self.net), self._compilation.eager():
            loss = F.cross_entropy(self(x), y, reduction="sum")
            return full_precision(torch.autograd.grad(loss, x, create_graph=create_graph)[0])

"""Adversarial training with a loss that is linear within the ball."""

from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energy_at.attacks import FGSM, PGD
from energy_at.baselines import local_linearity_error
from energy_at.energy import full_precision
from energy_at.lengths import per_image
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.modules.parts import check_ball
from energy_at.objectives import at_loss
from energy_at.types import Images, Labels, require, require_share, require_weight


class ELLE(AdversarialTraining):
    """ELLE: minimise CE(x*, y) + weight mean [l(x_c) - (1 - t) l(x_a) - t l(x_b)]^2 (arXiv 2401.11618).

    x_a and x_b are uniform in the attack's ball around x, not clipped to [0, 1] (so in the published code for CIFAR,
    LIONS-EPFL/ELLE), and x_c = (1 - t) x_a + t x_b with t uniform in [0, 1]. ``LinearDER`` is its relative with
    energies. ELLE-A's weight follows the error of the batch that it weighs, as in their code for ImageNet; in that for
    CIFAR it follows the error before.

    Args:
        net: see ``AdversarialTraining``.
        weight: of the penalty, at least 0; published for CIFAR-10: 1000 up to eps 8/255, 5000 up to 20/255. Their loop
            updates twice a batch, so look for your own on a validation split.
        adaptive: ELLE-A: the weight is 0 until a batch's error is above mean + 2 standard deviations of all before
            (at least three); ``weight`` then, and ``decay`` times the one before at every batch whose error is not.
        decay: of the adaptive weight, in (0, 1).
        share: of each batch that the penalty looks at, in (0, 1]; published: all of it, which costs three passes.
        kwargs: see ``AdversarialTraining``; ``attack`` defaults to FGSM at 8/255.

    Raises:
        InputError: if a value is out of its range, or the attack has no ball.
    """

    seen: Tensor

    def __init__(
        self,
        net: nn.Module,
        weight: float = 1000.0,
        adaptive: bool = False,
        decay: float = 0.99,
        share: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(net, **kwargs)
        require_weight("weight", weight)
        require(0 < decay < 1, f"decay is {decay}, but it is a factor in (0, 1); write decay: 0.99")
        require_share(share)
        check_ball(self.attack)
        self.weight = weight
        self.adaptive = adaptive
        self.decay = decay
        self.share = share
        if adaptive:  # how many errors, their sum, the sum of their squares, and the present weight
            self.register_buffer("seen", torch.zeros(4, dtype=torch.float64))

    def default_attack(self) -> PGD:
        """See ``AdversarialTraining``."""
        return FGSM()

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        logits_adv = self(self.perturb(x, y))
        loss = at_loss(logits_adv, y, self.label_smoothing)
        if self.weight:
            seen = ceil(self.share * len(x))
            error = self._error(x[:seen], y[:seen])
            loss = loss + (self._adapted(error.detach()) if self.adaptive else self.weight) * error
        return {"loss": loss, "logits_adv": logits_adv}

    def _error(self, x: Images, y: Labels) -> Tensor:
        attack, generator = self.scheduled_attack(), self.step_generator(1)
        a, b = (x + attack.threat.noise(x, attack.eps, generator) for _ in range(2))
        t = torch.rand(len(x), device=x.device, dtype=x.dtype, generator=generator)
        c = torch.lerp(a, b, per_image(t, x))
        logits = full_precision(self(torch.cat([a, b, c])))
        losses = F.cross_entropy(logits, torch.cat([y, y, y]), reduction="none")
        at_a, at_b, at_c = losses.chunk(3)
        return local_linearity_error(at_a, at_b, at_c, t.to(losses))

    def _adapted(self, error: Tensor) -> Tensor:
        """The weight for this error, on the device, so that no step waits for it."""
        count, total, squares, weight = self.seen.unbind()
        mean = total / count.clamp(min=1)
        std = (squares / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt()
        surges = (count > 2) & (error > mean + 2 * std)
        weight = torch.where(surges, self.weight, self.decay * weight)
        self.seen.copy_(torch.stack([count + 1, total + error, squares + error.double().square(), weight]))
        return weight.to(error)

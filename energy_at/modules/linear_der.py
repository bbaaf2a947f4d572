"""Adversarial training with a penalty on the curvature of the energies along the attack's own step."""

from math import ceil
from typing import Any, get_args

import torch
from torch import nn

from energy_at.lengths import per_image
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.modules.parts import check_start
from energy_at.objectives import Terms, linear_der_loss
from energy_at.types import Images, Labels, require_one_of, require_share, require_weight


class LinearDER(AdversarialTraining):
    """LinearDER: minimise CE(x*, y) + weight [mean c(x)^2 + mean c(x, y)^2], c the curvature of the energies.

    This project's own form of the Delta Energy Regularizer, and a relative of ELLE (arXiv 2401.11618), which asks the
    same of the cross-entropy between two random points of the ball: here the energies are asked, each apart, between
    the attack's start and end, clipped to [0, 1], on a part of the batch. ``DER`` asks for dE = 0 at the points that
    the attack visits, and a net can grant that and break beside them. LinearDER asks nothing of dE's size: at a
    random point between the attack's start x0 and its end x*, x_t = x0 + t (x* - x0), dE from the start has to be t
    times what it is at the end: c = dE(x0, x_t) - t dE(x0, x*). The idea: a net that overfits catastrophically has its
    highest loss within the step, so it is far from linear along it. What was measured: docs/results.md.

    Args:
        net: see ``AdversarialTraining``.
        weight: of the penalty, at least 0; with 0 the training is ``StandardAT``.
        terms: penalise the curvature of E(x) ("marginal"), E(x, y) ("joint") or "both".
        share: of each batch that the penalty looks at, in (0, 1]; its two further points an image cost a pass each.
        kwargs: see ``AdversarialTraining``.

    Raises:
        InputError: if a value is out of its range, or the attack has no start.
    """

    def __init__(
        self, net: nn.Module, weight: float = 30.0, terms: Terms = "both", share: float = 0.25, **kwargs: Any
    ) -> None:
        super().__init__(net, **kwargs)
        require_weight("weight", weight)
        require_one_of("terms", terms, get_args(Terms))
        require_share(share)
        check_start(self.attack)
        self.weight = weight
        self.terms = terms
        self.share = share

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        start = self.draw_start(x)
        x_adv = self.perturb(x, y, start)
        seen = ceil(self.share * len(x)) if self.weight else 0
        position = torch.rand(seen, device=x.device, dtype=x.dtype, generator=self.step_generator(1))
        between = torch.lerp(start[:seen], x_adv[:seen], per_image(position, x))
        # in one pass, so that batch norm gives all points of a line the same statistics
        logits_start, logits_between, logits_adv = self(torch.cat([start[:seen], between, x_adv])).split(
            [seen, seen, len(x)]
        )
        loss = linear_der_loss(
            logits_start, logits_between, logits_adv, y, position, self.weight, self.terms, self.label_smoothing
        )
        return {"loss": loss, "logits_adv": logits_adv}

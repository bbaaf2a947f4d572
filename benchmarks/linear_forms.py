"""Forms between ELLE and LinearDER, one difference each, for ``energy-at reproduce elle-jpeg16`` from the checkout."""

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F

from energy_at import LinearDER
from energy_at.baselines import local_linearity_error
from energy_at.modules.base import Outputs
from energy_at.objectives import at_loss, delta_energy_curvature
from energy_at.types import Images, Labels, Logits, PerSample


class OnPoints(LinearDER):
    """RS-FGSM and a penalty on a share of the batch at three points a line; subclasses choose points and penalty.

    As it stands it is LinearDER, but for batch norm, which sees the attack's end twice.
    """

    def ends(self, x: Images, x0: Images, x_adv: Images) -> tuple[Images, Images]:
        """The line's two ends: the attack's start and end, as LinearDER's."""
        return x0, x_adv

    def penalty(self, a: Logits, c: Logits, b: Logits, y: Labels, t: PerSample) -> Tensor:
        """From the logits at the ends and between them: LinearDER's."""
        return delta_energy_curvature(a, c, b, y, t, self.terms)

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        x0 = self.draw_start(x)
        x_adv = self.perturb(x, y, x0)
        seen = ceil(self.share * len(x))
        t = torch.rand(seen, dtype=x.dtype, device=x.device, generator=self.step_generator(1))
        a, b = self.ends(x[:seen], x0[:seen], x_adv[:seen])
        c = torch.lerp(a, b, t.view(-1, *[1] * (x.ndim - 1)))
        *line, logits_adv = self(torch.cat([a, c, b, x_adv])).split([seen, seen, seen, len(x)])
        loss = at_loss(logits_adv, y) + self.weight * self.penalty(*line, y[:seen], t)
        return {"loss": loss, "logits_adv": logits_adv}


class EnergiesInTheBall(OnPoints):
    """LinearDER's energies between two random points of the ball, not clipped."""

    def ends(self, x: Images, x0: Images, x_adv: Images) -> tuple[Images, Images]:
        """Two random points of the ball, as ELLE's."""
        generator = self.step_generator(2)
        a, b = (x + self.attack.threat.noise(x, self.attack.eps, generator) for _ in range(2))
        return a, b


class CrossEntropyOnTheStep(OnPoints):
    """ELLE's cross-entropy between the attack's start and end."""

    def penalty(self, a: Logits, c: Logits, b: Logits, y: Labels, t: PerSample) -> Tensor:
        """ELLE's."""
        return local_linearity_error(*(F.cross_entropy(logits, y, reduction="none") for logits in (a, b, c)), t)


class CrossEntropyInTheBall(EnergiesInTheBall):
    """ELLE on a share of the batch, with its random points in one pass with the adversarial images."""

    penalty = CrossEntropyOnTheStep.penalty

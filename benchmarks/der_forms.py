"""DER asked about more than its own step, for ``energy-at reproduce der-jpeg`` from the checkout."""

import torch

from energy_at import DER
from energy_at.modules.base import Outputs
from energy_at.objectives import at_loss, delta_energy_penalty, der_loss
from energy_at.types import Images, Labels


class InThreeDirections(DER):
    """DER at the attack's end and at two random corners of the ball: dE from the start is to be 0 at all three."""

    def corners(self, x: Images) -> list[Images]:
        """Two random corners of the ball around each image, clipped to [0, 1]."""
        generator = self.step_generator(1)
        signs = [torch.randint(2, x.shape, generator=generator, dtype=x.dtype, device=x.device) * 2 - 1 for _ in (1, 2)]
        return [(x + float(self.attack.eps) * sign).clamp(0, 1) for sign in signs]

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        x0 = self.draw_start(x)
        points = [x0, self.perturb(x, y, x0), *self.corners(x)]
        start, *ends = self(torch.cat(points)).chunk(len(points))
        penalties = [delta_energy_penalty(start, end, y, self.terms, self.penalty, self.detach) for end in ends]
        loss = at_loss(ends[0], y) + self.weight * torch.stack(penalties).mean()
        return {"loss": loss, "logits_adv": ends[0]}


class Growing(DER):
    """DER whose weight grows with the epochs, in a straight line from ``weight`` to ten times that."""

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        x0 = self.draw_start(x)
        start, end = self._both(x0, self.perturb(x, y, x0))
        weight = self.weight * (1 + 9 * self.current_epoch / max(1, (self.trainer.max_epochs or 1) - 1))
        loss = der_loss(start, end, y, weight, self.terms, self.penalty, self.detach, self.label_smoothing)
        return {"loss": loss, "logits_adv": end}

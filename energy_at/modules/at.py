"""Standard adversarial training."""

from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.objectives import at_loss
from energy_at.types import Images, Labels


class StandardAT(AdversarialTraining):
    """Standard AT: minimise CE(x*, y), x* from PGD (arXiv 1706.06083) or a single-step attack (arXiv 2001.03994).

    Arguments: see ``AdversarialTraining``; ``attack`` defaults to PGD-10 at 8/255.
    """

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        logits_adv = self(self.perturb(x, y))
        return {"loss": at_loss(logits_adv, y, self.label_smoothing), "logits_adv": logits_adv}

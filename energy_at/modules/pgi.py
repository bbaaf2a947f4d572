"""Adversarial training whose attack starts from what it found before."""

from typing import Any

from torch import nn
from torch.nn import functional as F

from energy_at.attacks import FGSM, PGD
from energy_at.modules.base import AdversarialTraining
from energy_at.modules.judging import Batch
from energy_at.modules.micro_batch import Outputs
from energy_at.modules.parts import check_start
from energy_at.objectives import at_loss
from energy_at.types import Images, Labels, require_weight


class PGI(AdversarialTraining):
    """FGSM-PGI: minimise CE(x*, y) + weight mean_k (f(x*)[k] - f(x0)[k])^2, x0 from a prior (arXiv 2207.08859).

    The attack starts at x0 = x + the perturbation of the image at the same place of the batch before, so that it costs
    nothing to draw, and is as far from x as what the net was trained against last; the first batch starts where the
    attack does. The penalty is a relative of ``DER`` from the attack's start: squares of all logits' differences in the
    place of the energies'. Start and end are passed one after the other, as in the published code.

    A RECONSTRUCTION of the paper's FGSM-BP, whose text was not at hand: loss and step are those of the published code,
    which has FGSM-MEP alone. That keeps a perturbation for each training image, which every process would have to hold,
    and is not here. At eps 16/255 the penalty spoiled the last of 15 epochs; the start alone (weight 0), which costs
    nothing, kept FGSM from catastrophic overfitting, and so did one drawn at random from the same three values,
    ``FGSM(start="ternary")``, which keeps nothing from batch to batch (docs/results.md).

    A training that goes on has the prior of its first process in all.

    Args:
        net: see ``AdversarialTraining``.
        weight: of the penalty, at least 0; published: 10.
        kwargs: see ``AdversarialTraining``; ``attack`` defaults to FGSM at 8/255.

    Raises:
        InputError: if a value is out of its range, or the attack has no start.
    """

    def __init__(self, net: nn.Module, weight: float = 10.0, **kwargs: Any) -> None:
        super().__init__(net, **kwargs)
        require_weight("weight", weight, example=10)
        check_start(self.attack)
        self.weight = weight
        self.prior: Images | None = None

    def default_attack(self) -> PGD:
        """See ``AdversarialTraining``."""
        return FGSM()

    def draw_start(self, x: Images) -> Images:
        """See ``AdversarialTraining``; from the prior, where there is one for as many images."""
        if self._start is not None or self.prior is None or len(self.prior) < len(x):
            return super().draw_start(x)
        attack: Any = self.scheduled_attack()
        start: Images = attack.project(x + self.prior[: len(x)].to(x), x)
        return start

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``; beside its outputs, "perturbation" [N, C, H, W]."""
        start = self.draw_start(x)
        x_adv = self.perturb(x, y, start)
        logits_start = self(start) if self.weight else None
        logits_adv = self(x_adv)
        loss = at_loss(logits_adv, y, self.label_smoothing)
        if logits_start is not None:
            loss = loss + self.weight * F.mse_loss(logits_adv, logits_start)
        return {"loss": loss, "logits_adv": logits_adv, "perturbation": x_adv - x}

    def training_step(self, batch: Batch, batch_idx: int) -> Outputs:
        """See ``AdversarialTraining``; keeps the batch's perturbation."""
        outputs = super().training_step(batch, batch_idx)
        self.prior = outputs.pop("perturbation")
        return outputs

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See ``AdversarialTraining``; keeps the prior."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["prior"] = self.prior

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See ``on_save_checkpoint``."""
        self.prior = checkpoint.get("prior")

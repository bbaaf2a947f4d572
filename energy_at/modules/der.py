"""Adversarial training with the Delta Energy Regularizer (DER)."""

from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from energy_at.modules.base import AdversarialTraining
from energy_at.modules.micro_batch import Outputs
from energy_at.objectives import Detach, Penalty, Terms, at_loss, der_loss
from energy_at.types import Images, Labels, Logits, require, require_one_of, require_weight

Reference: TypeAlias = Literal["natural", "start"]
Passes: TypeAlias = Literal["joint", "separate"]


class DER(AdversarialTraining):
    """DER: minimise CE(x*, y) + weight [mean phi(dE(x)) + mean phi(dE(x, y))] (arXiv 2505.22486).

    The penalty is a RECONSTRUCTION: the publicly readable text of the paper gives neither its form nor its weight, so
    both are options here. The defaults are those that prevented catastrophic overfitting on images of 16x16 pixels;
    what prevented robust overfitting is the penalty on dE(x, y), by itself or in "both" (docs/results.md). With weight
    0 the reference images are not passed and the training is ``StandardAT``.

    Args:
        net: see ``AdversarialTraining``.
        weight: of the penalty, at least 0.
        terms: penalise dE(x) ("marginal"), dE(x, y) ("joint") or "both".
        penalty: phi(t) = t^2 ("squared"), |t| ("absolute"), or max(t, 0)^2 ("hinge").
        reference: energy differences against the "natural" image or the "start" of the attack (which for an attack
            without random start is the natural image).
        detach: the side that carries no gradient: "none", "reference" or "adversarial".
        passes: reference and adversarial images in one "joint" pass through the net, or in "separate" ones; it decides
            which images share their batch-norm statistics.
        kwargs: see ``AdversarialTraining``.

    Raises:
        InputError: if a value is out of its range, or the attack has no start to refer to.
    """

    def __init__(
        self,
        net: nn.Module,
        weight: float = 4.0,
        terms: Terms = "marginal",
        penalty: Penalty = "squared",
        reference: Reference = "start",
        detach: Detach = "none",
        passes: Passes = "joint",
        **kwargs: Any,
    ) -> None:
        super().__init__(net, **kwargs)
        require_weight("weight", weight)
        require_one_of("terms", terms, get_args(Terms))
        require_one_of("penalty", penalty, get_args(Penalty))
        require_one_of("reference", reference, get_args(Reference))
        require_one_of("detach", detach, get_args(Detach))
        require_one_of("passes", passes, get_args(Passes))
        require(
            reference == "natural" or hasattr(self.attack, "draw_start"),
            f"{type(self.attack).__name__} has no starting point; use reference: natural",
        )
        self.weight = weight
        self.terms = terms
        self.penalty = penalty
        self.reference = reference
        self.detach = detach
        self.passes = passes

    def objective(self, x: Images, y: Labels) -> Outputs:
        """See ``AdversarialTraining``."""
        if self.weight == 0:
            logits_adv = self(self.perturb(x, y))
            return {"loss": at_loss(logits_adv, y, self.label_smoothing), "logits_adv": logits_adv}
        start = None
        if self.reference == "start":
            start = self.draw_start(x)
        x_adv = self.perturb(x, y, start)
        logits_ref, logits_adv = self._both(x if start is None else start, x_adv)
        loss = der_loss(
            logits_ref, logits_adv, y, self.weight, self.terms, self.penalty, self.detach, self.label_smoothing
        )
        natural = {"logits": logits_ref} if start is None else {}
        return {"loss": loss, "logits_adv": logits_adv, **natural}

    def _both(self, reference: Images, x_adv: Images) -> tuple[Logits, Logits]:
        if self.passes == "joint":
            logits_ref, logits_adv = self(torch.cat([reference, x_adv])).chunk(2)
            return logits_ref, logits_adv
        with torch.set_grad_enabled(self.detach != "reference"):
            logits_ref = self(reference)
        return logits_ref, self(x_adv)

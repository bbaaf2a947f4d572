"""What is kept of every image in place of its logits: [N] values, so that 50,000 images of 1000 classes need little."""

import torch
from torch import Tensor

from energy_at.energy import joint_energy, kl_divergence, marginal_energy, trades_kl_terms
from energy_at.types import Labels, Logits


@torch.no_grad()
def natural_values(logits: Logits, y: Labels) -> dict[str, Tensor]:
    """Label, prediction, correctness, confidence max_k p(k|x), E(x) and E(x, y) of every image.

    Args:
        logits: [N, K].
        y: [N].

    Returns:
        [N] each: "label", "prediction", "correct", "confidence", "E_marginal", "E_joint"; energies in double precision.
    """
    logits = logits.double()
    confidence, prediction = logits.softmax(dim=1).max(dim=1)
    return {
        "label": y,
        "prediction": prediction,
        "correct": prediction == y,
        "confidence": confidence,
        "E_marginal": marginal_energy(logits),
        "E_joint": joint_energy(logits, y),
    }


@torch.no_grad()
def adversarial_values(logits: Logits, logits_adv: Logits, y: Labels) -> dict[str, Tensor]:
    """The same of adversarial images, with dE(x), dE(x, y) and TRADES' KL in its two terms.

    KL(p(.|x) || p(.|x*)) = sum_k p(k|x) [E(x*, k) - E(x, k)] + dE(x): "kl" is "kl_conditional" + "dE_marginal",
    exactly (arXiv 2407.06315, section 3).

    Args:
        logits: [N, K] of the natural images x.
        logits_adv: [N, K] of the adversarial images x*.
        y: [N], the true labels.

    Returns:
        [N] each: those of ``natural_values`` for x*, "dE_marginal", "dE_joint", "kl_conditional" and "kl".
    """
    adversarial = natural_values(logits_adv, y)
    logits, logits_adv = logits.double(), logits_adv.double()
    conditional, delta_marginal = trades_kl_terms(logits, logits_adv)
    return {
        **adversarial,
        "dE_marginal": delta_marginal,
        "dE_joint": joint_energy(logits, y) - adversarial["E_joint"],
        "kl_conditional": conditional,
        "kl": kl_divergence(logits, logits_adv),
    }

"""What is kept of every image in place of its logits: [N] values, so that 50,000 images of 1000 classes need little."""

import torch
from torch import Tensor, nn

from energy_at.attacks.base import caller_state_kept
from energy_at.energy import joint_energy, kl_divergence, marginal_energy, trades_kl_terms
from energy_at.types import Images, Labels, Logits, PerSample


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


def gradient_norm(net: nn.Module, x: Images) -> PerSample:
    """||grad_x E(x)||_2 of every image, JEM's "approximate mass" with its sign turned (arXiv 1912.03263, section 5.3).

    Args:
        net: maps images in [0, 1] to logits.
        x: [N, C, H, W] in [0, 1].

    Returns:
        [N], nats a unit of the images' scale, in double precision; 0 for a net that cannot be differentiated.
    """
    with caller_state_kept(net, x):
        x = x.detach().clone().requires_grad_()
        energy = marginal_energy(net(x))
        grad = torch.autograd.grad(energy.sum(), x)[0] if energy.requires_grad else torch.zeros_like(x)
    return grad.flatten(1).double().norm(dim=1)

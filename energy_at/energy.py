"""Energies of a classifier and the exact decompositions of its losses. Pure functions of logits.

A classifier with logits f(x) defines E(x, y) = -f(x)[y] and E(x) = -logsumexp_k f(x)[k] (JEM, arXiv 1912.03263;
arXiv 2407.06315, section 3). Sign of the differences: dE(x) = E(x) - E(x*) > 0 means that the adversarial image x*
has the LOWER energy, so the model finds it more in-distribution than the original.
"""

import torch
from torch.nn import functional as F

from energy_at.labels import are_shares
from energy_at.types import Labels, Logits, PerSample


def full_precision(logits: Logits) -> Logits:
    """Logits in float32 at least: half precision rounds energies of 20 to steps of 0.1.

    Args:
        logits: [N, K], any floating dtype.
    """
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def marginal_energy(logits: Logits) -> PerSample:
    """E(x) = -logsumexp_k f(x)[k], the energy of the image under the model's density (arXiv 2407.06315, eq. 2).

    Args:
        logits: [N, K].

    Returns:
        [N].
    """
    return -torch.logsumexp(logits, dim=1)


def joint_energy(logits: Logits, y: Labels) -> PerSample:
    """E(x, y) = -f(x)[y], the energy of image and label together (arXiv 2407.06315, eq. 2).

    Args:
        logits: [N, K].
        y: [N], labels in 0..K-1; or [N, K], shares of classes, for sum_k y_k E(x, k).

    Returns:
        [N].
    """
    return -(logits * y).sum(dim=1) if are_shares(y) else -logits.gather(1, y.unsqueeze(1)).squeeze(1)


def delta_marginal_energy(logits: Logits, logits_adv: Logits) -> PerSample:
    """dE(x) = E(x) - E(x*), positive where the adversarial image has the lower energy.

    Args:
        logits: [N, K] of the natural images x.
        logits_adv: [N, K] of the adversarial images x*.

    Returns:
        [N].
    """
    return marginal_energy(logits) - marginal_energy(logits_adv)


def delta_joint_energy(logits: Logits, logits_adv: Logits, y: Labels) -> PerSample:
    """dE(x, y) = E(x, y) - E(x*, y), negative where the attack takes evidence from the label.

    Args:
        logits: [N, K] of the natural images x.
        logits_adv: [N, K] of the adversarial images x*.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.

    Returns:
        [N].
    """
    return joint_energy(logits, y) - joint_energy(logits_adv, y)


def cross_entropy_terms(logits: Logits, y: Labels) -> tuple[PerSample, PerSample]:
    """CE(x, y) = E(x, y) + (-E(x)), exactly: the two terms of the cross-entropy (arXiv 2407.06315, eq. 4).

    Args:
        logits: [N, K].
        y: [N], labels in 0..K-1, or [N, K], shares of classes.

    Returns:
        E(x, y) and -E(x), [N] each; their sum is the cross-entropy.
    """
    return joint_energy(logits, y), -marginal_energy(logits)


def trades_kl_terms(logits: Logits, logits_adv: Logits) -> tuple[PerSample, PerSample]:
    """KL(p(.|x) || p(.|x*)) = sum_k p(k|x) [E(x*, k) - E(x, k)] + dE(x), exactly (arXiv 2407.06315, section 3).

    Args:
        logits: [N, K] of the natural images x.
        logits_adv: [N, K] of the adversarial images x*.

    Returns:
        The conditional and the marginal term, [N] each; their sum is TRADES' KL divergence.
    """
    conditional = (logits.softmax(dim=1) * (logits - logits_adv)).sum(dim=1)
    return conditional, delta_marginal_energy(logits, logits_adv)


def kl_divergence(logits: Logits, logits_adv: Logits) -> PerSample:
    """KL(p(.|x) || p(.|x*)) of each image, from log-probabilities.

    Args:
        logits: [N, K] of the natural images x.
        logits_adv: [N, K] of the adversarial images x*.

    Returns:
        [N], at least 0.
    """
    log_p, log_p_adv = logits.log_softmax(dim=1), logits_adv.log_softmax(dim=1)
    divergence = F.kl_div(log_p_adv, log_p, reduction="none", log_target=True).sum(dim=1)
    # what rounding takes below 0 is lifted by a constant, so that its gradient stays what it is
    return divergence + (-divergence.detach()).clamp(min=0)


def energy_auc(energies: PerSample, contrast: PerSample) -> torch.Tensor:
    """The area under the ROC curve: the share of pairs with the lower energy at the real image, ties counting half.

    Args:
        energies: [N], of real images.
        contrast: [M], of contrastive images.

    Returns:
        Scalar in [0, 1]; 0.5 where nothing tells the two apart.
    """
    difference = contrast[None, :] - energies[:, None]
    return ((difference > 0).float() + 0.5 * (difference == 0).float()).mean()


def energy_overlap(energies: PerSample, contrast: PerSample, bins: int = 64) -> torch.Tensor:
    """Overlap of two histograms over the same bins, sum_b min(p_b, q_b): 1 where they agree, 0 where they are apart.

    Args:
        energies: [N].
        contrast: [M].
        bins: equal ones between the extremes of both.
    """
    both = torch.cat([energies, contrast])
    edges = torch.linspace(0, 1, bins + 1, device=both.device, dtype=both.dtype)
    edges = torch.lerp(both.min(), both.max(), edges)

    def shares(values: PerSample) -> torch.Tensor:
        places = torch.searchsorted(edges, values, right=True).sub_(1).clamp_(0, bins - 1)
        return edges.new_zeros(bins).scatter_add_(0, places, torch.ones_like(values)) / len(values)

    return torch.minimum(shares(energies), shares(contrast)).sum()

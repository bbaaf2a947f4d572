"""The losses of standard AT, TRADES, WEAT, DER and LinearDER. Pure functions of logits, averaged over the batch."""

from typing import Literal, TypeAlias, get_args

import torch
from torch.nn import functional as F

from energy_at.energy import (
    delta_joint_energy,
    delta_marginal_energy,
    full_precision,
    kl_divergence,
    marginal_energy,
)
from energy_at.types import Labels, Logits, PerSample, require_one_of

Variant: TypeAlias = Literal["nat", "adv"]
Terms: TypeAlias = Literal["marginal", "joint", "both"]
Penalty: TypeAlias = Literal["squared", "absolute", "hinge"]
Detach: TypeAlias = Literal["none", "reference", "adversarial"]


def at_loss(logits_adv: Logits, y: Labels, label_smoothing: float = 0.0) -> torch.Tensor:
    """Standard adversarial training: mean CE(x*, y) (arXiv 1706.06083, eq. 2.1).

    Args:
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
    """
    return F.cross_entropy(logits_adv, y, label_smoothing=label_smoothing)


def trades_loss(
    logits: Logits, logits_adv: Logits, y: Labels, beta: float = 6.0, label_smoothing: float = 0.0
) -> torch.Tensor:
    """TRADES: mean CE(x, y) + beta KL(p(.|x) || p(.|x*)) (arXiv 1901.08573, eq. 5).

    Args:
        logits: [N, K] of the natural images.
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        beta: weight of the KL term, at least 0.
        label_smoothing: of the cross-entropy, in [0, 1).
    """
    return at_loss(logits, y, label_smoothing) + beta * kl_divergence(logits, logits_adv).mean()


def weat_weights(logits: Logits) -> PerSample:
    """w(x) = 1 / log(1 + exp(|E(x)|)), without gradient and not normalised over the batch (arXiv 2407.06315).

    Args:
        logits: [N, K] of the natural images, as the net gives them in training mode.

    Returns:
        [N], in (0, 1 / log 2].
    """
    return 1 / F.softplus(marginal_energy(logits.detach()).abs())


def weat_loss(
    logits: Logits,
    logits_adv: Logits,
    y: Labels,
    beta: float = 6.0,
    variant: Variant = "nat",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """WEAT: mean w(x) [CE + beta KL], the cross-entropy on x ("nat") or on x* ("adv") (arXiv 2407.06315, section 4).

    Args:
        logits: [N, K] of the natural images.
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        beta: weight of the KL term, at least 0.
        variant: which image the cross-entropy is taken on.
        label_smoothing: of the cross-entropy, in [0, 1).

    Raises:
        InputError: if the variant is neither "nat" nor "adv".
    """
    require_one_of("variant", variant, get_args(Variant))
    classified = logits if variant == "nat" else logits_adv
    ce = F.cross_entropy(classified, y, reduction="none", label_smoothing=label_smoothing)
    return (weat_weights(logits) * (ce + beta * kl_divergence(logits, logits_adv))).mean()


def delta_energy_penalty(
    logits_ref: Logits,
    logits_adv: Logits,
    y: Labels,
    terms: Terms = "both",
    penalty: Penalty = "squared",
    detach: Detach = "none",
) -> torch.Tensor:
    """R = mean phi(dE(x)) + mean phi(dE(x, y)), the Delta Energy Regularizer (arXiv 2505.22486).

    A reconstruction: the paper's public text says that the regulariser penalises the disparity of energy between the
    clean image and its adversarial counterpart; it does not give the penalty phi. Every part is therefore an option.

    Args:
        logits_ref: [N, K] of the reference images: the natural ones, or the attack's starting points.
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        terms: dE(x) ("marginal"), dE(x, y) ("joint"), or the sum of both penalties.
        penalty: phi(t) = t^2 ("squared"), |t| ("absolute"), or max(t, 0)^2 ("hinge").
        detach: the side that carries no gradient.

    Raises:
        InputError: if an option is unknown.
    """
    require_one_of("terms", terms, get_args(Terms))
    require_one_of("penalty", penalty, get_args(Penalty))
    require_one_of("detach", detach, get_args(Detach))
    logits_ref = logits_ref.detach() if detach == "reference" else logits_ref
    logits_adv = logits_adv.detach() if detach == "adversarial" else logits_adv
    deltas = []
    if terms in ("marginal", "both"):
        deltas.append(delta_marginal_energy(logits_ref, logits_adv))
    if terms in ("joint", "both"):
        deltas.append(delta_joint_energy(logits_ref, logits_adv, y))
    return torch.stack([_phi(delta, penalty).mean() for delta in deltas]).sum()


def _phi(delta: PerSample, penalty: Penalty) -> PerSample:
    match penalty:
        case "absolute":
            return delta.abs()
        case "hinge":
            return delta.relu().square()
    return delta.square()


def der_loss(
    logits_ref: Logits,
    logits_adv: Logits,
    y: Labels,
    weight: float = 4.0,
    terms: Terms = "marginal",
    penalty: Penalty = "squared",
    detach: Detach = "none",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """DER: mean CE(x*, y) + weight R (arXiv 2505.22486; R is a reconstruction, see ``delta_energy_penalty``).

    Args:
        logits_ref: [N, K] of the reference images.
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        weight: of the penalty, at least 0.
        terms: see ``delta_energy_penalty``.
        penalty: see ``delta_energy_penalty``.
        detach: see ``delta_energy_penalty``.
        label_smoothing: of the cross-entropy, in [0, 1).
    """
    penalised = delta_energy_penalty(logits_ref, logits_adv, y, terms, penalty, detach)
    return at_loss(logits_adv, y, label_smoothing) + weight * penalised


def delta_energy_curvature(
    logits_start: Logits,
    logits_between: Logits,
    logits_adv: Logits,
    y: Labels,
    position: PerSample,
    terms: Terms = "both",
) -> torch.Tensor:
    """Mean squared deviation of dE from a straight line along the attack's step (this project's own variant of ELLE).

    With one term it is the penalty of ELLE (arXiv 2401.11618) with E(x) or E(x, y) in place of the cross-entropy, on
    the attack's start and end in place of two random points; ELLE's own, on the cross-entropy c(x, y) - c(x), squares
    the difference of the two deviations, "both" adds their squares.

    For x_t = x_0 + t (x* - x_0) the deviation is dE(x_0, x_t) - t dE(x_0, x*), with dE(a, b) = E(a) - E(b): 0 for every
    net whose energy is linear along the step, whatever its slope.

    Args:
        logits_start: [M, K] of the attack's starting points x_0; without images the penalty is 0.
        logits_between: [M, K] of the points x_t.
        logits_adv: [M, K] of the adversarial images x*.
        y: [M], labels in 0..K-1, or [M, K], shares of classes.
        position: [M], t in [0, 1].
        terms: E(x) ("marginal"), E(x, y) ("joint"), or the sum of both penalties.

    Raises:
        InputError: if ``terms`` is unknown.
    """
    require_one_of("terms", terms, get_args(Terms))
    total = logits_adv.new_zeros(())
    if len(position) == 0:
        return total
    if terms in ("marginal", "both"):
        along, whole = (delta_marginal_energy(logits_start, end) for end in (logits_between, logits_adv))
        total = total + (along - position * whole).square().mean()
    if terms in ("joint", "both"):
        along, whole = (delta_joint_energy(logits_start, end, y) for end in (logits_between, logits_adv))
        total = total + (along - position * whole).square().mean()
    return total


def linear_der_loss(
    logits_start: Logits,
    logits_between: Logits,
    logits_adv: Logits,
    y: Labels,
    position: PerSample,
    weight: float = 30.0,
    terms: Terms = "both",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """LinearDER: mean CE(x*, y) + weight C, C the curvature of the energies of the first M images (after ELLE).

    Args:
        logits_start: [M, K], see ``delta_energy_curvature``.
        logits_between: [M, K].
        logits_adv: [N, K] of all adversarial images, N at least M.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        position: [M].
        weight: of the penalty, at least 0.
        terms: see ``delta_energy_curvature``.
        label_smoothing: of the cross-entropy, in [0, 1).
    """
    seen = len(position)
    curvature = delta_energy_curvature(logits_start, logits_between, logits_adv[:seen], y[:seen], position, terms)
    return at_loss(logits_adv, y, label_smoothing) + weight * curvature


def contrastive_loss(logits: Logits, logits_contrast: Logits) -> torch.Tensor:
    """-mean log sigmoid(-E(x)) - mean log(1 - sigmoid(-E(x-))): real images x from contrastive x- (arXiv 2510.13872).

    Args:
        logits: [N, K] of real images.
        logits_contrast: [M, K] of contrastive images.

    Returns:
        Scalar; twice what the published code minimises, which averages over real and contrastive images together.
    """
    real, contrast = marginal_energy(full_precision(logits)), marginal_energy(full_precision(logits_contrast))
    return F.softplus(real).mean() + F.softplus(-contrast).mean()


def dual_at_loss(
    logits_adv: Logits,
    y: Labels,
    logits: Logits,
    logits_contrast: Logits,
    weight: float = 0.5,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """DAT: mean CE(x*, y) + weight contrastive loss, the two halves of log p(y|x) + log p(x) (arXiv 2510.13872).

    Args:
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        logits: see ``contrastive_loss``.
        logits_contrast: see ``contrastive_loss``.
        weight: of the second term, at least 0; 0.5 is the published code's.
        label_smoothing: of the cross-entropy, in [0, 1).
    """
    return at_loss(logits_adv, y, label_smoothing) + weight * contrastive_loss(logits, logits_contrast)

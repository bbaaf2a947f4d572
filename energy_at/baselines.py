"""The losses of the field's other cures for overfitting: GradAlign, ELLE, AAER and MART. Pure functions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from energy_at.energy import kl_divergence
from energy_at.objectives import at_loss
from energy_at.types import Images, Labels, Logits, PerSample


def gradient_alignment(grad: Images, grad_random: Images) -> Tensor:
    """Mean cosine of the input gradients at an image and at a random point of its ball (arXiv 2007.02617).

    Args:
        grad: [N, C, H, W] at the images.
        grad_random: [N, C, H, W] at the random points.

    Returns:
        Scalar in [-1, 1], over the images of which neither gradient is 0.
    """
    flat, flat_random = grad.flatten(1), grad_random.flatten(1)
    lengths = flat.norm(dim=1) * flat_random.norm(dim=1)
    seen = lengths > 0
    cosines = (flat * flat_random).sum(dim=1) / lengths.where(seen, torch.ones_like(lengths))
    return (seen * cosines).sum() / seen.sum().clamp(min=1)


def grad_align_loss(
    logits_adv: Logits, y: Labels, alignment: Tensor, weight: float = 0.2, label_smoothing: float = 0.0
) -> Tensor:
    """GradAlign: mean CE(x*, y) + weight (1 - mean cos(grad l(x), grad l(x + eta))) (arXiv 2007.02617).

    Args:
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        alignment: scalar, see ``gradient_alignment``.
        weight: of the penalty, at least 0.
        label_smoothing: of the cross-entropy, in [0, 1).
    """
    return at_loss(logits_adv, y, label_smoothing) + weight * (1 - alignment)


def local_linearity_error(losses_a: PerSample, losses_b: PerSample, losses_c: PerSample, t: PerSample) -> Tensor:
    """ELLE's penalty, mean [l(x_c) - (1 - t) l(x_a) - t l(x_b)]^2, x_c = (1 - t) x_a + t x_b (arXiv 2401.11618).

    Args:
        losses_a: [N], of points x_a in the ball.
        losses_b: [N], of points x_b in the ball.
        losses_c: [N], of the points between them.
        t: [N] in [0, 1].
    """
    return (losses_c - torch.lerp(losses_a, losses_b, t)).square().mean()


def aaer_penalty(
    logits_start: Logits, logits_adv: Logits, y: Labels, lambda1: float, lambda2: float, lambda3: float
) -> Tensor:
    """AAER's penalty on abnormal adversarial examples, images whose loss the attack lowers (arXiv 2404.08154).

    lambda1 (share abnormal) [lambda2 mean over abnormal of l_0 - l_1 + lambda3 max(v_abnormal - v_normal, 0)]: l_0 and
    l_1 are the losses at the attack's start and end, v the mean squared distance of the logits at start and end; start
    and normal images give no gradient. 0 where all images are of one kind.

    Args:
        logits_start: [N, K] at the attack's starting points.
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1, or [N, K], shares of classes.
        lambda1: weight of the whole, at least 0.
        lambda2: weight of the loss's decrease, at least 0.
        lambda3: weight of the logits' movement, at least 0.
    """
    logits_start = logits_start.detach()
    before, after = (F.cross_entropy(logits, y, reduction="none") for logits in (logits_start, logits_adv))
    abnormal = (before > after).to(after)
    count = abnormal.sum()
    moved = (logits_adv - logits_start).square().sum(dim=1)
    normal = 1 - abnormal
    moved_abnormal = (abnormal * moved).sum() / count.clamp(min=1)
    moved_normal = (normal * moved.detach()).sum() / normal.sum().clamp(min=1)
    decrease = (abnormal * (before - after)).sum() / count.clamp(min=1)
    penalty = lambda1 * (count / len(y)) * (lambda2 * decrease + lambda3 * (moved_abnormal - moved_normal).relu())
    return torch.where((count > 0) & (count < len(y)), penalty, 0 * penalty)  # no branch, which a GPU would wait for


def boosted_cross_entropy(logits_adv: Logits, y: Labels) -> PerSample:
    """MART's BCE(x*, y) = -log p(y|x*) - log(1 - max_{k != y} p(k|x*)) (openreview rklOg6EFwS).

    Args:
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1.

    Returns:
        [N]; 1 is 1.0001 within the logarithm, as in the published code, so that it stays finite.
    """
    p = logits_adv.softmax(dim=1)
    others = p.scatter(1, y[:, None], -1).amax(dim=1)
    return F.cross_entropy(logits_adv, y, reduction="none") - (1.0001 - others).log()


def mart_loss(logits: Logits, logits_adv: Logits, y: Labels, beta: float = 5.0) -> Tensor:
    """MART: mean BCE(x*, y) + beta KL(p(.|x) || p(.|x*)) (1 - p(y|x)) (openreview rklOg6EFwS).

    Args:
        logits: [N, K] of the natural images.
        logits_adv: [N, K] of the adversarial images.
        y: [N], labels in 0..K-1.
        beta: weight of the second term (the paper's lambda), at least 0.
    """
    right = logits.softmax(dim=1).gather(1, y[:, None]).squeeze(1)
    unsure = kl_divergence(logits, logits_adv) * (1.0000001 - right)
    return (boosted_cross_entropy(logits_adv, y) + beta * unsure).mean()

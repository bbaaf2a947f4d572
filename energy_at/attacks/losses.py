"""What an attack climbs: functions ``loss(logits_adv, y, logits) -> [N]`` of the adversarial and natural logits."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch.nn import functional as F

from energy_at.energy import joint_energy, kl_divergence, marginal_energy
from energy_at.types import InputError, Labels, Logits, PerSample

LossName: TypeAlias = Literal[
    "cross_entropy",
    "kl",
    "margin",
    "raise_marginal_energy",
    "lower_marginal_energy",
    "raise_joint_energy",
    "lower_joint_energy",
]
AttackLoss: TypeAlias = Callable[[Logits, Labels, Logits | None], PerSample]


def cross_entropy(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """CE(x*, y) (arXiv 1412.6572)."""
    return F.cross_entropy(logits_adv, y, reduction="none")


def kl(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """KL(p(.|x) || p(.|x*)), TRADES' attack (arXiv 1901.08573, algorithm 1)."""
    if logits is None:
        raise InputError("loss kl needs the logits of the natural images; give logits")
    return kl_divergence(logits, logits_adv)


def margin(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """max_{k != y} f(x*)[k] - f(x*)[y], positive exactly on misclassified images (arXiv 1608.04644, f_6)."""
    true = F.one_hot(y, logits_adv.shape[1]).bool()
    return logits_adv.masked_fill(true, -torch.inf).amax(dim=1) + joint_energy(logits_adv, y)


def raise_marginal_energy(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """E(x*)."""
    return marginal_energy(logits_adv)


def lower_marginal_energy(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """-E(x*)."""
    return -marginal_energy(logits_adv)


def raise_joint_energy(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """E(x*, y)."""
    return joint_energy(logits_adv, y)


def lower_joint_energy(logits_adv: Logits, y: Labels, logits: Logits | None = None) -> PerSample:
    """-E(x*, y)."""
    return -joint_energy(logits_adv, y)


LOSSES: dict[str, AttackLoss] = {
    f.__name__: f
    for f in (
        cross_entropy,
        kl,
        margin,
        raise_marginal_energy,
        lower_marginal_energy,
        raise_joint_energy,
        lower_joint_energy,
    )
}

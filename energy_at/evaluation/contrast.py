"""When dual adversarial training (arXiv 2510.13872) goes wrong: rules over an epoch's numbers (our choice)."""

from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class Contrast:
    """What the rules know of an epoch; energies in nats.

    Args:
        auc: share of pairs in which the real image has the lower E(x), in [0, 1].
        energy: mean E(x) of real images.
        contrast: mean E(x) of contrastive images.
        steps: T at the epoch's end.
        max_steps: the most that T grows to.
    """

    auc: float
    energy: float
    contrast: float
    steps: float
    max_steps: int


def runs_away(epoch: Contrast, gap: float = 10.0) -> bool:
    """Whether contrastive images reach energies that real ones do not have: the steps exploit the net.

    Args:
        epoch: to judge.
        gap: nats below the real images' mean energy that count, above 0.
    """
    return not isfinite(epoch.contrast) or not isfinite(epoch.energy) or epoch.contrast < epoch.energy - gap


def saturated(epoch: Contrast, ceiling: float = 0.999) -> bool:
    """Whether the net tells all contrastive images from real ones, and more steps are not allowed.

    The contrastive term has hardly any gradient then, and its images do not come near real ones.

    Args:
        epoch: to judge.
        ceiling: area under the ROC curve that counts, in (0.5, 1].
    """
    return epoch.auc >= ceiling and epoch.steps >= epoch.max_steps

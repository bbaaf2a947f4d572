"""When adversarial training overfits: rules over the history of an ongoing run, oldest epoch first.

Catastrophic overfitting (CO): the net learns to answer the training attack alone. Accuracy under a multi-step attack
collapses while accuracy under a single step stays (arXiv 2001.03994), and dE(x) surges (arXiv 2505.22486). The rule
looks at accuracies, and at dE under the multi-step attack: a regulariser can hold dE at the training attack's own
points near 0 while the net breaks beside them.

Robust overfitting (RO): past a learning-rate drop the accuracy under attack on held-out images falls while training
goes on to improve (arXiv 2002.11569), and dE(x) on training images falls (arXiv 2505.22486).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Epoch:
    """What the rules know of an epoch; accuracies in [0, 1], energies in nats.

    Args:
        robust_acc: accuracy under a multi-step attack on validation images.
        single_step_acc: accuracy under a single-step attack on the same images.
        delta_energy: mean dE(x) under the multi-step attack on the same images.
        train_delta_energy: mean dE(x) under the training attack on training images.
    """

    robust_acc: float
    single_step_acc: float
    delta_energy: float
    train_delta_energy: float = float("nan")


def catastrophic(history: Sequence[Epoch], ratio: float = 0.5, gap: float = 0.1, surge: float = 1.0) -> bool:
    """Whether the newest epoch shows catastrophic overfitting.

    An accuracy has collapsed against another where it is below ``ratio`` times it and more than ``gap`` below it.
    Either the multi-step accuracy has collapsed against the single-step accuracy while dE(x) under the multi-step
    attack is above ``surge``; or, whatever dE says, it has collapsed against its own best for two epochs, and the
    single-step accuracy has not.

    Args:
        history: epochs so far, the newest last.
        ratio: share under which an accuracy counts as collapsed, in (0, 1).
        gap: difference under which accuracies count as equal, in (0, 1).
        surge: dE(x) above which the landscape counts as broken, in nats.
    """
    now = history[-1]
    apart = _collapsed(now.robust_acc, now.single_step_acc, ratio, gap) and now.delta_energy > surge
    best = max(epoch.robust_acc for epoch in history)
    best_single = max(epoch.single_step_acc for epoch in history)
    fallen = len(history) > 1 and all(
        _collapsed(epoch.robust_acc, best, ratio, gap) and epoch.single_step_acc > ratio * best_single
        for epoch in history[-2:]
    )
    return apart or fallen


def robust(history: Sequence[Epoch], tolerance: float = 0.02, window: int = 3, patience: int = 3) -> bool:
    """Whether the newest epochs show robust overfitting.

    With every curve averaged over ``window`` epochs: the robust accuracy has been more than ``tolerance`` below its
    best for ``patience`` epochs, and dE(x) on training images is lower than it was at that best.

    Args:
        history: epochs so far, the newest last.
        tolerance: loss of robust accuracy that counts, in (0, 1).
        window: epochs averaged, at least 1.
        patience: epochs that the loss has to last, at least 1.
    """
    if len(history) < window + patience:
        return False
    accuracy = _smooth([epoch.robust_acc for epoch in history], window)
    delta = _smooth([epoch.train_delta_energy for epoch in history], window)
    best = int(np.argmax(accuracy))
    lost = bool(np.all(accuracy[-patience:] < accuracy[best] - tolerance))
    return lost and bool(delta[-1] < delta[best])


def onset(history: Sequence[Epoch], rule: Callable[[Sequence[Epoch]], bool] = catastrophic) -> int | None:
    """First epoch at which a rule holds, counted from 0; None if it never does."""
    return next((epoch for epoch in range(len(history)) if rule(history[: epoch + 1])), None)


def _collapsed(value: float, reference: float, ratio: float, gap: float) -> bool:
    return value < ratio * reference and value < reference - gap


def _smooth(values: Sequence[float], window: int) -> np.ndarray:
    return np.convolve(values, np.ones(window) / window, mode="valid")

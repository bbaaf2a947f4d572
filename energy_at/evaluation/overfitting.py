"""When adversarial training overfits: rules over the history of a run, oldest epoch first.

Catastrophic overfitting (CO): the net learns to answer the training attack alone. Accuracy under a multi-step attack
collapses while accuracy under a single step stays or rises (arXiv 2001.03994). dE(x) often surges with it
(arXiv 2505.22486), but the rule looks at accuracies alone: a regulariser can hold dE at the training attack's own
points near 0 while the net breaks beside them, and small nets collapse without any surge (docs/results.md).

Robust overfitting (RO): past a learning-rate drop the accuracy under attack on held-out images falls while training
goes on to improve (arXiv 2002.11569), and dE(x) on training images falls (arXiv 2505.22486).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

CATASTROPHIC, ROBUST = "catastrophic overfitting", "robust overfitting"


@dataclass(frozen=True)
class Epoch:
    """What the rules know of an epoch; accuracies in [0, 1], energies in nats.

    Args:
        robust_acc: accuracy under a multi-step attack on validation images.
        single_step_acc: accuracy under a single-step attack on the same images.
        delta_energy: mean dE(x) under the multi-step attack on the same images.
        train_delta_energy: mean dE(x) under the training attack on training images.
        abnormal: share of training images whose loss the training attack lowers.
    """

    robust_acc: float
    single_step_acc: float
    delta_energy: float
    train_delta_energy: float = float("nan")
    abnormal: float = float("nan")


def catastrophic(history: Sequence[Epoch], ratio: float = 0.1, gap: float = 0.2, patience: int = 2) -> bool:
    """Whether the newest epochs show catastrophic overfitting.

    For ``patience`` epochs the accuracy under the multi-step attack has been below ``ratio`` times the accuracy under
    a single step, and more than ``gap`` below it; or has fallen, to less than half of what it has been and by more
    than ``gap / 8``: then ``2.5 ratio`` and ``gap / 4`` suffice. (A young net can be below for some epochs, but rises;
    a net trained by single steps at a large eps may well stay at a third for long; and where images are hard, even a
    single step leaves less than ``gap``.)

    Args:
        history: epochs so far, the newest last.
        ratio: share of the single-step accuracy that counts as collapsed, in (0, 1).
        gap: least difference of the two accuracies, in (0, 1).
        patience: epochs that the collapse has to last, at least 1.
    """
    if len(history) < patience:
        return False
    best = max(epoch.robust_acc for epoch in history)
    return all(
        _apart(epoch, ratio, gap)
        or (epoch.robust_acc < min(best / 2, best - gap / 8) and _apart(epoch, 2.5 * ratio, gap / 4))
        for epoch in history[-patience:]
    )


def robust(history: Sequence[Epoch], tolerance: float = 0.02, window: int = 3, patience: int = 3) -> bool:
    """Whether the newest epochs show robust overfitting.

    With every curve averaged over ``window`` epochs: the robust accuracy has been more than ``tolerance`` below its
    best for ``patience`` epochs, and dE(x) on training images is lower than it was at that best. The newest epoch by
    itself has to be that much below the best one too: a young net's accuracy jumps, and may just have recovered. Where
    the accuracy jumps so much from epoch to epoch that two standard errors of its averages are more than ``tolerance``,
    they take its place.

    Args:
        history: epochs so far, the newest last.
        tolerance: loss of robust accuracy that counts, in (0, 1).
        window: epochs averaged, at least 1.
        patience: epochs that the loss has to last, at least 1.
    """
    if len(history) < window + patience:
        return False
    raw = np.array([epoch.robust_acc for epoch in history])
    accuracy = _smooth(raw, window)
    delta = _smooth([epoch.train_delta_energy for epoch in history], window)
    best = int(np.argmax(accuracy))
    allowed = max(tolerance, 2 * float(np.std(np.diff(raw))) / sqrt(2 * window))
    lost = bool(np.all(accuracy[-patience:] < accuracy[best] - allowed))
    recovered = raw[-1] >= raw.max() - allowed
    return lost and not recovered and bool(delta[-1] < delta[best])


def onsets(epochs: Sequence[int], history: Sequence[Epoch], patience: int = 2) -> dict[str, int]:
    """Epochs at which the rules, asked after every epoch with their defaults, first recognise overfitting.

    Args:
        epochs: rising.
        history: of these epochs.
        patience: of ``catastrophic``; its onset is the first of the epochs that it judges by.

    Returns:
        ``CATASTROPHIC`` and ``ROBUST`` with their epochs, where there were any. Robust overfitting is not looked for
        in a net that has collapsed.
    """
    found: dict[str, int] = {}
    for i in range(len(history)):
        if CATASTROPHIC not in found and catastrophic(history[: i + 1], patience=patience):
            found[CATASTROPHIC] = epochs[i + 1 - patience]
        elif not found and robust(history[: i + 1]):
            found[ROBUST] = epochs[i]
    return found


def _apart(epoch: Epoch, ratio: float, gap: float) -> bool:
    difference = epoch.single_step_acc - epoch.robust_acc
    return epoch.robust_acc < ratio * epoch.single_step_acc and difference > gap


def _smooth(values: Sequence[float] | np.ndarray, window: int) -> np.ndarray:
    return np.convolve(values, np.ones(window) / window, mode="valid")

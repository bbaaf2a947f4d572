"""The three phases of dE(x) in a training run: where its curve is best cut into straight lines.

arXiv 2505.22486 reports three phases in multi-step adversarial training, in the last of which dE(x) falls sharply while
the robust test error rises. How the paper delimits them is not publicly readable, so this rule is a reconstruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from energy_at.types import require

LEAST = 3  # epochs in a phase: a line through two always fits
FEWEST = 4 * LEAST  # epochs in a run: below, hardly any cut is left to choose


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs and the straight line of least squares through their values.

    Args:
        first: epoch.
        last: epoch, within the phase.
        start: the line's value at ``first``.
        slope: the line's change per epoch.
    """

    first: int
    last: int
    start: float
    slope: float

    def __call__(self, epoch: float) -> float:
        """The line's value."""
        return self.start + self.slope * (epoch - self.first)


def three_phases(epochs: Sequence[int], values: Sequence[float]) -> tuple[Phase, Phase, Phase] | None:
    """Cut a curve into three phases so that one straight line a phase leaves the least squared error.

    All cuts are compared; of equally good ones the earliest is taken.

    Args:
        epochs: rising.
        values: one an epoch, finite.

    Returns:
        The phases in their order; None where there are fewer than ``FEWEST`` epochs.

    Raises:
        InputError: if epochs do not rise, or a value is no finite number.
    """
    x, y = np.asarray(epochs, float), np.asarray(values, float)
    require(bool((np.diff(x) > 0).all()), "the epochs do not rise; give one value an epoch, the oldest first")
    require(bool(np.isfinite(y).all()), "the curve holds values that are no finite numbers; leave those epochs out")
    if len(x) < FEWEST:
        return None
    error = _squared_errors(x, y)
    total = error[0, :, None] + error + error[None, :, -1]  # of phases [0, a), [a, b), [b, n)
    # within rounding, because noiseless lines leave errors of 1e-16 that differ by chance
    good = total <= total.min() + 1e-10 * error[0, -1]
    a, b = np.unravel_index(good.argmax(), good.shape)
    return _phase(x[:a], y[:a]), _phase(x[a:b], y[a:b]), _phase(x[b:], y[b:])


def unexplained(epochs: Sequence[int], values: Sequence[float], phases: Sequence[Phase]) -> float:
    """Squared error that the lines of the phases leave, as a share of what one straight line leaves.

    Args:
        epochs: of the curve.
        values: of the curve.
        phases: that cover its epochs.

    Returns:
        In [0, 1]: near 1 the phases explain nothing that one line does not.
    """
    x, y = np.asarray(epochs, float), np.asarray(values, float)
    fitted = [next(phase(epoch) for phase in phases if epoch <= phase.last) for epoch in x]
    one = np.polyval(np.polyfit(x, y, 1), x)
    left = ((y - one) ** 2).sum()
    straight = left <= 1e-20 * (y @ y)  # but for rounding
    return 1.0 if straight else float(((y - fitted) ** 2).sum() / left)


def _squared_errors(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[n + 1, n + 1]: what a line through x[a:b], y[a:b] leaves; infinite where that is fewer than ``LEAST``."""
    n = len(x)
    error = np.full((n + 1, n + 1), np.inf)
    for a in range(n - LEAST + 1):
        for b in range(a + LEAST, n + 1):
            part_x, part_y = x[a:b] - x[a:b].mean(), y[a:b] - y[a:b].mean()
            # rounding may make it negative
            error[a, b] = max(0.0, part_y @ part_y - (part_x @ part_y) ** 2 / (part_x @ part_x))
    return error


def _phase(x: np.ndarray, y: np.ndarray) -> Phase:
    slope, start = np.polyfit(x - x[0], y, 1)
    return Phase(int(x[0]), int(x[-1]), float(start), float(slope))

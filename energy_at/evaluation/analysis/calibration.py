"""Figure: how often the net is right when it is this confident."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.plate import Plate, canvas, case_looks, column, legend_below, values_of, where
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.curves import BLACK

BINS = 15
SHOWN = 5  # images that a bin needs for a point in the picture


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Mean over the images of the distance between accuracy and mean confidence of their bin (arXiv 1706.04599).

    Args:
        confidence: [N] in [0, 1].
        correct: [N], bool.

    Returns:
        In [0, 1], over 15 bins of equal width; 0 for a net that is right as often as it says.
    """
    gap = _sums(confidence, correct.astype(float) - confidence)
    return float(np.abs(gap).sum() / len(confidence))


def calibration_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, case and its expected calibration error ("ece"); bin of confidence: images, their accuracy and confidence.

    Accuracy and confidence are means over a bin's images, absent where it has none.
    """
    return [
        {"net": analysis.net, "case": case, "ece": error, "low": i / BINS, "high": (i + 1) / BINS, "images": int(n)}
        | ({"accuracy": float(right / n), "confidence": float(sure / n)} if n else {})
        for analysis in analyses
        for case, values in analysis.cases.items()
        for confidence, correct in [(values["confidence"], values["correct"])]
        for error in [expected_calibration_error(confidence, correct)]
        for i, (n, right, sure) in enumerate(
            zip(*(_sums(confidence, of) for of in (np.ones_like(confidence), correct, confidence)), strict=True)
        )
    ]


def _sums(confidence: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Sums [BINS] of ``of`` over the images of each bin."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return np.bincount(place, of, minlength=BINS)


def draw_calibration(rows: Sequence[Row]) -> Figure:
    """A row of panels a net: accuracy against confidence left, and how many images are this confident right.

    Args:
        rows: of ``calibration_rows``.
    """
    nets, looks = values_of(rows, "net"), case_looks(values_of(rows, "case"))
    figure, axes = canvas(len(nets), 2)
    for net, (left, right) in zip(nets, axes, strict=True):
        left.plot([0, 1], [0, 1], color=BLACK, lw=0.6, ls=":")
        for case, look in looks.items():
            bins = where(rows, net=net, case=case)
            _reliability(left, [row for row in bins if row["images"] >= SHOWN], label=case, **look)
            images = column(bins, "images")
            right.stairs(images / images.sum(), np.linspace(0, 1, BINS + 1), lw=1.3, **look)
        error = where(rows, net=net, case=NATURAL)[0]["ece"]
        left.set(title=f"{net}: natural ECE {error:.3f}", xlabel="confidence", ylabel="accuracy", ylim=(-0.03, 1.03))
        right.set(title=net, xlabel="confidence", ylabel="share of the images")
    legend_below(figure, axes[0, 0])
    return figure


def _reliability(panel: Axes, bins: Sequence[Row], **look: object) -> None:
    accuracy = column(bins, "accuracy")
    error = np.sqrt(accuracy * (1 - accuracy) / column(bins, "images"))
    panel.errorbar(column(bins, "confidence"), accuracy, error, marker="o", ms=3, lw=1.3, **look)  # type: ignore[arg-type]


CALIBRATION: Plate = Plate(
    "calibration",
    "Confidence and accuracy",
    "Is the net right as often as it says? Left: accuracy (with standard error) against mean confidence max_k p(k|x) in"
    f" {BINS} bins, where a bin has {SHOWN} images; below the dotted line the net is too sure of itself, above it too"
    " timid. Right: how many images are this confident. ECE, the expected calibration error, is the mean distance from"
    " the dotted line (arXiv 1706.04599); under each attack it is in the table of means.",
    calibration_rows,
    draw_calibration,
)

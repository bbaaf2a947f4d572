"""Figure: energy against correctness and confidence."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from energy_at.evaluation.analysis.distributions import bins_for, edges_of
from energy_at.evaluation.analysis.plate import Plate, canvas, column, values_of, where
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row, Values
from energy_at.evaluation.curves import BLACK, BLUE, ORANGE

GROUPS = 15


def auroc(score: np.ndarray, wrong: np.ndarray) -> float | None:
    """Probability that a misclassified image has a higher score than a correct one, ties counting half.

    Args:
        score: [N].
        wrong: [N], bool.

    Returns:
        In [0, 1], 0.5 for a score that tells nothing; None where all images are correct, or none.
    """
    return float(roc_auc_score(wrong, score)) if 0 < wrong.sum() < len(wrong) else None


def confidence_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, case and its AUROC of E(x); bin of E(x): images, wrong, mean E(x) and confidence.

    Bins are of equal width (part "histogram"), or hold equally many images (part "groups").
    """
    return [
        {"net": analysis.net, "case": case, "part": part, "auroc": area, **_bin(values, chosen, low, high)}
        for analysis in analyses
        for case, values in analysis.cases.items()
        for area in [auroc(values["E_marginal"], ~values["correct"])]
        for part, bins in (("histogram", _equal_widths), ("groups", _equal_counts))
        for chosen, low, high in bins(values["E_marginal"])
    ]


def _equal_widths(energy: np.ndarray) -> Iterator[tuple[np.ndarray, float, float]]:
    edges = edges_of([energy], max(5, bins_for(len(energy)) // 2))
    place = np.digitize(energy, edges[1:-1])
    return ((place == i, low, high) for i, (low, high) in enumerate(pairwise(edges)))


def _equal_counts(energy: np.ndarray) -> Iterator[tuple[np.ndarray, float, float]]:
    groups = np.array_split(energy.argsort(kind="stable"), min(GROUPS, len(energy)))
    return ((group, energy[group[0]], energy[group[-1]]) for group in groups)


def _bin(values: Values, chosen: np.ndarray, low: float, high: float) -> Row:
    energy, confidence, correct = (values[key][chosen] for key in ("E_marginal", "confidence", "correct"))
    row = {"low": float(low), "high": float(high), "images": len(energy), "wrong": int((~correct).sum())}
    means = {"E_marginal": float(energy.mean()), "confidence": float(confidence.mean())} if len(energy) else {}
    return row | means


def draw_confidence(rows: Sequence[Row]) -> Figure:
    """For the natural images, a row of panels a net: E(x) of correct and misclassified images; errors against E(x).

    Args:
        rows: of ``confidence_rows``.
    """
    nets = values_of(rows, "net")
    figure, axes = canvas(len(nets), 2)
    for net, (left, right) in zip(nets, axes, strict=True):
        bins, groups = (where(rows, net=net, case=NATURAL, part=part) for part in ("histogram", "groups"))
        _densities(left, bins)
        _errors(right, groups)
        area = bins[0]["auroc"]
        left.set_title(f"{net}: AUROC of E(x) {'-' if area is None else f'{area:.3f}'}")
        right.set_title(net)
    return figure


def _densities(panel: Axes, bins: Sequence[Row]) -> None:
    low, high, images, wrong = (column(bins, key) for key in ("low", "high", "images", "wrong"))
    for count, colour, label in ((images - wrong, BLUE, "correct"), (wrong, ORANGE, "misclassified")):
        density = count / max(count.sum(), 1) / (high - low)
        panel.stairs(density, [*low, high[-1]], color=colour, lw=1.5, label=f"{label} ({count.sum():.0f})")
    panel.set(xlabel="$E(x)$ [nat]", ylabel="density [1/nat]")
    panel.legend(frameon=False, fontsize=8)


def _errors(panel: Axes, groups: Sequence[Row]) -> None:
    energy, images = column(groups, "E_marginal"), column(groups, "images")
    error = column(groups, "wrong") / images
    panel.errorbar(energy, error, np.sqrt(error * (1 - error) / images), color=ORANGE, marker="o", ms=3, label="errors")
    panel.plot(energy, 1 - column(groups, "confidence"), color=BLACK, ls="--", label="1 - mean confidence")
    panel.set(xlabel="$E(x)$ [nat]", ylabel="share of the images", ylim=(-0.03, 1.03))
    panel.legend(frameon=False, fontsize=8)


CONFIDENCE: Plate = Plate(
    "confidence",
    "Energy, correctness and confidence",
    "Are high-energy images the misclassified ones? Left: E(x) of correctly and of wrongly classified natural images"
    " (how many: in the legend), each normalised to itself. AUROC: probability that a misclassified image has the"
    " higher E(x); 0.5 means that the energy tells nothing. Right: share of errors (with standard error) and mean"
    f" confidence in {GROUPS} equally large groups of images, by their energy. The AUROC under each attack is in the"
    " table of means.",
    confidence_rows,
    draw_confidence,
)

"""Figure: how smooth the energy is around an image."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.plate import Plate, attack_looks, canvas, column, legend_below, values_of, where
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.curves import BLACK

RANDOM = "random direction"
PANELS = (
    ("sweep", "marginal", r"$\Delta E(x)$ [nat]", "eps, in multiples of the attack's"),
    ("line", "marginal", "change of $E(x)$ [nat]", r"$t$, on the line $x + t\delta$"),
    ("line", "joint", "change of $E(x, y)$ [nat]", r"$t$, on the line $x + t\delta$"),
)


def landscape_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, part ("sweep" or "line"), energy, direction, multiple, images, mean and std of the plotted quantity.

    The sweep's quantity is dE, the line's is E(x + t delta) - E(x).
    """
    return [
        {"net": analysis.net, **row}
        for analysis in analyses
        for case, values in analysis.near.items()
        for energy in ("marginal", "joint")
        for row in _curves(analysis, case, values, energy)
    ]


def _curves(analysis: Analysis, case: str, values: Mapping[str, np.ndarray], energy: str) -> Iterator[Row]:
    around = analysis.smoothness
    if around is None:
        return
    here = analysis.near[NATURAL][f"E_{energy}"][:, None]
    fixed = {"energy": energy, "direction": RANDOM if case == NATURAL else case, "images": len(here)}
    if f"sweep_E_{energy}" in values:
        change = np.concatenate([np.zeros_like(here), here - values[f"sweep_E_{energy}"]], axis=1)
        yield from _points({"part": "sweep", **fixed}, (0.0, *around.factors), change)
    if f"line_E_{energy}" in values:
        yield from _points({"part": "line", **fixed}, around.multiples, values[f"line_E_{energy}"] - here)


def _points(fixed: Row, multiples: Sequence[float], change: np.ndarray) -> Iterator[Row]:
    for multiple, values in zip(multiples, change.T, strict=True):
        yield {**fixed, "multiple": multiple, "mean": float(values.mean()), "std": float(values.std())}


def draw_landscape(rows: Sequence[Row]) -> Figure:
    """A row of panels a net: dE(x) against eps; E(x) and E(x, y) along lines.

    Args:
        rows: of ``landscape_rows``.
    """
    nets, attacks = values_of(rows, "net"), [name for name in values_of(rows, "direction") if name != RANDOM]
    looks = {RANDOM: {"color": BLACK, "ls": "-"}, **attack_looks(attacks)}
    figure, axes = canvas(len(nets), len(PANELS), height=2.6)
    for net, panels in zip(nets, axes, strict=True):
        for (part, energy, ylabel, xlabel), panel in zip(PANELS, panels, strict=True):
            panel.axhline(0, color=BLACK, lw=0.6)
            for direction, look in looks.items():
                points = where(rows, net=net, part=part, energy=energy, direction=direction)
                _band(panel, sorted(points, key=lambda row: row["multiple"]), direction, look)
            panel.set(title=net, xlabel=xlabel, ylabel=ylabel)
    legend_below(figure, axes[0, 1])
    return figure


def _band(panel: Axes, points: Sequence[Row], label: str, look: Mapping[str, Any]) -> None:
    at, mean, std = (column(points, key) for key in ("multiple", "mean", "std"))
    panel.plot(at, mean, lw=1.6, label=label, **look)
    panel.fill_between(at, mean - std, mean + std, color=look["color"], alpha=0.1, lw=0)


LANDSCAPE: Plate = Plate(
    "smoothness",
    "Smoothness of the energy",
    "Left: dE(x) where the attack is given another eps. Middle and right: the energies on a line through the image,"
    " x + t delta clipped to [0, 1]: delta is the attack's own perturbation (t = 1 is its adversarial image), or a"
    " random direction as long as eps (for Linf a corner of the ball). Mean and, as a band, standard deviation over"
    " some of the images (how many: in the conditions). A smooth landscape is flat in all three.",
    landscape_rows,
    draw_landscape,
)

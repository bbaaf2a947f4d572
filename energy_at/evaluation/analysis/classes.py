"""Figure: mean energy of every class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.plate import Plate, canvas, case_looks, column, legend_below, values_of, where
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.tables import class_name

NAMED = 20  # classes whose names fit under a panel


def class_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, case, class, name, images, and the class's mean E(x) and E(x, y) and accuracy."""
    return [
        {
            "net": analysis.net,
            "case": case,
            "class": k,
            "name": class_name(analysis.class_names, k),
            **_means(values, mask),
        }
        for analysis in analyses
        for k in np.unique(analysis.natural["label"]).tolist()
        for mask in [analysis.natural["label"] == k]
        for case, values in analysis.cases.items()
    ]


def _means(values: Mapping[str, np.ndarray], mask: np.ndarray) -> Row:
    means = {key: float(values[key][mask].mean()) for key in ("E_marginal", "E_joint")}
    return {"images": int(mask.sum()), **means, "accuracy": float(values["correct"][mask].mean())}


def draw_classes(rows: Sequence[Row]) -> Figure:
    """A row of panels a net, E(x) left and E(x, y) right.

    Args:
        rows: of ``class_rows``.
    """
    nets, draw = values_of(rows, "net"), _by_name if len(values_of(rows, "class")) <= NAMED else _by_rank
    figure, axes = canvas(len(nets), 2)
    for net, panels in zip(nets, axes, strict=True):
        for key, label, panel in zip(("E_marginal", "E_joint"), ("$E(x)$", "$E(x, y)$"), panels, strict=True):
            draw(panel, where(rows, net=net), key)
            panel.set(title=net, ylabel=f"mean {label} [nat]")
    legend_below(figure, axes[0, 0])
    return figure


def _by_name(panel: Axes, rows: Sequence[Row], key: str) -> None:
    natural = sorted(where(rows, case=NATURAL), key=lambda row: row[key])
    names = [row["name"] for row in natural]
    order = {row["class"]: i for i, row in enumerate(natural)}
    for case, look in case_looks(values_of(rows, "case")).items():
        points = sorted(where(rows, case=case), key=lambda row: order[row["class"]])
        panel.plot(range(len(points)), column(points, key), marker="o", ms=4, lw=1, label=case, **look)
    turned: dict[str, Any] = {"rotation": 40, "ha": "right"} if max(map(len, names)) > 2 else {}
    panel.set_xticks(range(len(names)), names, fontsize=8, parse_math=False, **turned)


def _by_rank(panel: Axes, rows: Sequence[Row], key: str) -> None:
    for case, look in case_looks(values_of(rows, "case")).items():
        panel.plot(np.sort(column(where(rows, case=case), key)), lw=1.5, label=case, **look)
    panel.set_xlabel("rank of the class")


CLASSES: Plate = Plate(
    "classes",
    "Mean energy of every class",
    "Mean E(x) and E(x, y) of each class's images, classes in the order of their natural energy; with more than"
    f" {NAMED} classes every curve is in its own order.",
    class_rows,
    draw_classes,
)

"""What every figure of an analysis is: numbers, which are its CSV, and a picture of these numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.curves import BLACK, BLUE, GREEN, ORANGE

# colour-blind safe (Okabe and Ito), the yellow that vanishes on white left out
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", ":", "-.")
SYMBOLS = {"E_marginal": "E(x)", "E_joint": "E(x, y)", "dE_marginal": r"\Delta E(x)", "dE_joint": r"\Delta E(x, y)"}


@dataclass(frozen=True)
class Plate:
    """A figure of the report.

    Args:
        name: of its files.
        title: heading.
        caption: what it shows and how to read it.
        rows: its numbers, of one or several nets.
        draw: its picture of these numbers.
    """

    name: str
    title: str
    caption: str
    rows: Callable[[Sequence[Analysis]], list[Row]]
    draw: Callable[[Sequence[Row]], Figure]


def canvas(rows: int, columns: int, height: float = 2.8) -> tuple[Figure, np.ndarray]:
    """A figure of the report's width, and its axes [rows, columns].

    Args:
        rows: of panels.
        columns: of panels.
        height: of a row, in inches.
    """
    figure = Figure(figsize=(9, height * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.grid(alpha=0.25, lw=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def case_looks(cases: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and line style by name: natural images black, attacks as ``attack_looks`` has them."""
    return {NATURAL: {"color": BLACK, "ls": "-"}, **attack_looks(case for case in cases if case != NATURAL)}


def attack_looks(attacks: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and line style of each attack, by their order."""
    return {
        name: {"color": COLOURS[i % len(COLOURS)], "ls": STYLES[i // len(COLOURS) % len(STYLES)]}
        for i, name in enumerate(attacks)
    }


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend under all panels, where it hides no curve."""
    handles, labels = axes.get_legend_handles_labels()
    lines = -(-len(labels) // 6)
    figure.legend(handles, labels, loc="outside lower center", ncols=-(-len(labels) // lines), frameon=False)


def values_of(rows: Iterable[Row], key: str) -> list[Any]:
    """The different values of a column, in their order."""
    return list(dict.fromkeys(row[key] for row in rows))


def where(rows: Iterable[Row], **wanted: object) -> list[Row]:
    """The rows whose columns have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def column(rows: Iterable[Row], key: str) -> np.ndarray:
    """The numbers of a column."""
    return np.array([row[key] for row in rows], dtype=float)

"""The layout of the energy curves' dashboard, and its picture from the files of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.curves import BLACK, BLUE, GREEN, ORANGE, PINK
from energy_at.evaluation.training_run import TrainingRun

LAYOUT = Path(__file__).with_suffix(".yaml")
COLUMNS = 3
STYLES = ("-", "--", ":")  # of a panel's lines; the runs have the colours
COLOURS = (BLUE, ORANGE, GREEN, PINK, BLACK)


@dataclass(frozen=True)
class Panel:
    """One plot of a dashboard.

    Args:
        title: above it.
        lines: names of curves against epochs.
        media: names of pictures, tables or histograms.
    """

    title: str
    lines: tuple[str, ...] = ()
    media: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """Panels under one heading."""

    name: str
    panels: tuple[Panel, ...]


def dashboard_layout(path: Path = LAYOUT) -> tuple[Section, ...]:
    """The sections that a file defines."""
    return tuple(
        Section(section["section"], tuple(Panel(p["title"], _names(p, "lines"), _names(p, "media")) for p in panels))
        for section in yaml.safe_load(path.read_text())
        for panels in [section["panels"]]
    )


def draw_dashboard(layout: Sequence[Section], runs: Sequence[TrainingRun]) -> Figure:
    """The sections that have curves, a row each, as Weights & Biases shows them.

    Args:
        layout: of the dashboard.
        runs: each has its colour; the lines of a panel have their styles.
    """
    shown = [section for section in layout if any(panel.lines for panel in section.panels)]
    figure = Figure(figsize=(4.2 * COLUMNS, 2.7 * len(shown) + 0.4), layout="constrained")
    rows = figure.subfigures(len(shown), 1, squeeze=False)[:, 0]
    for row, section in zip(rows, shown, strict=True):
        row.suptitle(section.name, x=0.01, ha="left", fontsize=11, fontweight="bold")
        for axes, panel in zip(row.subplots(1, COLUMNS, squeeze=False)[0], section.panels, strict=False):
            _draw_panel(axes, panel, runs)
        for axes in row.axes[len(section.panels) :]:
            axes.set_axis_off()
    return figure


def _draw_panel(axes: Axes, panel: Panel, runs: Sequence[TrainingRun]) -> None:
    axes.set_title(panel.title, fontsize=9)
    for i, run in enumerate(runs):
        for name, style in zip(panel.lines, STYLES, strict=False):
            rows = [row for row in run.rows if name in row]
            if rows:
                label = f"{run.name}: {name}" if len(runs) > 1 else name
                told: dict[str, Any] = {"label": label, "marker": "." * (len(rows) == 1)}
                colour = COLOURS[(i if len(runs) > 1 else STYLES.index(style)) % len(COLOURS)]
                axes.plot([r["epoch"] for r in rows], [r[name] for r in rows], style, color=colour, **told)
    if axes.lines:
        axes.legend(fontsize=6)
    else:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, fontsize=9)
    axes.locator_params(axis="x", integer=True)
    axes.tick_params(labelsize=7)


def _names(panel: Mapping[str, Sequence[str]], kind: str) -> tuple[str, ...]:
    return tuple(panel.get(kind, ()))

"""Figure: how much each attack changes the energies."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.plate import (
    COLOURS,
    SYMBOLS,
    Plate,
    canvas,
    legend_below,
    values_of,
    where,
)
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.curves import BLACK

QUANTITIES = ("dE_marginal", "dE_joint")
PERCENTILES = (5, 25, 50, 75, 95)


def delta_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Distributions: net, attack, quantity, images, mean, std, percentiles."""
    return [
        {
            "net": analysis.net,
            "attack": attack,
            "quantity": quantity,
            "images": len(values[quantity]),
            "mean": float(values[quantity].mean()),
            "std": float(values[quantity].std()),
            **{f"p{p}": float(np.percentile(values[quantity], p)) for p in PERCENTILES},
        }
        for analysis in analyses
        for attack, values in analysis.attacks.items()
        for quantity in QUANTITIES
    ]


def draw_deltas(rows: Sequence[Row]) -> Figure:
    """DE(x) left, dE(x, y) right; a group of boxes an attack, a colour a net.

    Args:
        rows: of ``delta_rows``.
    """
    nets, attacks = values_of(rows, "net"), values_of(rows, "attack")
    slot = 1 / (len(nets) + 0.6)
    figure, (panels,) = canvas(1, 2, height=0.6 + 0.32 * len(attacks) / slot)
    for quantity, panel in zip(QUANTITIES, panels, strict=True):
        panel.axvline(0, color=BLACK, lw=0.8)
        for i, net in enumerate(nets):
            for j, attack in enumerate(attacks):
                (row,) = where(rows, net=net, attack=attack, quantity=quantity)
                _box(panel, row, j + (i - (len(nets) - 1) / 2) * slot, 0.8 * slot, COLOURS[i % len(COLOURS)])
        panel.set_yticks(range(len(attacks)), attacks if quantity == QUANTITIES[0] else [""] * len(attacks))
        panel.set(xlabel=f"${SYMBOLS[quantity]}$ [nat]", ylim=(len(attacks) - 0.5, -0.5))
    for i, net in enumerate(nets):
        panels[0].plot([], [], color=COLOURS[i % len(COLOURS)], lw=6, alpha=0.6, label=net)
    legend_below(figure, panels[0])
    return figure


def _box(panel: Axes, row: Row, at: float, width: float, colour: str) -> None:
    panel.hlines(at, row["p5"], row["p95"], color=colour, lw=1.2)
    panel.barh(at, row["p75"] - row["p25"], width, row["p25"], color=colour, alpha=0.6)
    panel.vlines(row["p50"], at - width / 2, at + width / 2, color=BLACK, lw=1.2)
    panel.plot(row["mean"], at, "D", markersize=4, markerfacecolor="white", markeredgecolor=BLACK)
    panel.annotate(
        f"{row['mean']:+.2f}",
        (1, at),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


DELTAS: Plate = Plate(
    "deltas",
    "What each attack does to the energies",
    "dE = E(natural) - E(adversarial), image by image: positive where the adversarial image has the lower energy. Boxes"
    " reach from the 25th to the 75th percentile, whiskers from the 5th to the 95th; line: median; diamond: mean, also"
    " written at the right.",
    delta_rows,
    draw_deltas,
)

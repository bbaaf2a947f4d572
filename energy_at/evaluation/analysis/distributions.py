"""Figure: distributions of E(x) and E(x, y), natural and under every attack."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.plate import (
    SYMBOLS,
    Plate,
    canvas,
    case_looks,
    column,
    legend_below,
    values_of,
    where,
)
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row

QUANTITIES = ("E_marginal", "E_joint")


def distribution_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Histograms: net, quantity, case, low, high, images. All cases of a net share their bins."""
    return [
        {"net": analysis.net, "quantity": quantity, "case": case, "low": low, "high": high, "images": int(count)}
        for analysis in analyses
        for quantity in QUANTITIES
        for edges in [edges_of([values[quantity] for values in analysis.cases.values()], bins_for(analysis.images))]
        for case, values in analysis.cases.items()
        for low, high, count in zip(edges[:-1], edges[1:], counted(values[quantity], edges), strict=True)
    ]


def bins_for(images: int) -> int:
    """More images fill more bins: 60 from some thousands on."""
    return int(min(60, 4 * images ** (1 / 3)))


def edges_of(samples: Sequence[np.ndarray], bins: int) -> np.ndarray:
    """Edges [bins + 1] of equal bins from the 0.1 to the 99.9 percentile of all samples."""
    low, high = np.percentile(np.concatenate(samples), [0.1, 99.9])
    return np.linspace(low, high if high > low else low + 1, bins + 1)


def counted(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts [bins]; what lies beyond the edges counts in the outer bins."""
    return np.histogram(values.clip(edges[0], edges[-1]), edges)[0]


def draw_distributions(rows: Sequence[Row]) -> Figure:
    """A row of panels a net, E(x) left and E(x, y) right.

    Args:
        rows: of ``distribution_rows``.
    """
    nets, looks = values_of(rows, "net"), case_looks(values_of(rows, "case"))
    figure, axes = canvas(len(nets), 2)
    for net, panels in zip(nets, axes, strict=True):
        for quantity, panel in zip(QUANTITIES, panels, strict=True):
            for case, look in looks.items():
                bins = where(rows, net=net, quantity=quantity, case=case)
                low, high, count = (column(bins, key) for key in ("low", "high", "images"))
                density, fill = count / count.sum() / (high - low), case == NATURAL
                panel.stairs(
                    density, [*low, high[-1]], label=case, fill=fill, alpha=0.25 if fill else 1, lw=1.3, **look
                )
            panel.set(title=net, xlabel=f"${SYMBOLS[quantity]}$ [nat]", ylabel="density [1/nat]")
    legend_below(figure, axes[0, 0])
    return figure


DISTRIBUTIONS: Plate = Plate(
    "distributions",
    "Distributions of the energies",
    "E(x) and E(x, y) of the images as they are and under each attack; y is always the true label. A curve left of the"
    " natural one means that the attack lowers the energy. The outer bins hold what lies beyond them (0.1 % on each"
    " side).",
    distribution_rows,
    draw_distributions,
)

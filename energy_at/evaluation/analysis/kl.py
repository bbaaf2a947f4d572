"""Figure: TRADES' KL in its conditional and its marginal term."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.plate import Plate, canvas, column, legend_below, values_of, where
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.curves import BLACK, BLUE, ORANGE

TERMS = {"kl_conditional": (BLUE, "conditional"), "dE_marginal": (ORANGE, r"marginal, $\Delta E(x)$")}


def kl_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, attack, images, and mean and standard error of the KL ("kl") and of its two terms."""
    return [
        {
            "net": analysis.net,
            "attack": attack,
            "images": analysis.images,
            **{key: float(values[key].mean()) for key in (*TERMS, "kl")},
            **{f"{key}_error": float(values[key].std() / np.sqrt(analysis.images)) for key in (*TERMS, "kl")},
        }
        for analysis in analyses
        for attack, values in analysis.attacks.items()
    ]


def draw_kl(rows: Sequence[Row]) -> Figure:
    """A panel a net, two bars an attack and a mark for their sum.

    Args:
        rows: of ``kl_rows``.
    """
    nets = values_of(rows, "net")
    figure, axes = canvas(-(-len(nets) // 2), 2 if len(nets) > 1 else 1)
    for panel in axes.flat[len(nets) :]:
        panel.set_axis_off()
    for net, panel in zip(nets, axes.flat, strict=False):
        bars = where(rows, net=net)
        at = np.arange(len(bars))
        panel.axhline(0, color=BLACK, lw=0.8)
        for i, (key, (colour, label)) in enumerate(TERMS.items()):
            panel.bar(at + 0.36 * (i - 0.5), column(bars, key), 0.34, color=colour, label=label)
        kl, error = column(bars, "kl"), column(bars, "kl_error")
        panel.errorbar(at, kl, error, fmt="D", color=BLACK, ms=5, label="KL, their sum")
        panel.set_xticks(at, values_of(bars, "attack"), rotation=20 if len(bars) > 4 else 0, fontsize=9)
        panel.set(title=net, ylabel="mean [nat]")
    legend_below(figure, axes.flat[0])
    return figure


KL: Plate = Plate(
    "kl",
    "TRADES' KL in its two terms",
    "KL(p(.|x) || p(.|x*)) = sum_k p(k|x) [E(x*, k) - E(x, k)] + dE(x): the conditional and the marginal term, means"
    " over the images; their sum is exactly the KL (diamond, with standard error).",
    kl_rows,
    draw_kl,
)

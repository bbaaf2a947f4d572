"""The curves of several trainings side by side."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.comparison import Trained
from energy_at.evaluation.overfitting import CATASTROPHIC

# colour-blind safe (Okabe and Ito), then the same dashed
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#F0E442")
PANELS = {
    "val/robust_acc": "accuracy, multi-step attack\n(validation)",
    "val/single_step_acc": "accuracy, single-step attack\n(validation)",
    "val/dE_marginal": "$\\Delta E(x)$, multi-step attack\n(validation) [nat]",
    "train/dE_marginal": "$\\Delta E(x)$, training attack\n(training images) [nat]",
}

SURGE = 5.0  # nats, beyond which a linear scale would hide the other methods' delta energies


def draw_comparison(trained: Sequence[Trained], title: str = "") -> Figure:
    """Accuracies and delta energies against epochs: a colour a method, a thin line a seed, a cross where one collapsed.

    A panel of delta energies that reaches beyond ``SURGE`` is linear within one nat of 0 and logarithmic outside.

    Args:
        trained: the trainings, with their rows' keys as ``EnergyLogger`` names them; missing curves are left out.
        title: of the figure.

    Returns:
        A figure that belongs to no window; save it with ``figure.savefig``.
    """
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).T.flat
    methods = list(dict.fromkeys(one.method for one in trained))
    for axes, (key, label) in zip(panels, PANELS.items(), strict=True):
        for number, method in enumerate(methods):
            _curves(axes, [one for one in trained if one.method == method], key, number)
        axes.set_ylabel(label)
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if key.endswith("acc"):
            axes.set_ylim(bottom=0)
        else:
            axes.axhline(0, color="#222222", lw=0.6)
            if max(map(abs, axes.get_ylim())) > SURGE:
                axes.set_yscale("symlog", linthresh=1)
                axes.yaxis.set_major_formatter("{x:g}")
    for axes in figure.axes[1::2][-1:] + figure.axes[2:]:
        axes.set_xlabel("epoch")
    figure.suptitle(title)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))), frameon=False)
    return figure


def _curves(axes: Axes, trained: Sequence[Trained], key: str, number: int) -> None:
    dashes = "-" if number < len(COLOURS) else "--"
    style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "ls": dashes, "lw": 1.1}
    for i, one in enumerate(trained):
        known = [(row["epoch"], row[key]) for row in one.run.rows if key in row]
        label = one.method if i == 0 else None
        axes.plot(*zip(*known, strict=True), **style, label=label, alpha=0.85) if known else axes.plot([], label=label)
        collapsed = one.run.onsets.get(CATASTROPHIC)
        at = [(epoch, value) for epoch, value in known if epoch == collapsed]
        if at:
            axes.plot(*at[0], "x", color=style["color"], ms=8, mew=2)

"""The picture of a training run: energies and robust accuracy against epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.phases import Phase

# colour-blind safe (Okabe and Ito)
BLUE, ORANGE, GREEN, PINK, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#222222"

Row = Mapping[str, float]


def draw_energy_curves(
    rows: Sequence[Row], title: str = "", onsets: Mapping[str, int] | None = None, phases: Sequence[Phase] = ()
) -> Figure:
    """Two panels over the same epochs: E(x) and E(x*) above, dE(x), dE(x, y) and robust accuracy below.

    Args:
        rows: one mapping an epoch, with "epoch" and the keys of ``EnergyLogger``; missing values are left out.
        title: of the figure.
        onsets: epochs to mark by name, such as {"catastrophic overfitting": 7}.
        phases: of dE(x) on training images, shaded, with their lines.

    Returns:
        A figure that belongs to no window; save it with ``figure.savefig``.
    """
    figure = Figure(figsize=(7, 6.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    _energies(top, rows)
    _phases(bottom, phases)
    _deltas(bottom, rows)
    for i, (name, epoch) in enumerate((onsets or {}).items()):
        for axes in (top, bottom):
            axes.axvline(epoch, color=BLACK, lw=1, ls=":")
        late = 2 * epoch > rows[0]["epoch"] + rows[-1]["epoch"]  # there the words stand before the line
        place: dict[str, Any] = {"xytext": (-3 if late else 3, -12 * (i + 1)), "textcoords": "offset points"}
        place["ha"] = "right" if late else "left"
        top.annotate(name, (epoch, 1), xycoords=("data", "axes fraction"), **place)
    top.set_title(title)
    bottom.set_xlabel("epoch")
    bottom.locator_params(axis="x", integer=True)
    return figure


def _phases(axes: Axes, phases: Sequence[Phase]) -> None:
    # above the curve that it follows
    line: dict[str, Any] = {"color": BLACK, "lw": 1.2, "ls": (0, (4, 2)), "zorder": 5}
    for number, phase in enumerate(phases, start=1):
        left, right = phase.first - 0.5, phase.last + 0.5
        axes.axvspan(left, right, color=BLACK, alpha=0.09 if number % 2 else 0.03, lw=0)
        axes.plot([phase.first, phase.last], [phase.start, phase(phase.last)], **line)
        place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (0, 3), "textcoords": "offset points"}
        axes.annotate(f"phase {number}", ((left + right) / 2, 1), ha="center", fontsize=8, **place)


def _energies(axes: Axes, rows: Sequence[Row]) -> None:
    _curve(axes, rows, "train/E_marginal", BLUE, "$E(x)$ natural", band=True)
    _curve(axes, rows, "train/E_marginal_adv", ORANGE, "$E(x^*)$ adversarial", band=True)
    _curve(axes, rows, "train/E_marginal_contrast", PINK, "$E(x^-)$ contrastive", band=True)
    axes.set_ylabel("marginal energy [nat]\ntraining images, mean and std")
    if axes.lines:
        axes.legend(frameon=False, loc="best")
    axes.grid(alpha=0.25)


def _deltas(axes: Axes, rows: Sequence[Row]) -> None:
    axes.axhline(0, color=BLACK, lw=0.6)
    _curve(axes, rows, "train/dE_marginal", BLUE, r"$\Delta E(x)$, training attack")
    _curve(axes, rows, "train/dE_joint", ORANGE, r"$\Delta E(x, y)$, training attack")
    _curve(axes, rows, "val/dE_marginal", BLUE, r"$\Delta E(x)$, validation, multi-step", style="--")
    axes.set_ylabel("delta energy [nat]")
    axes.grid(alpha=0.25)
    accuracy = axes.twinx()
    _curve(accuracy, rows, "val/robust_acc", GREEN, "robust accuracy, validation, multi-step (right)", marker="o")
    _curve(accuracy, rows, "val/single_step_acc", GREEN, "the same, single-step (right)", style=":")
    accuracy.set_ylim(0, 1)
    accuracy.set_ylabel("robust accuracy", color=GREEN)
    accuracy.tick_params(axis="y", colors=GREEN)
    handles = [*axes.get_legend_handles_labels()[0], *accuracy.get_legend_handles_labels()[0]]
    # below the panel: every corner of it may hold a curve
    axes.legend(handles=handles, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)


def _curve(
    axes: Axes,
    rows: Sequence[Row],
    key: str,
    colour: str,
    label: str,
    style: str = "-",
    marker: str = "",
    band: bool = False,
) -> None:
    known = [row for row in rows if key in row]
    if not known:
        return
    epochs, values = [row["epoch"] for row in known], [row[key] for row in known]
    single = "o" if len(known) == 1 else marker
    axes.plot(epochs, values, style, color=colour, label=label, marker=single, markersize=3, lw=1.8)
    if band:
        low = [row[key] - row.get(f"{key}_std", 0) for row in known]
        high = [row[key] + row.get(f"{key}_std", 0) for row in known]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.12, lw=0)

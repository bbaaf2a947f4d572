"""The figures of a run: energies along the chains, and the trade-off of quality against diversity."""

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from torch import Tensor

from energy_at.generation.chain import Along
from energy_at.generation.quality.tradeoff import Point

# colour-blind safe (Okabe and Ito)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLACK = "#222222"


def draw_energies(found: Along, real: Tensor | None = None) -> Figure:
    """E(x, y) of the samples step by step, and how many of them are still on their way.

    Args:
        found: of the samples.
        real: [N], of real images, drawn as a band.
    """
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    steps = range(len(found.mean))
    if real is not None:
        low, middle, high = (float(real.double().quantile(q)) for q in (0.1, 0.5, 0.9))
        top.axhline(middle, color=COLOURS[1], lw=1.4, label="real images, median")
        top.axhline(low, color=COLOURS[1], lw=1, ls=":", label="real images, deciles 1 and 9")
        top.axhline(high, color=COLOURS[1], lw=1, ls=":")
    top.fill_between(steps, found.low, found.high, color=COLOURS[0], alpha=0.2, lw=0, label="samples, deciles 1 to 9")
    top.plot(steps, found.middle, color=COLOURS[0], lw=1.8, label="samples, median")
    top.set_ylabel("joint energy $E(x, y)$ [nat]")
    top.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    bottom.step(steps, 100 * found.moving / found.moving[0], color=BLACK, where="mid")
    bottom.set_ylabel("still moving [%]")
    bottom.set_ylim(0, 105)
    bottom.set_xlabel("step")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (top, bottom):
        axes.grid(alpha=0.25)
    return figure


def draw_tradeoff(points: Sequence[Point], real: Mapping[str, tuple[float, float]] | None = None) -> Figure:
    """Frechet distance against diversity: a line for each scale, along the numbers of steps.

    Args:
        points: of ``tradeoff``.
        real: relative diversity and Frechet distance of other sets of images, by their names.
    """
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for colour, scale in zip(cycle(COLOURS), sorted({point.scale for point in points}), strict=False):
        _line(axes, sorted((p for p in points if p.scale == scale), key=lambda p: p.steps), colour)
    for name, (diversity, distance) in (real or {}).items():
        axes.plot(diversity, distance, "*", color=BLACK, markersize=12, ls="", label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("diversity within a class, relative to training images")
    axes.set_ylabel("Frechet distance to training images\n(judge's features; lower is better)")
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False, title="numbers at the lines: steps", title_fontsize=8)
    return figure


def _line(axes: Axes, points: Sequence[Point], colour: str) -> None:
    across, up = [p.relative_diversity for p in points], [p.frechet_distance for p in points]
    axes.plot(across, up, "o-", color=colour, markersize=4, lw=1.6, label=f"scale {points[0].scale:g}")
    for point in (points[0], points[-1]):
        place = (point.relative_diversity, point.frechet_distance)
        axes.annotate(f"{point.steps}", place, xytext=(4, 4), textcoords="offset points", fontsize=8, color=colour)

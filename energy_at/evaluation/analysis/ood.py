"""Figure: are out-of-distribution images told by their energy, and still when they are attacked?"""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.confidence import auroc
from energy_at.evaluation.analysis.distributions import bins_for, counted, edges_of
from energy_at.evaluation.analysis.plate import Plate, attack_looks, canvas, column, values_of, where
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.result import Analysis, Row, Values
from energy_at.evaluation.curves import BLACK, BLUE

# each is to be higher on out-of-distribution images
SCORES: dict[str, Callable[[Values], np.ndarray]] = {
    "energy": lambda values: values["E_marginal"],  # arXiv 2010.03759
    "confidence": lambda values: -values["confidence"],  # arXiv 1610.02136
    "max_logit": lambda values: values["E_marginal"] - np.log(values["confidence"]),  # arXiv 1911.11132
    "gradient": lambda values: values["gradient_norm"],  # arXiv 1912.03263
}
SYMBOLS = {"energy": "E(x)", "confidence": "conf.", "max_logit": "max logit", "gradient": "gradient"}
OWN = "the net's own images"
KEPT = 0.95  # of these, where the others that pass are counted


def fpr95(score: np.ndarray, ood: np.ndarray) -> float:
    """Share of out-of-distribution images that pass where 95 % of the net's own do (arXiv 1706.02690).

    Args:
        score: [N], higher for what is to be rejected.
        ood: [N], bool; both kinds are there.
    """
    threshold = np.quantile(score[~ood], KEPT, method="higher")
    return float((score[ood] <= threshold).mean())


def ood_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, data, case, and either a score (of ``SCORES``): images, auroc, fpr95; or a histogram.

    A histogram's rows have the score "", low and high, and how many images have their E(x) between.
    "auroc" is the probability that an out-of-distribution image has a higher score than one of the net's own.
    """
    return [
        row
        for analysis in analyses
        for data, other in analysis.ood.items()
        for rows in (_scores(analysis, data, other), _histograms(analysis, data, other))
        for row in rows
    ]


def _scores(analysis: Analysis, data: str, other: Analysis) -> list[Row]:
    return [
        {"net": analysis.net, "data": data, "case": case, "score": name, "images": other.images}
        | {"auroc": auroc(both, ood), "fpr95": fpr95(both, ood)}
        for case, values in other.cases.items()
        for name, score in SCORES.items()
        for both in [np.concatenate([score(analysis.natural), score(values)])]
        for ood in [np.arange(len(both)) >= analysis.images]
    ]


def _histograms(analysis: Analysis, data: str, other: Analysis) -> list[Row]:
    energies = {OWN: analysis.natural["E_marginal"]} | {c: values["E_marginal"] for c, values in other.cases.items()}
    edges = edges_of(list(energies.values()), bins_for(min(analysis.images, other.images)))
    return [
        {"net": analysis.net, "data": data, "case": case, "score": "", "images": int(n), "low": low, "high": high}
        for case, energy in energies.items()
        for low, high, n in zip(edges[:-1], edges[1:], counted(energy, edges), strict=True)
    ]


def draw_ood(rows: Sequence[Row]) -> Figure:
    """A row a net, a panel a data set: E(x) of the net's own images, of the others, and of these under attack.

    Args:
        rows: of ``ood_rows``.
    """
    nets, names = values_of(rows, "net"), values_of(rows, "data")
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, axes = canvas(len(nets) * lines, columns)
    panels = axes.reshape(len(nets), -1)
    for net, of_net in zip(nets, panels, strict=True):
        for panel in of_net[len(names) :]:
            panel.set_axis_off()
        for data, panel in zip(names, of_net, strict=False):
            _energies(panel, where(rows, net=net, data=data))
            panel.set(title=f"{net}: {data}", xlabel="$E(x)$ [nat]", ylabel="density [1/nat]")
    return figure


def _energies(panel: Axes, rows: Sequence[Row]) -> None:
    cases = [case for case in values_of(rows, "case") if case not in (OWN, NATURAL)]
    looks = {OWN: {"color": BLACK}, NATURAL: {"color": BLUE}} | attack_looks(["", *cases])
    for case in (OWN, NATURAL, *cases):
        bins = where(rows, case=case, score="")
        low, high, images = (column(bins, key) for key in ("low", "high", "images"))
        area = where(rows, case=case, score="energy")
        label = f"{case}: AUROC {area[0]['auroc']:.3f}" if area else case
        density = images / images.sum() / (high - low)
        filled = {"fill": True, "alpha": 0.25} if case == OWN else {}
        panel.stairs(density, [*low, high[-1]], lw=1.3, label=label, **looks[case] | filled)
    panel.set_ylim(top=1.5 * panel.get_ylim()[1])  # room for the legend
    panel.legend(frameon=False, fontsize=7, loc="upper left")


def ood_cells(rows: Sequence[Row]) -> list[list[str]]:
    """Scores as text: headings, then a line a net, data set and case.

    Args:
        rows: of ``ood_rows``.
    """
    told = [row for row in rows if row["score"]]
    headings = ["net", "data", "images", *(f"{word} {SYMBOLS[name]}" for name in SCORES for word in ("AUROC", "FPR95"))]
    keys = dict.fromkeys((row["net"], row["data"], row["case"]) for row in told)
    numbers = {(row["net"], row["data"], row["case"], row["score"]): (row["auroc"], row["fpr95"]) for row in told}
    return [headings, *([*key, *(f"{n:.3f}" for name in SCORES for n in numbers[*key, name])] for key in keys)]


OOD: Plate = Plate(
    "ood",
    "Out-of-distribution images",
    "Does the energy tell images that are none of the net's classes? E(x) of the net's own images (grey) and of others,"
    " as they are and under attacks that make them look like the net's own. AUROC: probability that one of the others"
    " has the higher E(x); 0.5 means that the energy tells nothing, less that it misleads. The table has it for four"
    " scores, E(x), minus the confidence, minus the largest logit and the length of the gradient of E(x) at the image,"
    " and FPR95, the share of the others that pass"
    f" where {KEPT:.0%} of the net's own do. The outer bins hold what lies beyond them.",
    ood_rows,
    draw_ood,
)

"""Figure: the images of lowest and of highest energy, and those whose label the net believes least."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from energy_at.evaluation.analysis.plate import Plate, values_of
from energy_at.evaluation.analysis.result import Analysis, Row, Values
from energy_at.evaluation.tables import class_name
from energy_at.generation.mosaics import INCHES, middles, show_mosaic
from energy_at.types import Images, require_count

LOWEST = "lowest E(x)"
# the number that is lowest in the images of each kind
KINDS: dict[str, Callable[[Mapping[str, Tensor]], Tensor]] = {
    LOWEST: lambda values: values["E_marginal"],
    "highest E(x)": lambda values: -values["E_marginal"],
    "highest cross-entropy": lambda values: values["E_marginal"] - values["E_joint"],
}
KEPT = ("label", "prediction", "confidence", "E_marginal", "E_joint")
MOST = 10  # images of a kind, where nobody says otherwise
COLOURS = (1, 3)  # channels that can be shown
MOST_LETTERS = 12  # of a class below an image


class Extremes:
    """Gathers the images of each kind, batch by batch.

    Args:
        most: images of a kind; 0 for none.

    Raises:
        InputError: if that is no count.
    """

    def __init__(self, most: int) -> None:
        require_count("extremes", most, MOST, least=0)
        self.most, self._seen = most, 0
        self._found: dict[str, dict[str, Tensor]] = {}

    def add(self, x: Images, values: Mapping[str, Tensor]) -> None:
        """Look at a batch.

        Args:
            x: [N, C, H, W] in [0, 1].
            values: [N] each, of ``natural_values`` and perhaps others.
        """
        places = torch.arange(self._seen, self._seen + len(x))
        self._seen += len(x)
        for kind, score in KINDS.items() if self.most and x.shape[1] in COLOURS else ():
            order = score(values).argsort(stable=True)[: self.most]
            images = x[order.to(x.device)].mul(255).round().to(torch.uint8).cpu()
            new = {"image": images, "index": places[order], **{key: values[key][order] for key in KEPT}}
            old = self._found.get(kind, {})
            both = {key: torch.cat([old[key], value]) if old else value for key, value in new.items()}
            best = score(both).argsort(stable=True)[: self.most]
            self._found[kind] = {key: value[best] for key, value in both.items()}

    def found(self) -> dict[str, Values]:
        """By kind, the most extreme first: "image", uint8 [M, C, H, W], "index" among all images, and values [M]."""
        return {kind: {key: value.numpy() for key, value in of.items()} for kind, of in self._found.items()}


def extreme_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """A row an image: net, data ("" for the net's own), kind, rank, index, image, and what the net makes of it.

    An out-of-distribution image has no label.
    """
    return [
        _row(analysis, data, kind, rank, {key: value[rank] for key, value in of.items()})
        for analysis in analyses
        for data, kind, of in _shown(analysis)
        for rank in range(len(of["index"]))
    ]


def _shown(analysis: Analysis) -> list[tuple[str, str, Values]]:
    own = [("", kind, of) for kind, of in analysis.extremes.items()]
    return own + [(data, LOWEST, other.extremes[LOWEST]) for data, other in analysis.ood.items() if other.extremes]


def _row(analysis: Analysis, data: str, kind: str, rank: int, image: Mapping[str, Any]) -> Row:
    place = {"net": analysis.net, "data": data, "kind": kind, "rank": rank, "index": int(image["index"])}
    label, prediction = None if data else int(image["label"]), int(image["prediction"])
    said = {"label": label, "label_name": "" if label is None else class_name(analysis.class_names, label)}
    said |= {"prediction": prediction, "prediction_name": class_name(analysis.class_names, prediction)}
    numbers = {key: float(image[key]) for key in ("confidence", "E_marginal", "E_joint")}
    return place | said | numbers | {"image": image["image"]}


def draw_extremes(rows: Sequence[Row]) -> Figure:
    """The images of one net, data set and kind in each line.

    Args:
        rows: of ``extreme_rows``.
    """
    lines = [list(line) for _, line in groupby(rows, lambda row: (row["net"], row["data"], row["kind"]))]
    size = (1.35 * INCHES * max(map(len, lines)) + 1.8, (1.35 * INCHES + 0.55) * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    told = ("net", "data", "kind") if len(values_of(rows, "net")) > 1 else ("data", "kind")
    for axes, line in zip(figure.subplots(len(lines), squeeze=False)[:, 0], lines, strict=True):
        images = torch.stack([torch.from_numpy(row["image"]) for row in line])
        show_mosaic(axes, [images], ["\n".join(line[0][key] for key in told if line[0][key])])
        places = middles(images.shape[-1], len(line))
        axes.set_xticks(places, [_words(row) for row in line], fontsize=6.5, parse_math=False)
    return figure


def _words(row: Row) -> str:
    number = row["E_marginal"] if "E(x)" in row["kind"] else row["E_joint"] - row["E_marginal"]
    label, prediction = row["label_name"][:MOST_LETTERS], row["prediction_name"][:MOST_LETTERS]
    names = [*([label] if label else []), *([f"as {prediction}"] if row["label"] != row["prediction"] else [])]
    return "\n".join([*names, f"{number:.2f}"])


EXTREMES: Plate = Plate(
    "extremes",
    "Images of extreme energies",
    "Images that the net finds most and least like its data, by E(x), and those whose label it believes least, by the"
    " cross-entropy E(x, y) - E(x): wrong labels are often among them (arXiv 1911.00068). Below each its label, the"
    " prediction where that differs, and the number. Of out-of-distribution images those that the net would rather take"
    " for its own.",
    extreme_rows,
    draw_extremes,
)

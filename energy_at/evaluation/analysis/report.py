"""Writes an analysis: figures, their numbers, per-image values, and the page that shows them all."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from energy_at.evaluation.analysis.calibration import CALIBRATION
from energy_at.evaluation.analysis.classes import CLASSES
from energy_at.evaluation.analysis.confidence import CONFIDENCE
from energy_at.evaluation.analysis.deltas import DELTAS
from energy_at.evaluation.analysis.distributions import DISTRIBUTIONS
from energy_at.evaluation.analysis.extremes import EXTREMES
from energy_at.evaluation.analysis.history import draw_run, run_caption, run_rows
from energy_at.evaluation.analysis.kl import KL
from energy_at.evaluation.analysis.landscape import LANDSCAPE
from energy_at.evaluation.analysis.means import mean_rows
from energy_at.evaluation.analysis.ood import OOD
from energy_at.evaluation.analysis.page import Picture, page
from energy_at.evaluation.analysis.plate import Plate
from energy_at.evaluation.analysis.result import Analysis, Row
from energy_at.evaluation.tables import csv_text
from energy_at.evaluation.training_run import TrainingRun
from energy_at.files import safe_name, write_file
from energy_at.types import kind_of, require

DPI = 130  # sharp on the page and in print
PLATES = (DISTRIBUTIONS, DELTAS, CONFIDENCE, CALIBRATION, KL, LANDSCAPE, CLASSES, OOD, EXTREMES)


def write_report(
    analyses: Sequence[Analysis], folder: str | Path, plates: Sequence[Plate] = PLATES, runs: Sequence[TrainingRun] = ()
) -> Path:
    """Write ``report.html``, ``means.csv``, ``conditions.json``, ``NET.images.csv``, and PNG and CSV of every figure.

    A figure that has nothing to show (no attacks, no smoothness measured) is left out. Values of
    out-of-distribution images are in ``NET.DATA.images.csv``.

    Args:
        analyses: of one or several nets, on the same images under the same attacks.
        folder: made where there is none.
        plates: figures, in their order.
        runs: trainings whose history is shown too.

    Returns:
        Path of the page.

    Raises:
        InputError: if there is no analysis, or one that is not in a list, or if two would be written to one file.
    """
    listed = isinstance(analyses, Sequence) and len(analyses) > 0
    require(listed, f"analyses are {kind_of(analyses)}; give a list of at least one, as [analyze(...)]")
    values = _by_file(analyses)
    folder, means, pictures = Path(folder), mean_rows(analyses), []
    for picture, rows in _pictures(analyses, plates, runs):
        write_file(folder / f"{picture.name}.png", picture.png)
        numbers = [{key: value for key, value in row.items() if key != "image"} for row in rows]
        write_file(folder / f"{picture.name}.csv", csv_text(numbers))
        pictures.append(picture)
    for name, analysis in values.items():
        write_file(folder / name, per_image_csv(analysis))
    write_file(folder / "means.csv", csv_text(means))
    write_file(folder / "conditions.json", _conditions(analyses))
    write_file(folder / "report.html", page(analyses, means, pictures))
    return folder / "report.html"


def file_names(places: Iterable[tuple[str, str]]) -> list[str]:
    """Names of the files with the values of every image, one for each net and data set ("" for the net's own).

    Raises:
        InputError: if two have the same.
    """
    names = [".".join(map(safe_name, filter(None, place))) + ".images.csv" for place in places]
    for name in names:
        require(names.count(name) == 1, f"two analyses would be written to {name}; name a net otherwise")
    return names


def _by_file(analyses: Sequence[Analysis]) -> dict[str, Analysis]:
    """Whose values each file holds."""
    measured = [(own.net, data, each) for own in analyses for data, each in {"": own, **own.ood}.items()]
    names = file_names((net, data) for net, data, _ in measured)
    return {name: each for name, (*_, each) in zip(names, measured, strict=True)}


def _pictures(
    analyses: Sequence[Analysis], plates: Sequence[Plate], runs: Sequence[TrainingRun]
) -> Iterator[tuple[Picture, list[Row]]]:
    for plate in plates:
        if rows := plate.rows(analyses):
            yield Picture(plate.name, plate.title, plate.caption, png(plate.draw(rows))), rows
    for run in runs:
        name, title = f"training-{safe_name(run.name)}", f"Training run of {run.name}"
        yield Picture(name, title, run_caption(run), png(draw_run(run))), run_rows(run)


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def per_image_csv(analysis: Analysis) -> str:
    """One line an image, in the order of the data; energies in the precision of the float32 logits.

    Args:
        analysis: of a net.
    """
    columns = {"index": np.arange(analysis.images), **analysis.per_image()}
    forms = ["%.7g" if values.dtype.kind == "f" else "%d" for values in columns.values()]
    text = io.StringIO()
    table = np.column_stack([values.astype(float) for values in columns.values()])
    np.savetxt(text, table, forms, delimiter=",", header=",".join(columns), comments="")
    return text.getvalue()


def _conditions(analyses: Sequence[Analysis]) -> str:
    told = {analysis.net: {**_told(analysis), **_told_of_ood(analysis)} for analysis in analyses}
    return json.dumps({"nets": told, "attacks": dict(analyses[0].settings)}, indent=2, default=str) + "\n"


def _told(analysis: Analysis) -> dict[str, Any]:
    return {"images": analysis.images, **analysis.conditions}


def _told_of_ood(analysis: Analysis) -> dict[str, Any]:
    told = {name: {**_told(other), "attacks": dict(other.settings)} for name, other in analysis.ood.items()}
    return {"ood": told} if told else {}

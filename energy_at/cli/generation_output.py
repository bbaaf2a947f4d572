"""The files that ``energy-at generate`` leaves beside its batches."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from energy_at.evaluation.tables import csv_text
from energy_at.files import as_a_whole, write_file
from energy_at.generation.batch_files import Batch, BatchFiles
from energy_at.generation.chain import Along, along
from energy_at.generation.export import write_npz, write_png
from energy_at.generation.figures import draw_energies, draw_tradeoff
from energy_at.generation.mosaics import draw_chains, draw_copies, draw_overview
from energy_at.generation.quality.copies import Nearest
from energy_at.generation.quality.tradeoff import Point
from energy_at.types import Images, Labels

SHOWN = 12  # pairs in the picture of possible copies


class Numbers(NamedTuple):
    """One of each sample.

    Args:
        label: [n].
        energy: [n].
        target: [n].
        steps: [n].
        chain: [n, T + 1].
    """

    label: Tensor
    energy: Tensor
    target: Tensor
    steps: Tensor
    chain: Tensor

    def summary(self, limit: int) -> dict[str, float]:
        """Step counts and energies of the run.

        Args:
            limit: the most steps that a sample takes.
        """
        return {
            "mean_steps": float(self.steps.double().mean()),
            "most_steps": int(self.steps.max()),
            "step_limit": limit,
            "share_at_target": float((self.energy <= self.target).double().mean()),
            "mean_energy": float(self.energy.double().mean()),
        }


class Output:
    """The folder of a run.

    Args:
        folder: where everything goes.
        files: of the samples.
        n: their number.
        class_names: of the labels.
    """

    def __init__(self, folder: Path, files: BatchFiles, n: int, class_names: Sequence[str]) -> None:
        self.folder, self.files, self.n, self.class_names = folder, files, n, class_names

    def write_images(self, save: Literal["npz", "png"]) -> Path:
        """All samples, as ``images.npz`` or ``images/<class>/<index>.png``."""
        if save == "npz":
            write_npz(self.folder / "images.npz", self.files.read(self.n), self.n)
            return self.folder / "images.npz"
        write_png(self.folder / "images", self.files.read(self.n), self.class_names)
        return self.folder / "images"

    def write_chains(self) -> None:
        """``grid.png`` of all classes and ``grids/<class>.png`` of each, from start to end."""
        stages, labels = [], []
        for batch in self.files.read(self.n):
            if len(batch.pictured) == 0:
                break
            stages.append(batch.stages)
            labels.append(batch.label[batch.pictured])
        self._write_mosaics(torch.cat(stages), torch.cat(labels))

    def _write_mosaics(self, stages: Tensor, labels: Labels) -> None:
        self._save(draw_overview(stages, labels, self.class_names), "grid.png")
        for label in labels.unique().tolist():
            name = self.class_names[label]
            self._save(draw_chains(stages[labels == label], name), f"grids/{name}.png")

    @cached_property
    def numbers(self) -> Numbers:
        """Of all samples."""
        parts = [[getattr(batch, name) for name in Numbers._fields] for batch in self.files.read(self.n)]
        return Numbers(*map(torch.cat, zip(*parts, strict=True)))

    def write_energies(self, real: Tensor | None) -> None:
        """``energies.csv`` and ``energies.png``: E(x, y) along the chains.

        Args:
            real: [N], energies of real images.
        """
        found = along(self.numbers.chain)
        rows = [dict(zip(Along._fields, step, strict=True)) for step in zip(*(c.tolist() for c in found), strict=True)]
        write_file(self.folder / "energies.csv", csv_text([{"step": i, **row} for i, row in enumerate(rows)]))
        self._save(draw_energies(found, real), "energies.png")

    def write_samples(self, near: Nearest) -> None:
        """``samples.csv``: class, steps, energies and nearest training image of each sample."""
        columns = {name: column.tolist() for name, column in self.numbers._asdict().items() if name != "chain"}
        columns |= {"nearest_train_distance": near.distance.tolist(), "nearest_train_index": near.index.tolist()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        write_file(self.folder / "samples.csv", csv_text([{"index": i, **row} for i, row in enumerate(rows)]))

    def write_copies(self, near: Nearest, train: Images) -> None:
        """``copies.png``: the samples that are nearest to a training image, with these."""
        shown = near.distance.argsort(stable=True)[:SHOWN]
        samples = {i: image for batch in self.files.read(self.n) for i, image in _some(batch, shown)}
        pairs = torch.stack([samples[i] for i in shown.tolist()]), train[near.index[shown]]
        self._save(draw_copies(*pairs, near.distance[shown].tolist()), "copies.png")

    def write_tradeoff(self, points: Sequence[Point], test_images: Mapping[str, Any]) -> None:
        """``tradeoff.csv`` and ``tradeoff.png``.

        Args:
            points: of the curve.
            test_images: the judge's numbers of these.
        """
        write_file(self.folder / "tradeoff.csv", csv_text([point._asdict() for point in points]))
        real = (test_images["relative_diversity"], test_images["frechet_distance"])
        self._save(draw_tradeoff(points, {f"{test_images['images']} test images": real}), "tradeoff.png")

    def _save(self, figure: Figure, name: str) -> None:
        with as_a_whole(self.folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=150)


def _some(batch: Batch, wanted: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Those of the wanted samples that the batch holds, with their indices."""
    places = torch.isin(batch.index, wanted).nonzero()[:, 0].tolist()
    return ((int(batch.index[place]), batch.image[place]) for place in places)

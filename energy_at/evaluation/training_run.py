"""A training run as its ``metrics.csv`` tells it: one row an epoch, where it overfitted, and its phases."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan
from pathlib import Path

from energy_at.evaluation.curves import Row
from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST, Epoch, onsets
from energy_at.evaluation.phases import Phase, three_phases, unexplained
from energy_at.types import InputError, require

DELTA = "train/dE_marginal"
JUDGED = {"val/robust_acc", "val/single_step_acc"}
METRICS = "metrics.csv"
WARM_UP = "overfitting/warm_up"
MONITORED = {CATASTROPHIC: "overfitting/catastrophic_epoch", ROBUST: "overfitting/robust_epoch"}


@dataclass(frozen=True)
class TrainingRun:
    """The history of a training.

    Args:
        name: in figures and tables.
        rows: one mapping an epoch, with "epoch" and what was logged; oldest first.
    """

    name: str
    rows: Sequence[Row]

    @property
    def onsets(self) -> dict[str, int]:
        """Epochs of catastrophic and robust overfitting: as the monitor logged them, else by its rules."""
        logged = {name: int(row[key]) for row in self.rows for name, key in MONITORED.items() if key in row}
        if logged:
            return logged
        judged = [row for row in self.rows if row.keys() >= JUDGED and WARM_UP not in row]
        return onsets([int(row["epoch"]) for row in judged], [_epoch(row) for row in judged])

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Of mean dE(x) on training images; empty where there are too few epochs."""
        return three_phases(*self._deltas) or ()

    @property
    def unexplained(self) -> float | None:
        """See ``phases.unexplained``; None where there are no phases."""
        return unexplained(*self._deltas, self.phases) if self.phases else None

    @property
    def _deltas(self) -> tuple[list[int], list[float]]:
        rows = [row for row in self.rows if isfinite(row.get(DELTA, nan))]
        return [int(row["epoch"]) for row in rows], [row[DELTA] for row in rows]


def read_run(path: str | Path, name: str = "") -> TrainingRun:
    """The run that a ``metrics.csv`` describes: values of steps and of the final test are left out.

    Args:
        path: file of ``CSVLogger``, or the folder of the run that holds it.
        name: of the run.

    Raises:
        InputError: if there is no such file, or if it is no metrics file with at least one whole epoch.
    """
    path = Path(path) / METRICS if Path(path).is_dir() else Path(path)
    require(path.is_file(), f"there is no file {path}; give the metrics.csv of a training run")
    epochs: dict[int, dict[str, float]] = {}
    with path.open(newline="") as file:
        try:
            for line in csv.DictReader(file):
                values = {key: float(value) for key, value in line.items() if value}
                epochs.setdefault(int(values["epoch"]), {}).update(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path} is no metrics.csv of a training run ({error}); give one that has epochs"
            ) from error
    rows = [{key: row[key] for key in row if _of_an_epoch(key)} for _, row in sorted(epochs.items())]
    rows = [row for row in rows if any(key.startswith(("train/", "val/")) for key in row)]
    require(len(rows) > 0, f"{path} holds no whole epoch; give the metrics.csv of a longer run")
    return TrainingRun(name, rows)


def joined(parts: Sequence[TrainingRun], name: str = "") -> TrainingRun:
    """One run whose training was interrupted and resumed: an epoch that two parts tell of counts as the later tells it.

    Args:
        parts: in their order, at least one.
        name: of the run.
    """
    epochs = {row["epoch"]: row for part in parts for row in part.rows}
    return TrainingRun(name, [row for _, row in sorted(epochs.items())])


def metrics_beside(checkpoint: str | Path) -> Path | None:
    """The ``metrics.csv`` of the run that wrote a checkpoint (``RUN/checkpoints/best.ckpt``); None if there is none."""
    path = Path(checkpoint).absolute().parent.parent / METRICS
    return path if path.is_file() else None


def _of_an_epoch(key: str) -> bool:
    return key != "step" and not key.startswith(("test/", "train_step/")) and not key.endswith("_step")


def _epoch(row: Mapping[str, float]) -> Epoch:
    return Epoch(
        robust_acc=row["val/robust_acc"],
        single_step_acc=row["val/single_step_acc"],
        delta_energy=row.get("val/dE_marginal", nan),
        train_delta_energy=row.get(DELTA, nan),
    )

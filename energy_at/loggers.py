"""Loggers that also take histograms: CSV files in the run's folder, and Weights & Biases."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger as LightningCSVLogger, WandbLogger as LightningWandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor

from energy_at.evaluation.examples import COLUMNS, IMAGES, Examples
from energy_at.files import appending, write_file, writing

RUNS = "runs"  # folder of all runs
INIT_TIMEOUT_S = 30


def process_rank() -> int:
    """Of this process among those of the training."""
    decorator: Any = rank_zero_only
    return decorator.rank


class Writer(ExperimentWriter):
    """Lightning's writer of ``metrics.csv``, which rewrites the file as a whole and can continue one.

    Args:
        log_dir: the run's folder.
        goes_on: whether rows that are there are kept.
    """

    def __init__(self, log_dir: str, goes_on: bool = False) -> None:
        self._goes_on = goes_on
        super().__init__(log_dir)
        if goes_on:
            self.metrics_keys = _rows(Path(self.metrics_file_path))[0]

    def save(self) -> None:
        """Append what was logged."""
        with appending(Path(self.metrics_file_path)):
            super().save()

    def _check_log_dir_exists(self) -> None:
        if not self._goes_on and Path(self.metrics_file_path).exists():
            super()._check_log_dir_exists()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        before, rows = _rows(path)
        named = [dict(zip(before, row, strict=False)) for row in rows]
        write_file(path, _text([fieldnames, *([row.get(name, "") for name in fieldnames] for row in named)]))


class CSVLogger(LightningCSVLogger):
    """Lightning's CSVLogger (``metrics.csv``), which also appends histograms to ``histograms.csv``.

    Args:
        save_dir: folder of all runs.
        name: of the experiment; a run is ``save_dir/name/version_N``. None means "run"; the command line puts the
            config's name there.
        version: of the run; None counts up.
    """

    def __init__(self, save_dir: str = RUNS, name: str | None = None, version: int | str | None = None) -> None:
        # absolute, so that a checkpoint's path means the same wherever the run is resumed
        super().__init__(os.path.abspath(save_dir), name=name or "run", version=version)

    @property
    def version(self) -> int | str:
        """Of the run. One that counts up takes its folder at once: jobs that start together would share it."""
        if self._version is None:
            self._version = self._get_next_version()
            while process_rank() == 0 and not self._taken():
                self._version += 1
        return self._version

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes ``metrics.csv``."""
        if self._experiment is None:
            self._experiment = Writer(self.log_dir)
        return self._experiment

    def go_on(self, run: Path, step: int) -> None:
        """Continue the files of a run after so many steps: what was logged later is cut off."""
        self._save_dir = self._root_dir = str(run.parents[1])
        self._name, self._version = run.parent.name, run.name
        if process_rank() == 0:
            _cut_back(run / "metrics.csv", step - 1)  # steps count from 0 there
            _cut_back(run / "histograms.csv", step)
            self._experiment = Writer(self.log_dir, goes_on=True)

    def _taken(self) -> bool:
        with writing(Path(self.log_dir)):
            try:
                os.makedirs(self.log_dir)
            except FileExistsError:
                return False
            return True

    @rank_zero_only
    def log_histogram(self, name: str, counts: np.ndarray, edges: np.ndarray, step: int) -> None:
        """Append a row: step, name, lowest and highest edge, counts of the equal bins between them."""
        path = Path(self.log_dir) / "histograms.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with appending(path), path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "name", "low", "high", *(f"bin_{i}" for i in range(len(counts)))])
            writer.writerow([step, name, float(edges[0]), float(edges[-1]), *counts.astype(int).tolist()])


class WandbLogger(LightningWandbLogger):
    """Lightning's WandbLogger, which falls back to offline logging where W&B cannot be reached, and takes histograms.

    Args:
        project: of Weights & Biases.
        name: of the run; None lets W&B choose.
        save_dir: folder of the local files.
        offline: log locally only; ``wandb sync`` sends the run later. WANDB_MODE=offline does the same.
        log_model: keep best and last checkpoint as artifacts when the training ends; "all" keeps each as it is written.
        options: further arguments of ``wandb.init``, such as entity, group or tags.
    """

    def __init__(
        self,
        project: str = "energy-at",
        name: str | None = None,
        save_dir: str = RUNS,
        offline: bool = False,
        log_model: bool | Literal["all"] = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        import wandb  # here, so that nobody waits for it who does not use it

        save_dir = os.path.abspath(save_dir)  # W&B's own process may have begun in another folder
        os.makedirs(save_dir, exist_ok=True)
        settings = wandb.Settings(init_timeout=INIT_TIMEOUT_S)
        shared = {"offline": offline, "log_model": log_model, "settings": settings, **(options or {})}
        super().__init__(project=project, name=name, save_dir=save_dir, **shared)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run; an offline one if none can be had online."""
        import wandb

        try:
            return super().experiment
        except (wandb.errors.CommError, wandb.errors.UsageError) as error:
            reason = str(error).strip().splitlines()[0]
            rank_zero_warn(f"W&B cannot be reached ({reason}); logging offline, send the run later with: wandb sync")
            self._wandb_init["mode"] = "offline"
            return super().experiment

    @rank_zero_only
    def log_histogram(self, name: str, counts: np.ndarray, edges: np.ndarray, step: int) -> None:
        """Log a histogram under the same step as the curves."""
        import wandb

        histogram = wandb.Histogram(np_histogram=(counts.tolist(), edges.tolist()))
        self.experiment.log({f"histograms/{name}": histogram, "trainer/global_step": step})

    @rank_zero_only
    def log_examples(self, examples: Examples, step: int) -> None:
        """Log a table: image, adversarial image, enlarged perturbation, labels, E and dE of both."""
        import wandb

        table = wandb.Table(columns=[*IMAGES, *COLUMNS])
        for *pictures, row in zip(*examples.pictures, examples.rows(), strict=True):
            table.add_data(*(wandb.Image(_channels_last(picture)) for picture in pictures), *row)
        self.experiment.log({"examples": table, "trainer/global_step": step})

    @rank_zero_only
    def log_summary(self, values: Mapping[str, float]) -> None:
        """Put numbers into the run's summary, by which W&B lists and compares runs."""
        self.experiment.summary.update(dict(values))

    @rank_zero_only
    def alert(self, title: str, text: str) -> None:
        """Raise an alert, which W&B sends on by mail or Slack, as the user's settings there have it."""
        self.experiment.alert(title=title, text=text)


def _channels_last(picture: Tensor) -> np.ndarray:
    """uint8 [C, H, W] as W&B takes it: [H, W, C], or [H, W] of one channel."""
    return picture.permute(1, 2, 0).squeeze(-1).numpy()


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a file, without a last row that a kill has cut off."""
    if not path.is_file():
        return [], []
    whole = path.read_bytes().decode().rpartition("\n")[0]
    header, *rows = [*csv.reader(io.StringIO(whole, newline=""))] or [[]]
    return header, [row for row in rows if len(row) == len(header)]


def _text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cut_back(path: Path, step: int) -> None:
    """Keep the whole rows of the training up to this step; what is tested, is tested again."""
    header, rows = _rows(path)
    if header:
        named = [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]
        write_file(path, _text([header, *(list(row.values()) for row in named if _is_kept(row, step))]))


def _is_kept(row: dict[str, str], step: int) -> bool:
    tested = row.get("name", "").startswith("test/")  # in a file of histograms
    return row["step"] != "" and float(row["step"]) <= step and not tested

"""A training that goes on: in its own folder, or not at all where there is nothing left to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import lightning as L
from jsonargparse import Namespace

from energy_at.callbacks import LastCheckpoint
from energy_at.cli.summary import RESULTS
from energy_at.evaluation.checkpoints import described, difference, read_checkpoint
from energy_at.loggers import CSVLogger
from energy_at.modules import AdversarialTraining
from energy_at.types import require
from energy_at.undeclared import callbacks_of


class NothingToDoError(Exception):
    """The training that is to go on is finished."""


class EndedError(Exception):
    """A training was told to end; the message says how it goes on."""


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from, or is judged by.

    Args:
        path: of the file.
        step: updates that were made.
        shapes: of its weights, by name.
        net: the description of its net, if there is one.
        data_state: what a data module of this package has said of itself.
        run: the run's folder in which the training goes on; None for a new one, or where nothing is trained.
    """

    path: str
    step: int
    shapes: Mapping[str, tuple[int, ...]]
    net: Mapping[str, Any]
    data_state: Mapping[str, Any]
    run: Path | None = None

    @classmethod
    def read(cls, path: str, content: Mapping[str, Any], run: Path | None) -> Self:
        """From the content of the file."""
        shapes = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
        return cls(path, int(content["global_step"]), shapes, described(content), data_state(content), run)

    def check_fits(self, module: AdversarialTraining) -> None:
        """Whether the module can take the weights.

        Raises:
            InputError: if it is of another net or method.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        require(
            shapes == self.shapes,
            f"{self.path} is of another net or method{difference(self.net, module.net)}; leave these as they were, or "
            f"begin anew with its weights by --start_from {self.path}",
        )


def looked_at(config: Namespace, fit: bool, run: Path | None) -> Checkpoint | None:
    """The checkpoint that a command's config names; None without one, and for Lightning's own names.

    Args:
        config: of the command.
        fit: whether it is to be trained on: in its own folder, unless a new one is wanted.
        run: of a checkpoint that does not lie in its run's folder.

    Raises:
        InputError: if no training has written it.
        NothingToDoError: if no epochs or steps are left.
    """
    path = config.get("ckpt_path")
    if not path or path in ("best", "last", "hpc") or "://" in path:
        return None
    content = training_in(path)
    if not fit:
        return Checkpoint.read(path, content, None)
    run = run_of(path) or run
    if is_judged(run) or config.trainer.limit_test_batches == 0:
        check_unfinished(content, path, config.trainer)
    return Checkpoint.read(path, content, run if config.resume_in == "run" else None)


def training_in(path: str) -> Mapping[str, Any]:
    """The content of a checkpoint that a training has written.

    Raises:
        InputError: if it is none, or holds pickled objects.
    """
    content = read_checkpoint(Path(path))
    require(
        {"global_step", "epoch", "state_dict"} <= content.keys(),
        f"{path} holds weights, but no training; begin with them by --start_from, or give a .ckpt file of a run",
    )
    return content


def data_state(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a data module of this package has said of itself in a training's checkpoint."""
    return next((part for part in content.values() if isinstance(part, Mapping) and "global_batch" in part), {})


def run_of(checkpoint: str) -> Path | None:
    """The run's folder in which a checkpoint lies; None where it was moved elsewhere."""
    path = Path(checkpoint).absolute()
    run = path.parents[1]
    return run if path.parent.name == "checkpoints" and (run / "metrics.csv").is_file() else None


def is_judged(run: Path | None) -> bool:
    """Whether a training that was ended after its last epoch has nothing left to do."""
    return run is None or (run / RESULTS).is_file()


def check_unfinished(content: Mapping[str, Any], checkpoint: str, trainer: Namespace) -> None:
    """Whether epochs or steps are left.

    Raises:
        NothingToDoError: if none are; with the flag that asks for more.
    """
    epochs, steps = int(content["epoch"]) + 1, int(content["global_step"])
    most_epochs, most_steps = trainer.max_epochs, trainer.max_steps
    progress = content.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress", {})
    whole = progress.get("is_last_batch", True)
    if most_epochs not in (None, -1) and whole and epochs >= most_epochs:
        more = f"ask for more with --trainer.max_epochs {2 * epochs}"
        raise NothingToDoError(f"{checkpoint} is finished: {epochs} of {most_epochs} epochs are trained; {more}")
    if most_steps not in (None, -1) and steps >= most_steps:
        more = f"ask for more with --trainer.max_steps {2 * steps}"
        raise NothingToDoError(f"{checkpoint} is finished: {steps} of {most_steps} steps are trained; {more}")


def go_on_from(checkpoint: Checkpoint, trainer: L.Trainer) -> None:
    """Have the trainer's CSVLoggers continue the files of the checkpoint's run."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger) and checkpoint.run is not None:
            logger.go_on(checkpoint.run, checkpoint.step)


def how_to_go_on(trainer: L.Trainer) -> str:
    """What to type after an interruption."""
    paths = [c.best_model_path for c in callbacks_of(trainer) if isinstance(c, LastCheckpoint) and c.best_model_path]
    run = run_of(paths[0]) if paths else None
    if run is not None:
        return f"energy-at fit --resume {run} goes on from the last epoch"
    return f"--ckpt_path={paths[0]} goes on from the last epoch" if paths else "no epoch was finished yet; start again"

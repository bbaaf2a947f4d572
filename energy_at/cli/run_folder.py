"""The folder of a run: every training has one of its own, in which no other one writes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
from jsonargparse import Namespace

from energy_at.cli.resume import Checkpoint
from energy_at.cli.trainer_options import all_of
from energy_at.loggers import RUNS, CSVLogger
from energy_at.types import require

CONFIG = "config.yaml"


def place_run(config: Namespace, trains: bool) -> None:
    """A CSVLogger, whose folder is the run's, in front of other loggers; and the config's name for a run without one.

    Args:
        config: of the command; ``trainer.default_root_dir`` is where its runs go.
        trains: whether anything is to be kept.

    Raises:
        InputError: if a training is to have no logger.
    """
    given = config.trainer.logger
    told = "trainer.logger false leaves a training without a folder of its own; leave it out"
    require(given is not False or not trains, told)
    loggers = [logger for logger in all_of(given) if isinstance(logger, Namespace)]
    if trains and not any(logger.class_path.endswith(".CSVLogger") for logger in loggers):
        own = Namespace(class_path="energy_at.loggers.CSVLogger", init_args=Namespace(save_dir=RUNS, name=None))
        config.trainer.logger = loggers = [own, *loggers]
    for logger in loggers:
        if config.trainer.default_root_dir is not None and logger.init_args.get("save_dir") == RUNS:
            logger.init_args.save_dir = str(config.trainer.default_root_dir)
        if logger.class_path.endswith(".CSVLogger") and not logger.init_args.name:
            logger.init_args.name = _run_name([Path(str(path)) for path in config.config or []])


def run_folders(trainer: L.Trainer, resumed: Checkpoint | None) -> list[Path]:
    """The folders of this training alone: of the run that goes on, or those that its CSVLoggers begin."""
    if resumed is not None and resumed.run is not None:
        return [resumed.run]
    return [Path(logger.log_dir) for logger in trainer.loggers if isinstance(logger, CSVLogger)]


@contextmanager
def gone_if_unused(folder: Path, trainer: L.Trainer) -> Iterator[None]:
    """Remove the folder of a training that fails before its first step, where that has left nothing but its config.

    Args:
        folder: left alone if anything lay there before.
        trainer: which counts the steps.
    """
    is_new = not folder.is_dir() or not any(folder.iterdir())
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the reason of the failure is the one to tell
            if is_new and trainer.global_step == 0 and {path.name for path in folder.iterdir()} <= {CONFIG}:
                (folder / CONFIG).unlink(missing_ok=True)
                folder.rmdir()
        raise


def check_free(folder: Path, resumed: Checkpoint | None) -> None:
    """Refuse to write over another training.

    Args:
        folder: of this one.
        resumed: what it goes on from.

    Raises:
        InputError: if the folder holds checkpoints, and not those of the run that goes on.
    """
    own = resumed is not None and resumed.run == folder
    told = f"{folder} holds a training already; go on with it by energy-at fit --resume {folder}, or name another"
    require(own or not any(folder.glob("checkpoints/*.ckpt")), f"{told} --trainer.logger.version")


def _run_name(configs: list[Path]) -> str | None:
    whole = [path for path in configs if path.parent.name != "parts"]
    return next((path.stem for path in [*whole, *configs]), None)

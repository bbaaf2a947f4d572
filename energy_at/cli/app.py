"""The LightningCLI behind ``energy-at``."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning as L
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar as AnyBar, WeightAveraging
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import SIGTERMException

import energy_at.data
import energy_at.models  # noqa: F401  (a config names nets and data sets by their class names)
from energy_at.callbacks import (
    BestCheckpoint,
    EnergyLogger,
    EnergyPlot,
    LastCheckpoint,
    OverfittingMonitor,
    ProgressBar,
)
from energy_at.cli.commands import run_command
from energy_at.cli.computing import suit_threads
from energy_at.cli.endings import EndTogether
from energy_at.cli.first_look import FUNCTIONS, LIGHTNING_COMMANDS, SHORT_FORMS
from energy_at.cli.lock import only_one
from energy_at.cli.messages import is_refusal_of_lightning, one_line, plain_reasons, plain_warnings
from energy_at.cli.net_links import NetLinks, given
from energy_at.cli.optimizer_options import OptimizerOptions
from energy_at.cli.parser import CONFIG, ConfigFile, Parser
from energy_at.cli.processes import ECHO, end_with_this, is_echo
from energy_at.cli.resume import (
    EndedError,
    NothingToDoError,
    go_on_from,
    how_to_go_on,
    looked_at,
)
from energy_at.cli.run_folder import check_free, gone_if_unused, place_run, run_folders
from energy_at.cli.slurm import job_of
from energy_at.cli.start import StartSummary, keep_noise_away, speak_any_encoding, start_from
from energy_at.cli.summary import Judgement, hand_on, judgement, write_summary
from energy_at.cli.trainer_options import all_of, check_callbacks, check_trainer
from energy_at.data.base import ImageData
from energy_at.files import WriteError, write_file
from energy_at.loggers import CSVLogger, process_rank
from energy_at.modules import AdversarialTraining
from energy_at.modules.checkpoint_io import model_checkpoints
from energy_at.modules.finite import NonFiniteLossError
from energy_at.types import InputError
from energy_at.undeclared import callbacks_of

START_FROM = "weights to begin with: a checkpoint, a run, any file with a state_dict, hf://USER/NAME or pretrained:NAME"
RESUME_IN = "where a training with ckpt_path goes on: in the folder of its run, or in a new one"


@plain_warnings()
def run(args: Sequence[str]) -> int:
    """Parse the arguments and run the command; returns the exit code."""
    keep_noise_away()
    speak_any_encoding()
    try:
        if args[0] in FUNCTIONS:
            run_command(args[0], args[1:])
        else:
            EnergyCLI(**parser_options(), args=list(args))
    except InputError as error:
        return _failed(error, 2)
    except (NonFiniteLossError, WriteError) as error:
        return _failed(error, 1)
    except EndedError as error:
        return _failed(*error.args)
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        if is_echo(error):
            return _failed(ECHO, 1)
        if not is_refusal_of_lightning(error):
            raise
        return _failed(one_line(str(error)), 2)
    except KeyboardInterrupt:
        return _failed("interrupted; the same command goes on where it stopped", 130)
    except NothingToDoError as told:
        print(f"energy-at: {told}")
    return 0


def parser_options() -> dict[str, Any]:
    """How the LightningCLI is built."""
    return {
        "model_class": AdversarialTraining,
        "datamodule_class": L.LightningDataModule,
        "subclass_mode_model": True,
        "subclass_mode_data": True,
        "seed_everything_default": 0,
        "auto_configure_optimizers": False,
        "parser_class": Parser,
        "parser_kwargs": {"fit": {"epilog": SHORT_FORMS["fit"]}},
        "trainer_defaults": {"logger": {"class_path": "energy_at.loggers.CSVLogger"}, "enable_model_summary": False},
        "save_config_callback": SaveConfig,
        "save_config_kwargs": {"save_to_log_dir": False},
    }


class EnergyCLI(LightningCLI):
    """``energy-at fit|validate|test``."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Those of Lightning's that this package documents."""
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in LIGHTNING_COMMANDS}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Lightning's parser, with packaged configs found by name."""
        parser = self.parser_class(**kwargs)
        parser.add_argument("-c", "--config", action=ConfigFile, **CONFIG)
        return parser

    def add_arguments_to_parser(self, parser: Any) -> None:
        """The callbacks of every run, and what the net learns from the data set."""
        parser.add_lightning_class_args(EnergyLogger, "energies")
        parser.add_lightning_class_args(OverfittingMonitor, "overfitting")
        parser.add_lightning_class_args(EnergyPlot, "plot")
        parser.add_lightning_class_args(BestCheckpoint, "best")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.net_links = NetLinks(parser, "model.init_args.net", statistics=True)
        for part in ("model", "data"):
            parser.link_arguments("seed_everything", f"{part}.init_args.seed", int)
        parser.add_argument("--start_from", type=str | None, default=None, help=START_FROM)
        parser.add_argument("--resume_in", type=Literal["run", "new"], default="run", help=RESUME_IN)

    def before_instantiate_classes(self) -> None:
        """Refuse what the trainer cannot do; name the run's folder, and find a SLURM job's checkpoint."""
        config = self.config[self.config.subcommand]
        trains = self.config.subcommand == "fit"
        check_trainer(config.trainer, trains)
        place_run(config, trains)
        self.job = job_of(config, partial(self.parser.dump, self.config, skip_unset=False))
        if self.job is not None and trains:
            config.ckpt_path = str(self.job.newest_checkpoint() or "") or config.ckpt_path
        self.checkpoint = looked_at(config, trains, self.job.run if self.job else None)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Lightning's, which goes on from the newest checkpoint in its folder: so a SLURM job has one of its own."""
        if self.job is not None:
            kwargs["default_root_dir"] = str(self.job.folder)
        return super().instantiate_trainer(**kwargs)

    def instantiate_classes(self) -> None:
        """Build data, module and trainer.

        Raises:
            InputError: the reason why one of them could not be built.
        """
        with plain_reasons():
            super().instantiate_classes()
        config = self.config[self.config.subcommand]
        if config.start_from and not config.ckpt_path:  # a training that goes on has its own
            start_from(self.model.net, config.start_from, "mean" in given(config.model.init_args.net))
        if self.checkpoint is not None:
            self.checkpoint.check_fits(self.model)
        callbacks = callbacks_of(self.trainer)
        callbacks[:] = self._with_our_bar(callbacks)
        callbacks.insert(0, StartSummary())  # before the progress bar begins its line
        callbacks.insert(1, EndTogether())
        asked = config.model.init_args.get("optimizer")
        if asked and self.config.subcommand == "fit":
            callbacks.insert(2, OptimizerOptions(asked.as_dict()))
        if self.job is not None:
            callbacks.insert(2, self.job)
        end_with_this(self.trainer.strategy.launcher)

    def _with_our_bar(self, callbacks: list[L.Callback]) -> list[L.Callback]:
        """The callbacks, with this package's progress bar in place of Lightning's, unless a bar was asked for."""
        given = all_of(self.config_init[self.config_init.subcommand].trainer.callbacks)
        if any(isinstance(callback, AnyBar) for callback in given):
            return callbacks
        return [ProgressBar() if isinstance(callback, AnyBar) else callback for callback in callbacks]

    def _run_subcommand(self, subcommand: str) -> None:
        first = subcommand == "fit" and process_rank() == 0
        if subcommand == "fit":
            check_callbacks(callbacks_of(self.trainer), self.model)
        if isinstance(self.datamodule, ImageData):
            if subcommand == "fit" and self.checkpoint is not None:
                self.datamodule.check_resumable(self.checkpoint.data_state, self.trainer.world_size)
            device = self.trainer.strategy.root_device
            suit_threads([self.model.net], self.datamodule, self.datamodule.batch_size, device)
        with ExitStack() as stack:
            for folder in run_folders(self.trainer, self.checkpoint) if first else ():
                stack.enter_context(gone_if_unused(folder, self.trainer))
                stack.enter_context(only_one(folder))
                check_free(folder, self.checkpoint)
            if self.checkpoint is not None:
                go_on_from(self.checkpoint, self.trainer)
            self._run_or_end(subcommand)

    def _run_or_end(self, subcommand: str) -> None:
        """Lightning's own, with an exit code that says whether the training is finished."""
        try:
            super()._run_subcommand(subcommand)
        except SIGTERMException:  # by itself it would leave with code 0, as if the training were finished
            raise EndedError(f"ended by SIGTERM; {how_to_go_on(self.trainer)}", 143) from None
        except (SystemExit, KeyboardInterrupt):  # in which Lightning ends what Ctrl-C has interrupted, once or twice
            if not self.trainer.interrupted or subcommand != "fit":
                raise
            raise EndedError(f"interrupted; {how_to_go_on(self.trainer)}", 130) from None

    def _parse_ckpt_path(self) -> None:
        """Keep config and flags as given: Lightning would let the checkpoint's hyper-parameters override them."""

    def after_fit(self) -> None:
        """Judge the best and the last checkpoint on the test images."""
        if getattr(self.trainer, "fast_dev_run", 0) or self.trainer.interrupted or self.trainer.limit_test_batches == 0:
            return
        for callback in callbacks_of(self.trainer):
            if isinstance(callback, WeightAveraging):
                callback._average_model = None  # else it loads what was averaged, in place of the average
        paths = [self._path_of(callback) for callback in model_checkpoints(self.trainer)]
        judged = [self._judge(path) for path in paths if path]
        write_summary(judged, self.trainer.log_dir, self.model.test_attack, self._tested())
        hand_on(judged, self.trainer.loggers)

    def after_test(self) -> None:
        """Print the table of one checkpoint."""
        path, begun = (self._get(self.config, key) for key in ("ckpt_path", "start_from"))
        write_summary(
            [judgement(self.trainer, path, begun or "untrained")],
            self.trainer.log_dir,
            self.model.test_attack,
            self._tested(),
        )

    def _tested(self) -> str:
        """Which images the test has judged."""
        return self.datamodule.title("test") if isinstance(self.datamodule, ImageData) else "test"

    def _path_of(self, callback: ModelCheckpoint) -> str | None:
        """Of its checkpoint; the last is the one that this training went on from where nothing was left to train."""
        goes_on = isinstance(callback, LastCheckpoint) and not callback.best_model_path
        return self._get(self.config, "ckpt_path") if goes_on else callback.best_model_path

    def _judge(self, path: str) -> Judgement:
        self.trainer.test(self.model, self.datamodule, ckpt_path=path, verbose=False, weights_only=True)
        return judgement(self.trainer, path)


class SaveConfig(SaveConfigCallback):
    """Writes the resolved config into the run's folder, and hands it to loggers that keep hyper-parameters."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """See Lightning."""
        self._folder = trainer.log_dir  # on every process, because the first one tells it to the others
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """See Lightning."""
        config = self.config.clone()
        if stage == "fit":
            config.ckpt_path = None  # the file repeats the training, and does not go on with it
        text = self.parser.dump(config, skip_unset=False)
        write_file(Path(self._folder or ".") / self.config_filename, text)
        settings = yaml.safe_load(text)
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):  # config.yaml lies beside its files already
                logger.log_hyperparams(settings)


def _failed(reason: Exception | str, code: int) -> int:
    rank = process_rank()
    bar = "\n" if rank or reason is ECHO else ""  # of the first process, in whose line the message would begin
    print(f"{bar}energy-at: {f'process {rank}: ' if rank else ''}{reason}", file=sys.stderr)
    return code

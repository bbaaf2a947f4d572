"""What a training begins with and says when it starts, and what is kept off its screen."""

import logging
import sys
import warnings
from io import TextIOWrapper
from typing import Any
from warnings import warn

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from energy_at.cli.summary import named
from energy_at.evaluation.checkpoints import load_net
from energy_at.models import Normalize
from energy_at.undeclared import datamodule_of

# of libraries, about what nobody who runs this package can change; everything else is shown
NOISE = (
    r"LightningCLI's args parameter is intended",  # that the arguments come from the shell is the rule here
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"You're using the WeightAveraging callback, but loading a checkpoint outside",  # to judge the average
    r"The AccumulateGrad node's stream does not match",  # of a net recorded on a stream of its own, as torch does it
    r"Checkpoint directory .* exists and is not empty",  # of a run that goes on
)
# the last one advises tf32 for all matrix products, those of evaluations in float32 too
FEW = 100  # validation images, of whose accuracy the standard error is up to 0.05
ADVERTISEMENTS = ("litlogger", "LitLogger", "litmodels", "that has Tensor Cores")


def keep_noise_away() -> None:
    """Filter these warnings, and Lightning's advertisements; the user's own are untouched."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(_is_no_advertisement)


def speak_any_encoding() -> None:
    """Have a terminal or a file that lacks a character, as of the progress bar, show "?" in its place.

    A job's locale may be POSIX's or ISO-8859-1, and the first bullet would end its training.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def start_from(net: nn.Module, source: str, normalised: bool) -> None:
    """Give a net that is to be trained the weights of a file.

    Args:
        net: receives them; where it has another number of classes, its last layer begins anew.
        source: see ``load_net``.
        normalised: whether the user has said by what; else the file has to, as the data set's own mean and standard
            deviation are those of other weights.

    Raises:
        InputError: if there are no weights that fit, or nobody says how images are normalised.
    """
    normalize = getattr(net, "normalize", None)
    if isinstance(normalize, Normalize) and not normalised:
        normalize.said = False
    load_net(source, net, new_head=True).train()


class StartSummary(L.Callback):
    """Three lines: what is trained, on what and for how long, and where the results go."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print them."""
        self.say(trainer, pl_module, trainer.log_dir)  # which the first process tells all others

    @rank_zero_only
    def say(self, trainer: L.Trainer, pl_module: Any, folder: str | None) -> None:
        """On the first process."""
        net = pl_module.net
        parameters = sum(parameter.numel() for parameter in net.parameters())
        attack = named(pl_module.attack)
        print(f"{type(pl_module).__name__}: {type(net).__name__}, {parameters:,} parameters; attack {attack}")
        print(f"{type(datamodule_of(trainer)).__name__}: {_images(trainer)}; {_length(trainer)}")
        print(f"Results: {folder}", flush=True)
        _warn_of_few(datamodule_of(trainer))


def _images(trainer: L.Trainer) -> str:
    data = datamodule_of(trainer)
    if not hasattr(data, "labels"):
        return "images of your own data module"
    counts = [len(data.labels(split)) for split in ("train", "val")]
    return f"{counts[0]:,} images for training, {counts[1]:,} for validation"


def _warn_of_few(data: Any) -> None:
    held_out = len(data.labels("val")) if hasattr(data, "labels") else 0
    if 0 < held_out < FEW:
        words = f"best checkpoint and OverfittingMonitor rest on {held_out} validation images; raise data.val_size"
        warn(words, stacklevel=1)


def _length(trainer: L.Trainer) -> str:
    steps = int(trainer.num_training_batches)
    size = getattr(datamodule_of(trainer), "batch_size", None)
    each = f"{steps:,} steps" + (f" of {size * trainer.world_size} images" if size else "")
    begun = f", from epoch {trainer.current_epoch} on" if trainer.current_epoch else ""
    told = {1: "1 epoch", -1: "any number of epochs"}
    epochs = told.get(trainer.max_epochs or -1, f"{trainer.max_epochs} epochs")
    return f"{epochs} of {each}{begun}"


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return not any(word in record.getMessage() for word in ADVERTISEMENTS)

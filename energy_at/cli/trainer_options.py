"""What may be asked of the trainer, looked at before anything is trained."""

from collections.abc import Iterable
from typing import Any

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from energy_at.callbacks.energy_logger import metric_names
from energy_at.callbacks.swa import check_averages
from energy_at.types import require, require_count

JUDGED = ("clean_acc", "robust_acc", "single_step_acc")
FURTHER = ("train/", "train_step/", "overfitting/", "lr", "epoch", "step")  # which depend on callbacks and objective
OWN = ("energy_at.", "lightning.")
LENGTHS = ("max_epochs", "max_steps", "limit_train_batches")  # of a training
NOT_HERE = {  # Lightning's callbacks that would end in a traceback, or without the judgement of a training
    "BackboneFinetuning": "is for modules with layers called backbone; --start_from trains on from given weights",
    "BatchSizeFinder": "tries batches until memory is full; keep data.batch_size, and write --model.micro_batch auto",
    "LearningRateFinder": "sets an attribute of the module, but here the rate is the optimizer's; try some by"
    " --model.optimizer.lr",
    "SpikeDetection": "cannot read its own state from a checkpoint; --trainer.gradient_clip_val 1 limits a step",
    "StochasticWeightAveraging": "averages after the last checkpoint, so that nothing judges the average; write SWA",
    "Timer": "is what trainer.max_time sets; write --trainer.max_time 00:12:00:00",
}
IN_NOTEBOOKS = ("fork", "notebook", "spawn")  # strategies whose processes take all they know with them


def check_trainer(options: Namespace, trains: bool) -> None:
    """Refuse a trainer without checkpoints or that could not judge them, and callbacks asked for twice or of no use.

    Args:
        options: of the trainer.
        trains: whether it is to train; one that has nothing to do is refused too.

    Raises:
        InputError: naming the option.
    """
    for name, kept in {"enable_checkpointing": True, "barebones": False}.items():
        refused = f"trainer.{name} leaves out the checkpoints, which a training ends by judging; write {kept}"
        require(options[name] in (None, kept), refused)
    for name in LENGTHS if trains else ():
        require(options[name] != 0, f"with trainer.{name} 0 nothing is trained; write at least 1, or leave it out")
    require_count("trainer.accumulate_grad_batches", options.accumulate_grad_batches, 1)
    _check_strategy(options.strategy)
    callbacks = all_of(options.callbacks)
    for i, callback in enumerate(callbacks):
        name = callback.class_path.rpartition(".")[2]
        twice = f"trainer.callbacks has {name} twice; leave out one of the configs that bring it"
        require(callback not in callbacks[:i], twice)
        lightnings = callback.class_path.startswith("lightning.")
        require(not lightnings or name not in NOT_HERE, f"{name} {NOT_HERE.get(name)}")


def check_callbacks(callbacks: Iterable[L.Callback], module: L.LightningModule) -> None:
    """Refuse what would end a training after its first epoch, or be lost: a metric that nobody logs, or averages.

    Raises:
        InputError: naming the callback.
    """
    callbacks = list(callbacks)
    check_averages(callbacks)
    if all(type(part).__module__.startswith(OWN) for part in (module, *callbacks)):  # others log what they like
        for callback in callbacks:
            if isinstance(callback, (EarlyStopping, ModelCheckpoint)):
                _check_monitor(callback)


def _check_strategy(strategy: Any) -> None:
    named = strategy if isinstance(strategy, str) else strategy.get("init_args", {}).get("start_method", "")
    notebook = any(word in str(named) for word in IN_NOTEBOOKS)
    require(not notebook, f"trainer.strategy {named} is for notebooks, its processes end before the test; write ddp")


def all_of(option: Any) -> list[Any]:
    """What an option says that may name one, several or none."""
    return option if isinstance(option, list) else [] if option is None else [option]


def _check_monitor(callback: EarlyStopping | ModelCheckpoint) -> None:
    name, known = callback.monitor, [f"val/{quantity}" for quantity in JUDGED]
    logged = name is None or name.startswith(FURTHER) or name in known or name in metric_names("val")
    several = f"{', '.join(known[1:])}, {known[0]} or val/dE_marginal"
    require(logged, f"{type(callback).__name__} monitors {name}, which is not logged; write one such as {several}")

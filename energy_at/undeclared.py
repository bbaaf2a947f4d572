"""What Lightning's trainer has and does not declare, where a type checker can see it."""

from typing import Any


def datamodule_of(trainer: Any) -> Any:
    """The data module of a training, None without one."""
    return trainer.datamodule


def callbacks_of(trainer: Any) -> list[Any]:
    """The trainer's own list of callbacks."""
    callbacks: list[Any] = trainer.callbacks
    return callbacks

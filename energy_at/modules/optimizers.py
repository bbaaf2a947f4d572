"""The optimizer of a training, built from the net's parameters."""

from collections.abc import Iterable

from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from torch.optim import SGD, Optimizer

from energy_at.types import InputError

__all__ = ["OptimizerCallable", "built", "sgd"]


def sgd(params: Iterable[nn.Parameter]) -> Optimizer:
    """The field's default."""
    return SGD(params, lr=0.1, momentum=0.9, weight_decay=5e-4)


def built(optimizer: OptimizerCallable, params: Iterable[nn.Parameter]) -> Optimizer:
    """The optimizer of these parameters.

    Raises:
        InputError: if it refuses its arguments.
    """
    try:
        return optimizer(params)
    except (ValueError, TypeError) as error:
        raise InputError(f"the optimizer refuses its arguments: {error}; change model.optimizer") from error

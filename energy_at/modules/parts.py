"""What a training is made of, looked at when it is given, and its optimizer."""

from collections.abc import Iterable
from math import inf

import lightning as L
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.optim import SGD, Optimizer

from energy_at.attacks import PGD, Attack
from energy_at.types import InputError, can_be_called, kind_of, require


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


def steps_of(trainer: L.Trainer) -> int:
    """Updates of a whole training.

    Raises:
        InputError: if it has no end.
    """
    steps = trainer.estimated_stepping_batches
    told = "a schedule has to know how long is trained; write trainer.max_epochs or max_steps, or model.schedule: null"
    require(steps < inf, told)
    return int(steps)


def check_parts(net: object, *others: object) -> None:
    """Refuse what is no net, and what is no attack or schedule but its class or its name.

    Raises:
        InputError: naming what was given.
    """
    require(isinstance(net, nn.Module), f"the net is {kind_of(net)}; give an instance, such as PreActResNet()")
    for part in others:
        instance = part is None or can_be_called(part)
        require(instance, f"{kind_of(part)} is no attack or schedule; give an instance, such as PGD() or Cosine()")


def check_start(attack: Attack) -> None:
    """Refuse an attack whose starting point an objective would ask for in vain.

    Raises:
        InputError: if it has none.
    """
    require(hasattr(attack, "draw_start"), f"{type(attack).__name__} has no starting point; use FGSM or PGD")


def check_ball(attack: Attack) -> None:
    """Refuse an attack whose ball an objective would draw noise from in vain.

    Raises:
        InputError: if it has none.
    """
    require(attack.eps is not None, f"{type(attack).__name__} has no ball to draw noise from; use FGSM or PGD")


def ball_of(attack: Attack, val_attack: Attack | None) -> Attack:
    """The attack in whose ball a net is judged: the training's, or where that has none the validation's.

    Raises:
        InputError: if neither has one.
    """
    ball = attack if attack.eps is not None or val_attack is None else val_attack
    unmeasured = f"{type(attack).__name__} has no radius in which the net could be judged"
    require(ball.eps is not None, f"{unmeasured}; write val_attack, for example PGD with its eps")
    return ball


def warn_of_a_foreign_loss(objective: str, own: PGD, given: Attack) -> None:
    """Warn where an attack climbs another of the objectives' losses than the paper's, as after a change of objective.

    Args:
        objective: its name.
        own: the attack of the objective's paper.
        given: the training attack.
    """
    loss = getattr(given, "loss", None)
    if loss in ("cross_entropy", "kl") and loss != own.loss:
        rank_zero_warn(f"{objective} attacks {own.loss}, but attack.loss is {loss}; is that meant?")

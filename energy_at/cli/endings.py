"""What a signal asks of a training of several processes, done by all of them at the same step."""

import signal
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException


class EndTogether(L.Callback):
    """Takes note of SIGTERM, and of the signal that has a SLURM job requeued, and acts after the step.

    Lightning's own handlers speak to the other processes from wherever they are interrupted. Processes that are told
    twice, as by a scheduler and by the first process, or while others wait for their gradients, then wait for each
    other without end. A process alone is left to Lightning.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._told: set[int] = set()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put notes in the place of Lightning's handlers, which are there by now."""
        if trainer.world_size > 1:
            numbers = [signal.SIGTERM, *_requeueing(trainer)]
            self._handlers = {number: signal.getsignal(number) for number in numbers}
            for number in numbers:
                signal.signal(number, lambda told, _: self._told.add(told))

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Do what any of the processes was asked for.

        Raises:
            SIGTERMException: on all of them.
        """
        if not self._handlers:
            return
        told = set(self._told)
        notes = torch.tensor([number in told for number in self._handlers], dtype=torch.float32)
        agreed = trainer.strategy.reduce(notes.to(trainer.strategy.root_device), reduce_op="sum").tolist()
        self._told -= told  # and not what this process was told while it waited for the others
        for (number, handler), asked in zip(self._handlers.items(), agreed, strict=True):
            if asked and number == signal.SIGTERM:
                raise SIGTERMException
            if asked:
                handler(number, None)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing is lost in a test: SIGTERM ends it at once."""
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _requeueing(trainer: L.Trainer) -> list[int]:
    """The signal that Lightning has a SLURM job requeued by; none elsewhere."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return []
    return [environment.requeue_signal or signal.SIGUSR1]

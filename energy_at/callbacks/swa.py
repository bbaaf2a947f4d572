"""Stochastic weight averaging for robust overfitting."""

from collections.abc import Iterable
from math import ceil, inf
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging

from energy_at.types import require
from energy_at.undeclared import callbacks_of


class SWA(WeightAveraging):
    """The mean of the weights after every epoch from a share of the training on; before, the weights as they are.

    Averaging from the first drop of the learning rate on is a cure for robust overfitting ("Robust overfitting may be
    mitigated by properly learned smoothening", ICLR 2021). Validation, test and checkpoints use the mean, statistics of
    batch norm included. Lightning's own callbacks average from given epochs as well, but judge the initial weights
    until then.

    Args:
        start: share of the epochs that are trained before averaging begins, in [0, 1).

    Raises:
        InputError: if ``start`` is out of its range; when it is set up, if another callback averages weights too; when
            the training begins, if nobody knows how long it is.
    """

    def __init__(self, start: float = 0.5) -> None:
        super().__init__()
        require(0 <= start < 1, f"start is {start}, but it is a share of the epochs in [0, 1); write start: 0.5")
        self.start = start

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """See Lightning."""
        check_averages(callbacks_of(trainer))
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """See Lightning."""
        told = "SWA begins at a share of the epochs, and this training has no end; write trainer.max_epochs"
        require(_epochs(trainer) < inf, told)
        super().on_train_start(trainer, pl_module)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After epochs alone."""
        return epoch_idx is not None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the epoch's weights into the mean, where validation has not done so."""
        if trainer.current_epoch <= self._latest_update_epoch:
            return
        average = self._average_model
        if average is not None and self._copies(trainer):
            average.n_averaged.zero_()  # what follows copies
        super().on_train_epoch_end(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Validation judges the mean, at an epoch's end with this epoch's weights, and before it begins the weights."""
        average = self._average_model
        if average is not None and not trainer.sanity_checking:
            if trainer.is_last_batch:
                self.on_train_epoch_end(trainer, pl_module)
            elif self._copies(trainer):
                average.n_averaged.zero_()
                average.update_parameters(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def _copies(self, trainer: L.Trainer) -> bool:
        """Whether the mean is as yet the weights themselves, with which it begins."""
        return trainer.current_epoch <= ceil(self.start * _epochs(trainer))


def _epochs(trainer: L.Trainer) -> float:
    """Of the whole training, which ``max_steps`` may end within."""
    steps = ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return min((each for each in (trainer.max_epochs or 0, trainer.max_steps / steps) if each > 0), default=inf)


def check_averages(callbacks: Iterable[L.Callback]) -> None:
    """Refuse two averages of the weights: each puts its own in the other's place, and training goes on from there.

    Raises:
        InputError: naming them.
    """
    names = [type(callback).__name__ for callback in callbacks if isinstance(callback, WeightAveraging)]
    require(len(names) < 2, f"{' and '.join(names)} each average the weights, and spoil each other's; leave one out")

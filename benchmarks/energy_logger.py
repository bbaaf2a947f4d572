"""Epochs with the energy logger against epochs without it, in one training where it works every other epoch.

StandardAT with FGSM is its worst case: the cheapest step, and one whose loss needs no natural logits, so that every
25th step and an epoch's first pay one more forward pass. A narrow net, batches of 128, bf16, NHWC memory.
"""

from typing import Any

import lightning as L

from benchmarks.fitting import EpochTimer, fit
from benchmarks.loader import BATCH, images
from benchmarks.setting import Setting
from benchmarks.timing import Goal, Measured, compare
from energy_at.attacks import FGSM
from energy_at.callbacks import EnergyLogger
from energy_at.modules import StandardAT


class EveryOtherEpoch(EnergyLogger):
    """The energy logger, at rest in even epochs."""

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """See ``EnergyLogger``."""
        if trainer.current_epoch % 2:
            super().on_train_batch_start(trainer, *args)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """See ``EnergyLogger``."""
        if trainer.current_epoch % 2:
            super().on_train_batch_end(trainer, *args)

    def on_train_epoch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """See ``EnergyLogger``."""
        if trainer.current_epoch % 2:
            super().on_train_epoch_end(trainer, *args)


def rows(setting: Setting) -> list[dict[str, Any]]:
    """One row; the first two epochs are warm-up."""
    module = StandardAT(setting.narrow(), attack=FGSM(), channels_last=True)
    timer = EpochTimer(setting.device)
    fit(module, [timer, EveryOtherEpoch()], images(BATCH), setting.steps, 4 + 2 * setting.rounds, bar=False)
    without, logged = Measured(timer.epochs[2::2]), Measured(timer.epochs[3::2])
    return [compare("energy logger on / off: narrow net, FGSM, batch 128", logged, without, Goal(1.03))]

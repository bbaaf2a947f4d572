"""A loss that is no number ends the training, before it can reach a checkpoint."""

import math

import lightning as L
import torch
from torch import Tensor

from energy_at.modules.checkpoint_io import model_checkpoints


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite."""


class FiniteLoss:
    """Notes the first step whose loss is not finite, and ends the run on every process alike.

    On the CPU every step is checked, before its update. On an accelerator the note stays on the device and is read
    every ``every_n_steps`` steps and before every checkpoint, so that no step waits for it.

    Args:
        every_n_steps: steps between two looks at the device's note.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        self.every_n_steps = every_n_steps
        self._first_bad_step: Tensor | None = None

    def see(self, loss: Tensor, trainer: L.Trainer) -> None:
        """Note the loss of this step; look at the note when that is due.

        Raises:
            NonFiniteLossError: naming the step and the last good checkpoint.
        """
        step = torch.where(loss.detach().isfinite(), math.inf, float(trainer.global_step))
        self._first_bad_step = step if self._first_bad_step is None else torch.minimum(self._first_bad_step, step)
        if loss.device.type == "cpu" or trainer.global_step % self.every_n_steps == 0:
            self.check(trainer)

    def check(self, trainer: L.Trainer) -> None:
        """Look at the note of every process.

        Raises:
            NonFiniteLossError: naming the step and the last good checkpoint.
        """
        if self._first_bad_step is None:
            return
        step = trainer.strategy.reduce(self._first_bad_step, reduce_op="min").item()
        if step == math.inf:
            return
        written = [c.last_model_path or c.best_model_path for c in model_checkpoints(trainer)]
        kept = " and ".join(filter(None, written)) or "none was written yet"
        raise NonFiniteLossError(
            f"the loss is not a finite number at step {step:.0f} (epoch {trainer.current_epoch}); lower the learning "
            f"rate or the penalty's weight, or clip gradients (trainer.gradient_clip_val). Good checkpoints: {kept}"
        )

"""Ends catastrophic overfitting where it begins, by a stronger training attack for as long as it is needed."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn

from energy_at.types import require, require_count


def can_recover(pl_module: Any) -> bool:
    """Whether a module is one of this package with a training attack of a single step."""
    return getattr(pl_module, "trains_by_single_steps", False)


class Recovery(L.Callback):
    """Trains against PGD while the net overfits to its single-step training attack.

    Every ``every_n_steps`` steps the batch is attacked by the training attack and by PGD in its ball, the net in
    evaluation mode. Where under PGD less than ``ratio`` of the accuracy under the single step is left, PGD takes the
    training attack's place, until a later look finds more. So a training is as fast as its single steps while these
    suffice. The share of an epoch's steps that were trained against PGD is logged as ``overfitting/recovery``.

    After Li et al. (FastAdv+, arXiv 2006.03089), whose text was not at hand. As others who have written it anew tell,
    they look every 20 steps at validation images, and train against PGD for 20 steps where the accuracy under it has
    fallen by 0.1. Here two attacks on the training batch are compared, by which a net that was never sound is
    recognised too, and no images have to be held out.

    Args:
        every_n_steps: training steps from one look to the next, at least 1.
        steps: of PGD, at least 2; alpha is a quarter of eps.
        ratio: of the two accuracies, below which the net overfits, in (0, 1).
        last_steps: at the training's end that are trained against PGD in any case, at least 0: a fall in them would be
            found by no look.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(self, every_n_steps: int = 50, steps: int = 10, ratio: float = 0.5, last_steps: int = 0) -> None:
        require_count("every_n_steps", every_n_steps, 50)
        require_count("steps", steps, 10, least=2)
        require(0 < ratio < 1, f"ratio is {ratio}, but it is a share in (0, 1); write ratio: 0.5")
        require_count("last_steps", last_steps, 50, least=0)
        self.every_n_steps, self.steps, self.ratio, self.last_steps = every_n_steps, steps, ratio, last_steps
        self.at_work = self.announced = False
        self._steps_at_work = self._steps_seen = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Look at the training attack.

        Raises:
            InputError: if the training attack has several steps.
        """
        attack = type(getattr(pl_module, "attack", None)).__name__
        told = f"Recovery is for training attacks of a single step, and this one is {attack}; leave it out"
        require(can_recover(pl_module), told)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Take up what a resumed training has left."""
        self._train_against(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the net, where it is time."""
        self._steps_seen += 1
        self._steps_at_work += pl_module.substitute is not None
        warm = trainer.current_epoch >= pl_module.eps_warmup
        if warm and (trainer.fit_loop.total_batch_idx + 1) % self.every_n_steps == 0:
            several = pl_module.multi_step_attack(self.steps)
            found = torch.stack([pl_module.accuracy_under(attack, batch) for attack in (pl_module.attack, several)])
            self._judge(trainer, *trainer.strategy.reduce(found, reduce_op="mean").tolist())
        self._train_against(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the share of the epoch's steps that PGD was trained against."""
        pl_module.log("overfitting/recovery", self._steps_at_work / max(1, self._steps_seen))
        self._steps_at_work = self._steps_seen = 0

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """The module has its own attack again."""
        pl_module.substitute = None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training goes on with."""
        return {
            "at_work": self.at_work,
            "announced": self.announced,
            "steps_at_work": self._steps_at_work,
            "steps_seen": self._steps_seen,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.at_work, self.announced = state_dict["at_work"], state_dict["announced"]
        self._steps_at_work, self._steps_seen = state_dict["steps_at_work"], state_dict["steps_seen"]

    def _judge(self, trainer: L.Trainer, single: float, several: float) -> None:
        self.at_work = several < self.ratio * single
        if self.at_work and not self.announced:
            self.announced = True
            rank_zero_warn(
                f"Recovery: in step {trainer.global_step} the accuracy under PGD-{self.steps} is {several:.3f} against"
                f" {single:.3f} under the training attack; PGD-{self.steps} is trained against wherever that is so."
            )

    def _train_against(self, trainer: L.Trainer, pl_module: Any) -> None:
        left = (trainer.estimated_stepping_batches - trainer.global_step) * trainer.accumulate_grad_batches
        wanted = self.at_work or 0 < left <= self.last_steps
        if wanted != (pl_module.substitute is not None):
            pl_module.substitute = pl_module.multi_step_attack(self.steps) if wanted else None

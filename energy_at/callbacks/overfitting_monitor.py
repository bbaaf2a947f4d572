"""Says when adversarial training overfits, as it happens."""

import math
from dataclasses import asdict
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_warn

from energy_at.callbacks.announcement import announce
from energy_at.callbacks.recovery import Recovery, can_recover
from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST, Epoch, catastrophic, robust
from energy_at.evaluation.training_run import JUDGED
from energy_at.types import require, require_count


class OverfittingMonitor(L.Callback):
    """Recognises catastrophic and robust overfitting, says so once each, logs the epoch, and can stop the training.

    It says so by a warning, and by an alert of W&B where the run is logged there.

    It judges by the validation step's multi-step attack (see ``energy_at.evaluation.overfitting`` for the rules), since
    a regulariser can hold dE of the training attack near 0 while the net breaks beside it. Epochs without validation
    are not judged, nor those of the module's ``eps_warmup``, in which the net has not been trained against that attack
    yet: where ``patience`` counts epochs, it counts judged ones. The epochs are logged as
    ``overfitting/catastrophic_epoch`` and ``overfitting/robust_epoch``, those of the warm-up have a 1 in
    ``overfitting/warm_up``. Any LightningModule's training is judged whose validation logs ``val/robust_acc`` and
    ``val/single_step_acc``; of one that does not, a warning says so.

    Args:
        stop: end the training when overfitting is recognised.
        ratio: see ``catastrophic``.
        gap: see ``catastrophic``.
        patience: see ``catastrophic``.
        tolerance: see ``robust``.
        robust_patience: ``patience`` of ``robust``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(
        self,
        stop: bool = False,
        ratio: float = 0.1,
        gap: float = 0.2,
        patience: int = 2,
        tolerance: float = 0.02,
        robust_patience: int = 3,
    ) -> None:
        for name, value in {"ratio": ratio, "gap": gap, "tolerance": tolerance}.items():
            require(0 < value < 1, f"{name} is {value}, but it is a share in (0, 1); leave it out for the default")
        for name, value in {"patience": patience, "robust_patience": robust_patience}.items():
            require_count(name, value, 3)
        self.stop = stop
        self.ratio = ratio
        self.gap = gap
        self.tolerance = tolerance
        self.patience = patience
        self.robust_patience = robust_patience
        self.catastrophic_epoch: int | None = None
        self.robust_epoch: int | None = None
        self.history: list[Epoch] = []
        self.epochs: list[int] = []  # that were judged
        self._told = self._validated = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that there is something to judge; say so, where there is nothing."""
        self._validated = not trainer.sanity_checking
        if trainer.sanity_checking or self._told or trainer.callback_metrics.keys() >= JUDGED:
            return
        self._told = True
        rank_zero_warn(
            f"OverfittingMonitor has nothing to judge, for nobody logs {' and '.join(sorted(JUDGED))}; log them in"
            " validation_step, or leave it out"
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge the epoch that validation has just measured."""
        metrics = trainer.callback_metrics
        validated, self._validated = self._validated, False  # else the numbers are of an earlier epoch
        if not (validated and metrics.keys() >= JUDGED):
            return
        if trainer.current_epoch < getattr(pl_module, "eps_warmup", 0):
            pl_module.log("overfitting/warm_up", 1.0)
            return
        self.epochs.append(trainer.current_epoch)
        self.history.append(
            Epoch(
                robust_acc=float(metrics["val/robust_acc"]),
                single_step_acc=float(metrics["val/single_step_acc"]),
                delta_energy=float(metrics.get("val/dE_marginal", math.nan)),
                train_delta_energy=float(metrics.get("train/dE_marginal", math.nan)),
                abnormal=float(metrics.get("train/AAE_loss", math.nan)),
            )
        )
        if self.catastrophic_epoch is None and self._overfits_catastrophically():
            self.catastrophic_epoch = self.epochs[-self.patience]
            words = self._catastrophic_words() + remedy(trainer, pl_module)
            announce(trainer, CATASTROPHIC, words, self.stop, "overfitting.stop")
        elif self._may_overfit_robustly() and robust(self.history, self.tolerance, patience=self.robust_patience):
            self.robust_epoch = trainer.current_epoch
            announce(trainer, ROBUST, self._robust_words(), self.stop, "overfitting.stop")
        self._log_epochs(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The history, so that a resumed run judges by all of it."""
        return {
            "history": [asdict(epoch) for epoch in self.history],
            "epochs": self.epochs,
            "catastrophic_epoch": self.catastrophic_epoch,
            "robust_epoch": self.robust_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.history = [Epoch(**epoch) for epoch in state_dict["history"]]
        self.epochs = state_dict.get("epochs", list(range(len(self.history))))  # which earlier versions did not keep
        self.catastrophic_epoch = state_dict["catastrophic_epoch"]
        self.robust_epoch = state_dict["robust_epoch"]

    def _overfits_catastrophically(self) -> bool:
        return catastrophic(self.history, self.ratio, self.gap, self.patience)

    def _may_overfit_robustly(self) -> bool:
        return self.robust_epoch is None and self.catastrophic_epoch is None

    def _catastrophic_words(self) -> str:
        now = self.history[-1]
        before = self.history[-self.patience - 1] if len(self.history) > self.patience else None
        moved = f" (before: {before.delta_energy:+.2f})" if before else ""
        return (
            f"Catastrophic overfitting since epoch {self.catastrophic_epoch}: on validation images the accuracy under "
            f"the multi-step attack is {now.robust_acc:.3f} against {now.single_step_acc:.3f} under a single step; "
            f"dE(x) under the multi-step attack is {now.delta_energy:+.2f}{moved}, under the training attack "
            f"{now.train_delta_energy:+.2f}; that attack lowers the loss of {now.abnormal:.1%} of the images."
        )

    def _robust_words(self) -> str:
        best = max(epoch.robust_acc for epoch in self.history)
        return (
            f"Robust overfitting at epoch {self.robust_epoch}: validation accuracy under attack has fallen from "
            f"{best:.3f} to {self.history[-1].robust_acc:.3f}, and dE(x) on training images falls, now "
            f"{self.history[-1].train_delta_energy:+.2f}. The best-robust checkpoint is kept."
        )

    def _log_epochs(self, pl_module: L.LightningModule) -> None:
        for name in ("catastrophic_epoch", "robust_epoch"):
            epoch = getattr(self, name)
            if epoch is not None:
                pl_module.log(f"overfitting/{name}", float(epoch))


def remedy(trainer: L.Trainer, pl_module: L.LightningModule) -> str:
    """What helps against catastrophic overfitting, where it is not there yet, in a sentence with a blank before it."""
    if not can_recover(pl_module) or any(isinstance(callback, Recovery) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        return ""
    return " Recovery trains out of it, also when the run goes on: energy-at fit --resume RUN -c parts/recovery.yaml."

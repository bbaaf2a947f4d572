"""Keeps ``energies.png`` of the run up to date."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from energy_at.callbacks.overfitting_monitor import OverfittingMonitor
from energy_at.evaluation.curves import draw_energy_curves
from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST
from energy_at.files import as_a_whole
from energy_at.undeclared import callbacks_of


class EnergyPlot(L.Callback):
    """Draws energies and robust accuracy against epochs into the run's folder, see ``draw_energy_curves``.

    The picture is redrawn at most every ``seconds`` and when the training ends or fails. Its data travels in the
    checkpoint, so that a resumed run shows all epochs.

    Args:
        filename: name of the picture in the run's folder.
        seconds: least time between two drawings.
    """

    def __init__(self, filename: str = "energies.png", seconds: float = 30.0) -> None:
        self.filename = filename
        self.seconds = seconds
        self.rows: list[dict[str, float]] = []
        self._validated = False
        self._drawn_at = time.monotonic()
        self._folder: str | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask for the run's folder; all processes have to ask together."""
        self._folder = trainer.log_dir

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that the epoch has validation's numbers; those of an earlier one stay among the trainer's."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the epoch's numbers."""
        validated, self._validated = self._validated, False
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        own = {key: value for key, value in metrics.items() if validated or not key.startswith("val/")}
        self.rows.append({"epoch": trainer.current_epoch, **own})
        if time.monotonic() - self._drawn_at > self.seconds:
            self.draw(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the final picture, and hand it to the loggers that take one."""
        self.draw(trainer)
        self.hand_on(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Draw what there is."""
        if trainer.state.fn == TrainerFn.FITTING:  # a test restores the earlier rows of the checkpoint that it judges
            self.draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.rows = state_dict["rows"]

    @rank_zero_only
    def draw(self, trainer: L.Trainer) -> None:
        """Write the picture, under a temporary name first."""
        self._drawn_at = time.monotonic()
        if not self.rows or self._folder is None:
            return
        target = Path(self._folder) / self.filename
        title = f"{type(trainer.lightning_module).__name__}: energies and robust accuracy"
        figure = draw_energy_curves(self.rows, title, _onsets(trainer))
        with as_a_whole(target) as temporary:
            figure.savefig(temporary, dpi=150, format=target.suffix[1:])

    @rank_zero_only
    def hand_on(self, trainer: L.Trainer) -> None:
        """Give the picture to W&B, where it is one of the loggers."""
        path = Path(self._folder or ".") / self.filename
        for logger in trainer.loggers:
            if self.rows and hasattr(logger, "log_image") and path.is_file():
                logger.log_image("energies", [str(path)])


def _onsets(trainer: L.Trainer) -> dict[str, int]:
    monitors = [callback for callback in callbacks_of(trainer) if isinstance(callback, OverfittingMonitor)]
    found = [(CATASTROPHIC, m.catastrophic_epoch) for m in monitors]
    found += [(ROBUST, m.robust_epoch) for m in monitors]
    return {name: epoch for name, epoch in found if epoch is not None}

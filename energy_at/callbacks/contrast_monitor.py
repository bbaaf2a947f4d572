"""Says when dual adversarial training goes wrong, and keeps the last checkpoint from before."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from energy_at.callbacks.announcement import announce
from energy_at.callbacks.checkpoints import LastCheckpoint
from energy_at.evaluation.contrast import Contrast, runs_away, saturated
from energy_at.files import as_a_whole
from energy_at.types import require

GOOD = "good.ckpt"


class ContrastMonitor(L.Callback):
    """Watches the contrastive energy of ``DualAT``; silent for modules without one.

    It says once each, by a warning and by an alert of W&B where the run is logged there, that contrastive images run
    away to energies that real ones do not have, or that the net tells all of them from real ones (the rules:
    ``energy_at.evaluation.contrast``). The checkpoint of the epoch before is kept as ``good.ckpt``.

    Args:
        stop: end the training then.
        gap: see ``runs_away``.
        ceiling: see ``saturated``.

    Raises:
        InputError: if a value is out of its range.
    """

    def __init__(self, stop: bool = False, gap: float = 10.0, ceiling: float = 0.999) -> None:
        require(gap > 0, f"gap is {gap}, but it is a difference above 0 nats; write for example gap: 10")
        require(0.5 < ceiling <= 1, f"ceiling is {ceiling}, but it lies in (0.5, 1]; write for example ceiling: 0.999")
        self.stop, self.gap, self.ceiling = stop, gap, ceiling
        self.epochs: dict[str, int] = {}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge the epoch."""
        metrics = trainer.callback_metrics
        if "train/contrast_auc" not in metrics or "train/E_marginal_contrast" not in metrics:
            return
        names = ("contrast_auc", "E_marginal", "E_marginal_contrast", "contrast_steps")
        auc, energy, contrast, steps = (float(metrics[f"train/{name}"]) for name in names)
        now = Contrast(auc, energy, contrast, steps, _most_steps(pl_module))
        if runs_away(now, self.gap):
            self._announce("contrastive energy runs away", self._away(now, trainer.current_epoch), trainer)
        elif saturated(now, self.ceiling):
            self._announce("contrastive images are all told apart", self._apart(now, trainer.current_epoch), trainer)

    def state_dict(self) -> dict[str, Any]:
        """What was said, so that a resumed run does not say it again."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.epochs = state_dict["epochs"]

    def _away(self, now: Contrast, epoch: int) -> str:
        return (
            f"The contrastive energy runs away in epoch {epoch}: contrastive images have a mean E(x) of "
            f"{now.contrast:+.1f}, real ones {now.energy:+.1f}. Take a smaller sampler.step_size, fewer max_steps, "
            "or a smaller learning rate."
        )

    def _apart(self, now: Contrast, epoch: int) -> str:
        return (
            f"In epoch {epoch} the net tells all contrastive images from real ones (area under the ROC curve "
            f"{now.auc:.4f}) with {now.steps:.0f} steps, the most that are allowed. Raise max_steps, or begin with "
            "starts that lie nearer to the images."
        )

    def _announce(self, what: str, words: str, trainer: L.Trainer) -> None:
        if what in self.epochs:
            return
        if not self.epochs:
            words += self._kept(trainer)
        self.epochs[what] = trainer.current_epoch
        announce(trainer, what, words, self.stop, "ContrastMonitor's stop")

    def _kept(self, trainer: L.Trainer) -> str:
        """Keep the newest checkpoint, which is the one of the epoch before, under a name of its own."""
        written = [c.best_model_path for c in trainer.checkpoint_callbacks if isinstance(c, LastCheckpoint)]
        if not any(written):
            return ""
        _copy(Path(written[0]), Path(written[0]).with_name(GOOD))
        return f" The checkpoint of the epoch before is kept as {GOOD}."


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    with as_a_whole(target) as temporary:
        shutil.copyfile(source, temporary)


def _most_steps(pl_module: Any) -> int:
    return pl_module.max_steps

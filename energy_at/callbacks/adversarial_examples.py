"""Adversarial images of the present net, every few epochs."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from energy_at.evaluation.examples import Examples, draw_examples, examples_of
from energy_at.files import as_a_whole
from energy_at.types import require, require_count
from energy_at.undeclared import datamodule_of


class AdversarialExamples(L.Callback):
    """Draws images beside their adversarial ones into the run's folder, ``examples/epoch_0004.png``.

    Every logger that has ``log_examples(examples, step)`` gets them too: ``WandbLogger`` makes a table of them, with
    labels, predictions, and the energies of both. The same validation images each time (training images where nothing
    is held out), drawn from all classes, under the module's ``val_attack`` and with the same noise.

    Args:
        every_n_epochs: epochs between two pictures, at least 1.
        count: images, at least 1.

    Raises:
        InputError: if a number is below 1; when the training begins, if its data are no data module of this package,
            or the module has no net or no val_attack.
    """

    def __init__(self, every_n_epochs: int = 5, count: int = 16) -> None:
        require_count("every_n_epochs", every_n_epochs, 5)
        require_count("count", count, 16)
        self.every_n_epochs, self.count = every_n_epochs, count
        self._folder: str | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask for the run's folder, all processes together; choose the images."""
        self._folder = trainer.log_dir
        data = datamodule_of(trainer)
        require(
            hasattr(data, "batches"),
            "AdversarialExamples draws images of a data module of this package; leave it out, or give one as ImageData",
        )
        require(
            all(hasattr(pl_module, part) for part in ("net", "val_attack")),
            f"AdversarialExamples attacks a module's net by its val_attack, and {type(pl_module).__name__} lacks one; "
            "set them in its constructor, such as self.val_attack = PGD(eps='8/255')",
        )
        split = "val" if data.val_size else "train"
        chosen = list(data.batches(split, min(self.count, len(data.labels(split)))))
        self._images, self._labels = (torch.cat(parts) for parts in zip(*chosen, strict=True))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, where it is time."""
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self.draw(trainer, pl_module)

    @rank_zero_only
    def draw(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the picture, under a temporary name first, and hand the examples on."""
        examples = self._examples(trainer, pl_module)
        path = Path(self._folder or ".") / "examples" / f"epoch_{trainer.current_epoch:04d}.png"
        with as_a_whole(path) as temporary:
            draw_examples(examples).savefig(temporary, dpi=120, format="png")
        for logger in trainer.loggers:
            if hasattr(logger, "log_examples"):
                logger.log_examples(examples, trainer.global_step)

    def _examples(self, trainer: L.Trainer, pl_module: Any) -> Examples:
        x, y = self._images.to(pl_module.device).to(pl_module.dtype) / 255, self._labels.to(pl_module.device)
        names = datamodule_of(trainer).class_names
        return examples_of(pl_module.net, x, y, pl_module.val_attack, class_names=names)

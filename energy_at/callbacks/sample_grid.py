"""Images that the net of a training draws, every few epochs."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from torch import Tensor

from energy_at.files import as_a_whole
from energy_at.generation import ClassInit, LangevinSampler, sample_seeds
from energy_at.generation.chain import to_bytes
from energy_at.generation.mosaics import INCHES, show_mosaic
from energy_at.generation.starts import fit_to_training
from energy_at.types import require, require_count
from energy_at.undeclared import datamodule_of

MOST_CLASSES = 10


class SampleGrid(L.Callback):
    """Draws samples of the present net into the run's folder, ``samples/epoch_0004.png``, and hands them to W&B.

    A class in each row, from the same starting points every time.

    Args:
        init: starting points, fitted to the training images when the training begins; None for those of ``DualAT``'s
            contrastive images.
        sampler: takes them to low energy; None for ``DualAT``'s own, with as many steps as it trains with.
        every_n_epochs: epochs between two pictures, at least 1.
        columns: samples of each class, at least 1.
        fit_count: training images to fit to, at most; None for all.

    Raises:
        InputError: if a number is below 1; when the training begins, if its data are no data module of this package,
            or its module has no starting points or sampler of its own.
    """

    def __init__(
        self,
        init: ClassInit | None = None,
        sampler: LangevinSampler | None = None,
        every_n_epochs: int = 5,
        columns: int = 10,
        fit_count: int | None = 10_000,
    ) -> None:
        require_count("every_n_epochs", every_n_epochs, 5)
        require_count("columns", columns, 10)
        self.init, self.sampler = init, sampler
        self.every_n_epochs, self.columns, self.fit_count = every_n_epochs, columns, fit_count
        self._folder: str | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fit the starting points, and ask for the run's folder; all processes have to ask together."""
        self._folder = trainer.log_dir
        for name, given in {"starts": self.init, "sampler": self.sampler}.items():
            require(
                given is not None or getattr(pl_module, name, None) is not None,
                f"{type(pl_module).__name__} has no {name} for SampleGrid to take; give it init and sampler",
            )
        if self.init is not None and trainer.is_global_zero:
            fit_to_training(self.init, datamodule_of(trainer), self.fit_count, pl_module.device)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, where it is time."""
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self.draw(trainer, pl_module)

    @rank_zero_only
    def draw(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write the picture, under a temporary name first."""
        init = self.init or pl_module.starts
        sampler = self.sampler or pl_module.sampler.with_steps(pl_module.contrast_steps)
        classes = min(MOST_CLASSES, len(init["counts"]))
        labels = torch.arange(classes, device=pl_module.device).repeat_interleave(self.columns)
        seeds = sample_seeds(0, torch.arange(len(labels), device=pl_module.device))
        samples = sampler.descend(pl_module.net, init.sample(labels, seeds), labels, seeds)
        path = Path(self._folder or ".") / "samples" / f"epoch_{trainer.current_epoch:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with as_a_whole(path) as temporary:
            _figure(to_bytes(samples.x.clamp(0, 1)), self.columns).savefig(temporary, dpi=120, format="png")
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [str(path)])


def _figure(images: Tensor, columns: int) -> Figure:
    rows = images.split(columns)
    figure = Figure(figsize=(INCHES * columns + 0.6, INCHES * len(rows) + 0.2), layout="constrained")
    show_mosaic(figure.subplots(), rows, [str(label) for label in range(len(rows))])
    return figure

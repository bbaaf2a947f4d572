"""A Trainer whose epochs are timed, with other epochs run and timed between two of them."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import lightning as L
import torch
from torch import Tensor, nn

from benchmarks import textbook
from benchmarks.bare import updating
from benchmarks.loader import Noise, per_image_loader, to_device
from benchmarks.textbook import Loss
from benchmarks.watch import Lap, Watch
from energy_at.callbacks import ProgressBar
from energy_at.data import InMemoryData
from energy_at.loggers import CSVLogger
from energy_at.modules import AdversarialTraining

Batch: TypeAlias = Sequence[Tensor]


class EpochTimer(L.Callback):
    """Times the Trainer's epochs step by step, each with everything from its first hook to the first hook of the next.

    What happens at an epoch's end (checkpoints, the epoch's logging) is told apart from its steps; not on a device that
    works ahead of Python, where it is a part of the epoch, as it is for the user.

    Args:
        device: where the training runs.
        between: each done and timed before each epoch.
    """

    def __init__(self, device: torch.device, *between: Callable[[], Lap]) -> None:
        self.device = device
        self.between = between
        self.epochs: list[Lap] = []
        self.ends: list[Lap] = []
        self.betweens: list[list[Lap]] = [[] for _ in between]
        self._watch: Watch | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the epoch before, and open this one."""
        self._close()
        for laps, other in zip(self.betweens, self.between, strict=True):
            laps.append(other())
        self._watch = Watch(self.device)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Close the step before."""
        if batch_idx > 0:
            self._watch.mark()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the last step: this callback comes first."""
        self._watch.mark()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the last epoch."""
        self._close()

    def _close(self) -> None:
        if self._watch is not None:
            lap = self._watch.lap()
            apart = len(lap.pieces) > 1
            self.epochs.append(Lap(lap.pieces[:-1], lap.others) if apart else lap)
            self.ends.append(Lap(lap.pieces[-1:] if apart else (0.0,), lap.others))


def fit(
    module: AdversarialTraining, callbacks: Sequence[L.Callback], data: InMemoryData, steps: int, epochs: int, bar: bool
) -> None:
    """Train in bf16 with a CSV logger, without validation, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, silence(Path(folder)):
        trainer = L.Trainer(
            accelerator="gpu" if next(module.parameters()).is_cuda else "cpu",
            devices=1,
            precision="bf16-mixed",
            logger=CSVLogger(folder),
            callbacks=[*callbacks, *([ProgressBar()] if bar else [])],
            max_epochs=epochs,
            limit_train_batches=steps,
            limit_val_batches=0,
            enable_progress_bar=bar,
            enable_model_summary=False,
            enable_checkpointing=any(isinstance(callback, L.pytorch.callbacks.Checkpoint) for callback in callbacks),
        )
        trainer.fit(module, data)


def bare_epoch(module: AdversarialTraining, data: InMemoryData, steps: int) -> Callable[[], Lap]:
    """The same module's step on the same data, and nothing else; the function runs and times one epoch."""
    update, device = updating(module, half=True), module.device

    def step(batch: Batch) -> None:
        x, y = data.on_after_batch_transfer(to_device(batch, device))
        update(x.contiguous(memory_format=torch.channels_last), y)

    return epoch_of(step, data.train_dataloader(), steps, device)


def textbook_epoch(net: nn.Module, loss: Loss, data: Noise, steps: int) -> Callable[[], Lap]:
    """The textbook's step on images that a per-image loader delivers."""
    device = next(net.parameters()).device
    update = textbook.updating(net, loss)
    return epoch_of(lambda batch: update(*to_device(batch, device)), per_image_loader(data, device), steps, device)


def epoch_of(
    step: Callable[[Batch], None], loader: Iterable[Batch], steps: int, device: torch.device
) -> Callable[[], Lap]:
    """Runs the step on so many batches, and times it step by step."""

    def epoch() -> Lap:
        watch = Watch(device)
        for done, batch in enumerate(islice(loader, steps)):
            if done > 0:
                watch.mark()
            step(batch)
        return watch.lap()

    return epoch


@contextmanager
def silence(folder: Path) -> Iterator[None]:
    """Progress bars and notes go to a file."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with (folder / "output").open("w") as file, redirect_stdout(file), redirect_stderr(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

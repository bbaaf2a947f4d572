"""A Trainer whose epochs are timed, with something else run and timed between two of them."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import torch

from benchmarks.bare import updating
from benchmarks.loader import Noise
from benchmarks.watch import Lap, Watch
from energy_at.data import InMemoryData
from energy_at.loggers import CSVLogger
from energy_at.modules import AdversarialTraining


class EpochTimer(L.Callback):
    """Times the Trainer's epochs step by step, each with everything from its first hook to the first hook of the next.

    Args:
        device: where the training runs.
        between: done and timed before each epoch.
    """

    def __init__(self, device: torch.device, between: Callable[[], Lap] | None = None) -> None:
        self.device = device
        self.between = between
        self.epochs: list[Lap] = []
        self.betweens: list[Lap] = []
        self._watch: Watch | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the epoch before, and open this one."""
        self._close()
        if self.between is not None:
            self.betweens.append(self.between())
        self._watch = Watch(self.device)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Close the step before; the last one ends with its epoch."""
        if batch_idx > 0:
            self._watch.mark()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the last epoch."""
        self._close()

    def _close(self) -> None:
        if self._watch is not None:
            self.epochs.append(self._watch.lap())


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
            callbacks=list(callbacks),
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
    update = updating(module, half=True)
    loader = data.train_dataloader()

    def epoch() -> Lap:
        watch = Watch(module.device)
        for step, batch in enumerate(islice(loader, steps)):
            if step > 0:
                watch.mark()
            x, y = data.on_after_batch_transfer(tuple(tensor.to(module.device) for tensor in batch))
            update(x.contiguous(memory_format=torch.channels_last), y)
        return watch.lap()

    return epoch


def images(batch_size: int) -> Noise:
    """Random images in memory, cropped and mirrored like CIFAR-10's."""
    data = Noise(batch_size=batch_size, val_size=0)
    data.setup("fit")
    return data


@contextmanager
def silence(folder: Path) -> Iterator[None]:
    """Progress bars and notes go to a file."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with (folder / "output").open("w") as file, redirect_stdout(file), redirect_stderr(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Checkpoints that are there as a whole or not at all, on any file system."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from energy_at.files import write_torch


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target, flushes it to the disk and renames it.

    Lightning's own writes into the temporary folder and copies from there, so that whoever is killed in between leaves
    half a checkpoint under its final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """See Lightning; a path with a protocol, such as ``s3://``, is left to it.

        Raises:
            WriteError: if the disk is full, or the file cannot be written for another reason of the system's.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_torch(Path(path), checkpoint)


def write_whole_checkpoints(trainer: L.Trainer) -> None:
    """Have a trainer write its checkpoints so, unless it was given a way of its own."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpointIO()


def model_checkpoints(trainer: L.Trainer) -> list[ModelCheckpoint]:
    """The callbacks that keep files of a training; others of Lightning's save one only where it breaks."""
    return [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]

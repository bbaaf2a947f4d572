"""A job that SLURM starts again, after its time or after a node has failed: it goes on in the folder of its run."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import lightning as L
from jsonargparse import Namespace
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from energy_at.files import write_file


class Job(L.Callback):
    """The folder of a job's training, which remembers its run.

    Lightning writes a checkpoint there when a job is about to be requeued, and goes on from it; it knows nothing of
    the epochs that a job had finished when a node failed.

    Args:
        folder: of this training in this job alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def run(self) -> Path | None:
        """The run that this job has begun."""
        note = self.folder / "run.txt"
        return Path(note.read_text()) if note.is_file() else None

    def newest_checkpoint(self) -> Path | None:
        """What the job goes on from; Lightning's own of earlier times, which it would prefer, are removed."""
        own = list(self.folder.glob("hpc_ckpt_*.ckpt"))
        last = self.run / "checkpoints/last.ckpt" if self.run else None
        found = [*own, *([last] if last and last.is_file() else [])]
        newest = max(found, key=_written, default=None)
        for outdated in own if newest == last else ():
            outdated.unlink(missing_ok=True)
        return newest

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the run."""
        folder = trainer.log_dir  # which the first process tells all others
        if trainer.is_global_zero and folder is not None:
            write_file(self.folder / "run.txt", folder)


def job_of(config: Namespace, text: Callable[[], str]) -> Job | None:
    """The SLURM job that this process belongs to; None elsewhere, and where the user has named a folder.

    Args:
        config: of the command.
        text: gives all its options; a job may run several trainings, and each has a folder of its own.
    """
    if not SLURMEnvironment.detect() or config.trainer.default_root_dir is not None:
        return None
    return Job(Path("runs/slurm") / str(SLURMEnvironment.job_id()) / sha256(text().encode()).hexdigest()[:8])


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns

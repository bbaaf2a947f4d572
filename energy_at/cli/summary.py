"""The table at the end of a run."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from energy_at.attacks import Attack
from energy_at.describe import describe
from energy_at.evaluation.tables import aligned
from energy_at.files import write_file


@dataclass(frozen=True)
class Judgement:
    """A checkpoint on the test images: accuracies in [0, 1], mean energies in nats."""

    checkpoint: str
    epoch: int
    clean_acc: float
    robust_acc: float
    E_marginal: float
    E_marginal_adv: float
    dE_marginal: float
    dE_joint: float


def judgement(trainer: L.Trainer, path: str | None, begun: str = "untrained") -> Judgement:
    """The trainer's last test, of the checkpoint at this path; of the weights that it began with where there is none.

    Args:
        trainer: that has tested.
        path: of a checkpoint.
        begun: what the first weights are called.
    """
    epoch = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["epoch"] if path else 0
    metrics = {key: float(trainer.callback_metrics[f"test/{key}"]) for key in METRICS}
    return Judgement(Path(path).stem if path else begun, epoch, **metrics)


RESULTS = "results.json"  # the last that a training writes
METRICS = [field.name for field in fields(Judgement)][2:]
HEADINGS = ("checkpoint", "epoch", "clean acc", "robust acc", "E(x)", "E(x*)", "dE(x)", "dE(x,y)")


@rank_zero_only
def write_summary(judged: list[Judgement], folder: str | None, attack: Attack, split: str = "test") -> None:
    """Print the table, and write it as ``results.json`` into the run's folder."""
    print(f"\n{split.capitalize()} images under {named(attack)}, float32:")
    print(aligned([HEADINGS, *(_cells(row) for row in judged)], left=0))
    if folder is None:
        return
    content = {"split": split, "attack": describe(attack), "dtype": "float32", "results": [asdict(j) for j in judged]}
    write_file(Path(folder) / RESULTS, json.dumps(content, indent=2) + "\n")
    print(f"Run folder: {folder}")


def hand_on(judged: Iterable[Judgement], loggers: Iterable[Logger]) -> None:
    """Give accuracies and energies, as ``best/robust_acc``, to the loggers that keep a summary of the run."""
    values = {f"{j.checkpoint}/{name}": getattr(j, name) for j in judged for name in ("epoch", *METRICS)}
    for logger in loggers:
        if hasattr(logger, "log_summary"):
            logger.log_summary(values)


def _cells(row: Judgement) -> tuple[str, ...]:
    energies = (row.E_marginal, row.E_marginal_adv, row.dE_marginal, row.dE_joint)
    return (
        row.checkpoint,
        str(row.epoch),
        f"{row.clean_acc:.4f}",
        f"{row.robust_acc:.4f}",
        *(f"{value:.3f}" for value in energies),
    )


def named(attack: Attack) -> str:
    """An attack's class, steps and ball."""
    steps = getattr(attack, "steps", 1)
    ball = f", {attack.norm} eps {attack.eps}" if attack.norm else ""
    return f"{type(attack).__name__}{f'-{steps}' if steps > 1 else ''}{ball}"

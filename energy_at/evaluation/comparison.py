"""Several trainings side by side: what became of each method with each seed, and the mean over the seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST
from energy_at.evaluation.tables import markdown
from energy_at.evaluation.training_run import TrainingRun

ROBUST_ACC, DELTA = "val/robust_acc", "val/dE_marginal"
FROM_VALIDATION = {
    "val_best": "best robust acc (val)",
    "val_last": "last robust acc (val)",
    "dE_before": "dE(x) before",
    "dE_after": "dE(x) after",
}
FROM_MONITOR = {"collapsed": "collapsed in epoch", "overfitted": "overfitted robustly in epoch"}
COST = {"minutes_per_epoch": "minutes an epoch"}


@dataclass(frozen=True)
class Trained:
    """One training of a method.

    Args:
        method: under which it is reported.
        seed: of the training.
        run: its epochs.
        accuracies: of each judged checkpoint, by attack: {"last": {"clean": 0.8, "pgd-20": 0.4}}.
        minutes_per_epoch: with validation, where it is known.
    """

    method: str
    seed: int
    run: TrainingRun
    accuracies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    minutes_per_epoch: float | None = None


Line = dict[str, Any]


def lines_of(trained: Sequence[Trained]) -> list[Line]:
    """One mapping a training, for ``tables.csv_text``; what does not apply is left out.

    Energies are mean dE(x) of validation images under the multi-step attack: ``dE_before`` over the epochs before the
    net collapsed (all, if it did not) and ``dE_after`` over the others. ``surge`` and ``fall`` are the epochs in which
    dE(x) rose most and robust accuracy fell most.
    """
    return [_line(one) for one in trained]


def summary(lines: Sequence[Line]) -> str:
    """A Markdown table: one row a method, mean ± standard deviation over its seeds, epochs one by one."""
    judged = list(dict.fromkeys(key for line in lines for key in line if ": " in key))
    columns = {key: key for key in judged} | FROM_VALIDATION | FROM_MONITOR | COST
    columns = {key: title for key, title in columns.items() if any(key in line for line in lines)}
    rows = [["method", "seeds", *columns.values()]]
    for method in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == method]
        rows.append([method, str(len(own)), *(_cell(own, key) for key in columns)])
    return markdown(rows)


def _line(one: Trained) -> Line:
    rows = [row for row in one.run.rows if ROBUST_ACC in row]
    onsets = one.run.onsets
    collapsed = onsets.get(CATASTROPHIC)
    deltas = {row["epoch"]: row[DELTA] for row in rows if DELTA in row}
    robust = {row["epoch"]: row[ROBUST_ACC] for row in rows}
    line = {
        "method": one.method,
        "seed": one.seed,
        "epochs": len(one.run.rows),
        **{f"{ckpt}: {name}": acc for ckpt, found in one.accuracies.items() for name, acc in found.items()},
        "val_best": max(robust.values(), default=None),
        "val_last": rows[-1][ROBUST_ACC] if rows else None,
        "dE_before": _mean([d for epoch, d in deltas.items() if collapsed is None or epoch < collapsed]),
        "dE_after": _mean([d for epoch, d in deltas.items() if collapsed is not None and epoch >= collapsed]),
        "surge": _steepest(deltas),
        "fall": _steepest({epoch: -value for epoch, value in robust.items()}),
        "collapsed": collapsed,
        "overfitted": onsets.get(ROBUST),
        "minutes_per_epoch": one.minutes_per_epoch,
    }
    # metrics are kept in float32, which has no more digits than these
    known = {key: value for key, value in line.items() if value is not None}
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in known.items()}


def _cell(lines: Sequence[Line], key: str) -> str:
    values = [line[key] for line in lines if key in line]
    if key in FROM_MONITOR:
        return ", ".join(str(line.get(key, "-")) for line in lines)
    if not values:
        return "-"
    signed = "+" if key.startswith("dE") else ""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{signed}.3f}{spread}"


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _steepest(curve: Mapping[float, float]) -> int | None:
    """The epoch at whose end the value had risen most since the epoch before."""
    epochs = list(curve)
    rises = {int(after): curve[after] - curve[before] for before, after in pairwise(epochs)}
    return max(rises, key=rises.__getitem__) if rises else None

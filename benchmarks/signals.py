"""Which of a training's curves tells that it overfits, and does one tell so an epoch before? Over all kept trainings.

    python -m benchmarks.signals docs/results [--csv FILE]

Every pair of an overfitted net and a sound one of the same table and epoch is compared: the figure is the share of the
pairs in which the overfitted net has the larger value, ties counting half. It is the area under the ROC curve within
each stratum (0.5 tells nothing; near 0 tells as well as near 1), so that neither the epoch nor the setting tells.
Intervals: 5 % to 95 % of resampled trainings.
"""

import csv
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from energy_at.evaluation.curves import Row
from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST
from energy_at.evaluation.training_run import JUDGED, WARM_UP, TrainingRun, read_run

TABLES = {
    "catastrophic, 16x16 pixels": ("co-jpeg16", "co-jpeg16-long", "co-jpeg16-wide", "der-jpeg16", "starts-jpeg16"),
    "catastrophic, 32x32 pixels": (
        "co-jpeg", "co-jpeg-long", "co-jpeg-start", "der-jpeg", "co-full", "co-full-eps16-short",
    ),
    "robust, 16x16 pixels": ("ro-jpeg16",),
}  # fmt: skip
ENERGIES = ("dE_marginal", "dE_joint", "dE_marginal_std", "dE_joint_std", "E_marginal", "E_joint")
TRAINING = ("loss_epoch", "clean_acc", "robust_acc", "AAE_loss", *ENERGIES)
VALIDATION = ("clean_acc", "single_step_acc", "AAE_loss", *ENERGIES)
CURVES = tuple(f"train/{name}" for name in TRAINING) + tuple(f"val/{name}" for name in VALIDATION)
RESAMPLED = 200

Stratum = tuple[str, int]
Values = list[tuple[Stratum, bool, float]]  # of one training: table and epoch, whether overfitted, value


def collapsed(rows: Sequence[Row]) -> list[bool]:
    """Of each epoch, whether a multi-step attack leaves under a quarter of what a single step leaves, and 0.05 less."""
    pairs = [(row["val/robust_acc"], row["val/single_step_acc"]) for row in rows]
    return [several < single / 4 and several < single - 0.05 for several, single in pairs]


def declined(rows: Sequence[Row], loss: float = 0.03, window: int = 3) -> list[bool]:
    """Of each epoch, whether the mean robust accuracy of three epochs is that much below its best so far."""
    accuracy = np.array([row["val/robust_acc"] for row in rows])
    smooth = np.convolve(accuracy, np.ones(window) / window, mode="valid")
    return [False] * (window - 1) + (np.maximum.accumulate(smooth) - smooth > loss).tolist()


def trainings(folder: Path, tables: Iterable[str]) -> Iterator[tuple[str, Sequence[Row]]]:
    """Table and judged epochs of every kept training, each once."""
    seen = set()
    for table in tables:
        for path in sorted((folder / table).glob("*-seed*.csv")):
            rows = [_unannounced(row) for row in read_run(path).rows if row.keys() >= JUDGED]
            accuracies = tuple(row["val/robust_acc"] for row in rows)
            if rows and accuracies not in seen:
                seen.add(accuracies)
                yield table, rows


def while_overfitted(table: str, rows: Sequence[Row], overfitted: Sequence[bool], curve: str) -> Values:
    """The curve in each epoch, and whether the net is overfitted in it."""
    epochs = zip(rows, overfitted, strict=True)
    return [((table, int(row["epoch"])), is_so, row[curve]) for row, is_so in epochs if curve in row]


def an_epoch_before(table: str, rows: Sequence[Row], overfitted: Sequence[bool], curve: str) -> Values:
    """The curve in each epoch in which the net is sound, and whether it is overfitted in the next."""
    sound = [i for i in range(len(rows) - 1) if not overfitted[i] and curve in rows[i]]
    return [((table, int(rows[i]["epoch"])), overfitted[i + 1], rows[i][curve]) for i in sound]


def share_above(values: Iterable[Values]) -> tuple[float, int]:
    """Share of the pairs of one stratum in which the overfitted net has the larger value; overfitted nets in pairs."""
    strata: dict[Stratum, tuple[list[float], list[float]]] = {}
    for stratum, overfitted, value in (one for training in values for one in training):
        strata.setdefault(stratum, ([], []))[overfitted].append(value)
    above, pairs, nets = 0.0, 0, 0
    for sound, broken in ((np.array(a), np.array(b)) for a, b in strata.values() if a and b):
        difference = broken[:, None] - sound
        above += float((difference > 0).sum() + (difference == 0).sum() / 2)
        pairs, nets = pairs + difference.size, nets + len(broken)
    return (above / pairs if pairs else float("nan")), nets


def interval(values: Sequence[Values]) -> tuple[float, float]:
    """5 % and 95 % of ``share_above`` over resampled trainings."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(values), size=len(values)) for _ in range(RESAMPLED)]
    shares = [share_above(values[i] for i in indices)[0] for indices in drawn]
    low, high = np.nanpercentile(shares, [5, 95])
    return float(low), float(high)


def table_of(kind: str, folder: Path) -> Iterator[Mapping[str, object]]:
    """A row for each curve and question."""
    rule: Callable[[Sequence[Row]], list[bool]] = declined if kind.startswith("robust") else collapsed
    found = [(table, rows, rule(rows)) for table, rows in trainings(folder, TABLES[kind])]
    print(f"{kind}: {len(found)} trainings, {sum(any(bad) for *_, bad in found)} of them overfit")
    for curve in CURVES:
        for when in (while_overfitted, an_epoch_before):
            values = [when(table, rows, bad, curve) for table, rows, bad in found]
            share, nets = share_above(values)
            if nets:
                low, high = interval(values)
                name = when.__name__.replace("_", " ")
                yield {
                    "kind": kind,
                    "curve": curve,
                    "when": name,
                    "nets": nets,
                    "share": share,
                    "low": low,
                    "high": high,
                }


def announcements(folder: Path) -> Iterator[Mapping[str, object]]:
    """Of each table: trainings, how many overfit for two epochs or to the end, and what the monitor's rules find."""
    for table in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        runs = [_after_the_warm_up(rows) for _, rows in trainings(folder, [table])]
        found = [TrainingRun(table, rows).onsets for rows in runs]
        lasting = [any(a and b for a, b in pairwise(collapsed(rows))) for rows in runs]
        ended = [declined(rows)[-1] and not bad for rows, bad in zip(runs, lasting, strict=True)]
        kinds = ((CATASTROPHIC, lasting), (ROBUST, ended))
        for name, truly in kinds if runs else ():
            announced = [name in onsets for onsets in found]
            both = sum(a and b for a, b in zip(announced, truly, strict=True))
            yield {"table": table, "kind": name, "trainings": len(runs), "overfit": sum(truly), "announced": both,
                   "false alarms": sum(announced) - both}  # fmt: skip


def _after_the_warm_up(rows: Sequence[Row]) -> Sequence[Row]:
    return [row for row in rows if WARM_UP not in row]


def _unannounced(row: Row) -> Row:
    """Without what the monitor logged, whose rules have changed since."""
    return {key: value for key, value in row.items() if not key.startswith("overfitting/") or key == WARM_UP}


def main() -> None:
    """Print the tables, and write the first where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = [row for kind in TABLES for row in table_of(kind, options.folder)]
    for row in rows:
        print("{kind:<28}{curve:<24}{when:<18}{nets:>4}  {share:.2f} ({low:.2f} to {high:.2f})".format_map(row))
    for row in announcements(options.folder):
        print("{table:<24}{kind:<26}{trainings:>3} trainings, {overfit:>2} overfit, {announced:>2} announced"
              ", {false alarms} falsely".format_map(row))  # fmt: skip
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()

"""Samples on disk, one file a batch, so that a killed run goes on where it stopped and processes share the work."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from energy_at.files import read_arrays, write_arrays, write_file
from energy_at.types import require, require_count

NAME = re.compile(r"(\d+)-(\d+)\.npz")


class Batch(NamedTuple):
    """Samples of consecutive indices.

    Args:
        index: [n], places in the run.
        image: [n, C, H, W], uint8.
        label: [n].
        energy: [n], E(x, y) at the end of the chain.
        target: [n], at which it was to stop; minus infinity without targets.
        steps: [n].
        chain: [n, T + 1], E(x, y) along the chain, not-a-number after its end.
        pictured: [p], places in the batch of the samples whose chains are pictured.
        stages: [p, 3, C, H, W], uint8, start, middle and end of these chains.
    """

    index: Tensor  # type: ignore[assignment] # a tuple's own index is not needed
    image: Tensor
    label: Tensor
    energy: Tensor
    target: Tensor
    steps: Tensor
    chain: Tensor
    pictured: Tensor
    stages: Tensor

    def part(self, start: int, stop: int) -> "Batch":
        """The samples at places start..stop-1 alone."""
        kept = (self.pictured >= start) & (self.pictured < stop)
        each = {name: tensor[start:stop] for name, tensor in self._asdict().items()}
        return Batch(**each | {"pictured": self.pictured[kept] - start, "stages": self.stages[kept]})


class BatchFiles:
    """The folder of a run's batches.

    Args:
        folder: made where it is missing.
        settings: everything that decides the samples, as plain values; a folder never holds samples of two settings.

    Raises:
        InputError: if the folder holds samples of other settings; the message names the first that differs.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "settings.json"
        settings = json.loads(json.dumps(settings))  # as the file gives them back
        if file.is_file():
            _require_same(json.loads(file.read_text()), settings, self.folder)
        else:
            write_file(file, json.dumps(settings, indent=2))

    def done(self) -> list[tuple[int, int]]:
        """First and last index of every file, in order."""
        names = (NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted((int(name[1]), int(name[2])) for name in names if name)

    def missing(self, n: int, batch_size: int, shard: tuple[int, int] = (0, 1)) -> list[Tensor]:
        """Indices of the samples that a process has yet to make, batch by batch.

        Args:
            n: samples of the whole run, at least 1.
            batch_size: samples at a time, at least 1; another than before is fine.
            shard: (rank, processes); which process makes a sample does not depend on what is done already.

        Raises:
            InputError: if a value is out of its range.
        """
        require_count("n", n, 10000)
        require_count("batch_size", batch_size, 100)
        rank, processes = shard
        done = torch.zeros(n, dtype=torch.bool)
        for first, last in self.done():
            done[first : last + 1] = True
        own = range(rank * batch_size, n, processes * batch_size)
        left = [low + (~done[low : low + batch_size]).nonzero()[:, 0] for low in own]
        return [run for indices in left for run in _runs(indices)]

    def keep(self, batch: Batch) -> None:
        """Write a batch as a whole or not at all, whenever the process ends."""
        first, last = int(batch.index[0]), int(batch.index[-1])
        write_arrays(self.folder / f"{first:08d}-{last:08d}.npz", batch._asdict())

    def read(self, n: int) -> Iterator[Batch]:
        """The samples 0..n-1 in order, each once, with no more than a file in memory.

        Raises:
            InputError: if one is missing, or a file is damaged.
        """
        wanted = 0
        for first, last in self.done():
            if first < n and last >= wanted:
                _require_whole(wanted, first, self.folder)
                arrays = read_arrays(self.folder / f"{first:08d}-{last:08d}.npz", Batch._fields)
                yield Batch(**arrays).part(wanted - first, n - first)
                wanted = last + 1
        _require_whole(wanted, n, self.folder)


def _runs(indices: Tensor) -> list[Tensor]:
    """Split increasing integers where one is left out."""
    cuts = (indices.diff() > 1).nonzero()[:, 0] + 1
    return [run for run in indices.tensor_split(cuts) if len(run)]


def _require_whole(wanted: int, first: int, folder: Path) -> None:
    require(first <= wanted, f"samples {wanted} to {first - 1} are missing in {folder}; run the same command again")


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    before, now = (dict(_flat(settings)) for settings in (before, now))
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        require(old == new, f"{folder} holds samples with {name} {old}, not {new}; choose another output folder")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

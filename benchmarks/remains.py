"""What a command has left in a folder, as values that compare: numbers, arrays and weights, without times."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

VARYING = re.compile(r"second|minute|time|checkpoint")  # durations, and files that name their folder in them
RUN, TABLE, OUT = "runs/digits_rsfgsm_der", "runs/reproduce/soak", "out"


@dataclass(frozen=True)
class Remains:
    """Of a command that has come to its end.

    Args:
        results: what compares, by file.
        left: files that should not be there.
    """

    results: Mapping[str, str]
    left: list[str]

    def differing(self, wanted: "Remains") -> list[str]:
        """Files that are missing, additional or of another content."""
        names = sorted(self.results.keys() | wanted.results.keys())
        return [name for name in names if self.results.get(name) != wanted.results.get(name)]


def remains(folder: Path, temporary: Path) -> Remains:
    """Read all results of a folder, wherever the command that was run there puts them."""
    results = {name: _digest(path) for name, path in _results(folder)}
    hidden = [path for path in folder.rglob(".*") if path.is_file()]
    return Remains(results, [str(path) for path in (*hidden, *temporary.iterdir())])


def last_run(folder: Path) -> Path | None:
    """The newest run of a training, which is begun anew where it was killed before its first checkpoint."""
    runs = sorted((folder / RUN).glob("version_*"), key=lambda path: int(path.name.removeprefix("version_")))
    return runs[-1] if runs else None


def _results(folder: Path) -> Iterator[tuple[str, Path]]:
    run = last_run(folder)
    for root in filter(None, (run, folder / OUT)):
        for path in sorted(root.rglob("*")):
            yield str(path.relative_to(root)), path
    yield "table", folder / TABLE / "soak.csv"
    for method in sorted((folder / TABLE).glob("*/seed0")):
        yield f"{method.parent.name}, judged", method / "last/evaluation.csv"
        parts = sorted(method.glob("part*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
        yield f"{method.parent.name}, trained", parts[-1]


def _digest(path: Path) -> str:
    """Of what a file says; the same for all files that are no results."""
    read = READERS.get(path.suffix)
    return sha256(repr(read(path)).encode()).hexdigest() if read and path.is_file() else ""


def _rows(path: Path) -> list[list[tuple[str, str]]]:
    """Whatever the order of the columns, which follows that of the first values."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [sorted((name, cell) for name, cell in row.items() if cell and not VARYING.search(name)) for row in rows]


def _plain(value: Any) -> Any:
    """Without what varies, and arrays as their bytes."""
    match value:
        case Mapping():
            return sorted((str(name), _plain(item)) for name, item in value.items() if not VARYING.search(str(name)))
        case list() | tuple():
            return [_plain(item) for item in value]
        case torch.Tensor():
            return _plain(value.numpy())
        case np.ndarray():
            return value.dtype, value.shape, value.tobytes()
    return value


def _checkpoint(path: Path) -> Any:
    content = torch.load(path, weights_only=True, map_location="cpu")
    return _plain({name: content[name] for name in ("epoch", "global_step", "state_dict", "optimizer_states")})


def _arrays(path: Path) -> Any:
    with np.load(path) as file:
        return _plain(dict(file))


READERS = {
    ".csv": _rows,
    ".json": lambda path: _plain(json.loads(path.read_text())),
    ".ckpt": _checkpoint,
    ".npz": _arrays,
    ".png": Path.read_bytes,
}

"""Files that are there as a whole or not at all."""

import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from energy_at.types import InputError


@contextmanager
def as_a_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside this one, which takes its place in the end; what fails leaves an earlier file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")  # processes of several machines may share the folder
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder where there is none.

    Args:
        path: of the file.
        content: text in UTF-8, or bytes.
    """
    with as_a_whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_arrays(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Write named tensors as an npz."""
    with as_a_whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{name: array.cpu().numpy() for name, array in arrays.items()})


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read named tensors from an npz.

    Args:
        path: of the file.
        names: of those that are wanted; all by default.

    Raises:
        InputError: if the file is missing or damaged, or holds no array of one of the names.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in names or file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); delete it and run the same command again") from error


def safe_name(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub("[^a-zA-Z0-9_.+-]", "_", name)

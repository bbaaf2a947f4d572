"""Listings of image files by the million: kept beside them, so that they are made once."""

import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from energy_at.data.folders import list_classes, list_images
from energy_at.files import read_arrays, write_arrays
from energy_at.reading import opened
from energy_at.types import InputError

SETTLED_NS = 2_000_000_000  # a folder changed later than that before it was listed may have changed unseen since


@dataclass(frozen=True)
class ImageFiles:
    """The images in the class folders of a folder, by their place in the order of class and name.

    Args:
        folder: of the class folders.
        classes: their sorted names.
        names: uint8, the names of all files one after another: a million strings would be copied by every worker.
        ends: int64 [N], where each of them ends.
        labels: int64 [N].
    """

    folder: Path
    classes: Sequence[str]
    names: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    def name(self, index: int) -> str:
        """CLASS/FILE."""
        start = self.ends[index - 1] if index else 0
        file = os.fsdecode(self.names[start : self.ends[index]].tobytes())
        return os.path.join(self.classes[self.labels[index]], file)

    def opened(self, index: int) -> AbstractContextManager[Image.Image]:
        """See ``reading.opened``."""
        return opened(self.folder / self.name(index))


def listed(folder: Path, cache: Path) -> ImageFiles:
    """The images of a folder; from the cache where no class folder has changed since.

    Args:
        folder: of the class folders.
        cache: folder of the listing; if it cannot be written, a warning is given and nothing is kept.

    Raises:
        InputError: if the folder or a class has no images.
    """
    classes = list_classes(folder)
    kept, state = cache / f"{folder.name}-listing.npz", _state(folder, classes)
    files = _kept(kept, folder, classes, state)
    if files is None:
        files = _listed(folder, classes)
        _keep(kept, files, state)
    return files


def _listed(folder: Path, classes: list[str]) -> ImageFiles:
    paths, labels = list_images(folder, classes)
    names = [os.fsencode(os.path.basename(path)) for path in paths]
    ends = np.cumsum([len(name) for name in names])
    return ImageFiles(folder, classes, np.frombuffer(b"".join(names), np.uint8), ends, labels)


def _state(folder: Path, classes: list[str]) -> np.ndarray:
    """Which folders these are, and when something was last added to, removed from or renamed in each of them."""
    stats = [os.stat(folder / name) for name in ("", *classes)]
    return np.array([(stat.st_ino, stat.st_mtime_ns) for stat in stats]).astype(np.int64)


def _kept(path: Path, folder: Path, classes: list[str], state: np.ndarray) -> ImageFiles | None:
    try:
        found = {name: array.numpy() for name, array in read_arrays(path).items()}
    except InputError:  # there is none, or a damaged one
        return None
    same = from_bytes(found["classes"]) == classes and np.array_equal(found["state"], state)
    if not same or path.stat().st_mtime_ns - state[:, 1].max() < SETTLED_NS:
        return None
    labels = np.repeat(np.arange(len(classes)), found["counts"])
    return ImageFiles(folder, classes, found["names"], found["ends"], labels)


def _keep(path: Path, files: ImageFiles, state: np.ndarray) -> None:
    arrays = {
        "classes": as_bytes(files.classes),
        "state": state,
        "counts": np.bincount(files.labels, minlength=len(files.classes)),
        "names": files.names,
        "ends": files.ends,
    }
    try:
        write_arrays(path, {name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    except OSError as error:
        warnings.warn(f"the listing of {files.folder} is not kept in {path.parent} ({error})", stacklevel=3)


def as_bytes(names: Sequence[str]) -> np.ndarray:
    """Names as one uint8 array, whatever bytes they hold."""
    return np.frombuffer(b"\0".join(map(os.fsencode, names)), np.uint8)


def from_bytes(array: np.ndarray) -> list[str]:
    """See ``as_bytes``."""
    return [os.fsdecode(name) for name in array.tobytes().split(b"\0")]

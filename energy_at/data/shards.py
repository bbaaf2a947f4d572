"""Images packed in a few large files, which file systems of clusters serve better than a million small ones.

A shard is a plain tar file of ``CLASS/FILE`` members, images as they are; tar and the webdataset package read it too.
An index says where each image begins, so that images are read by number, in any order and from any process.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from energy_at.data.listing import ImageFiles, as_bytes, from_bytes
from energy_at.files import as_a_whole, read_arrays, write_arrays
from energy_at.reading import opened, readable
from energy_at.types import require

AGAIN = "pack the images again with energy-at pack"
_READ_AT_ONCE = 64  # files of a network file system, each of which is waited for


class ImageShards:
    """The images of a split that ``pack`` has written, by their number; they may be read from many processes.

    Args:
        folder: of the shards and their indices.
        split: "train", or the name of the folder with the test images.

    Raises:
        InputError: if the index or a shard is missing, or is not what was packed.
    """

    def __init__(self, folder: Path, split: str) -> None:
        index = _index_of(folder, split)
        require(index.is_file(), f"there is no {index}; {AGAIN}")
        found = {name: array.numpy() for name, array in read_arrays(index).items()}
        self.classes = from_bytes(found["classes"])
        self.labels = np.repeat(np.arange(len(self.classes)), found["counts"])
        self.shards = [_shard_of(folder, split, number) for number in range(len(found["firsts"]))]
        self.firsts, self.starts, self.sizes = found["firsts"], found["starts"], found["sizes"]
        self._open: dict[int, int] = {}
        for path, size in zip(self.shards, found["shard_sizes"], strict=True):
            there = path.stat().st_size if path.is_file() else 0
            require(there == size, f"{path} has {there} bytes where {size} were packed; {AGAIN}")

    def opened(self, index: int) -> AbstractContextManager[Image.Image]:
        """See ``reading.opened``."""
        shard = int(np.searchsorted(self.firsts, index, side="right")) - 1
        content = os.pread(self._file(shard), int(self.sizes[index]), int(self.starts[index]))
        return opened(io.BytesIO(content), f"image {index - self.firsts[shard]} of {self.shards[shard]}")

    def _file(self, shard: int) -> int:
        """A shard that stays open: looking for a name again and again is what burdens a file system."""
        if shard not in self._open:
            with readable(self.shards[shard], AGAIN):
                self._open[shard] = os.open(self.shards[shard], os.O_RDONLY)
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        """Without open files, which another process does not have."""
        return vars(self) | {"_open": {}}


def pack(
    files: ImageFiles, folder: Path, split: str, per_shard: int, on_images: Callable[[int], Any] = lambda count: None
) -> None:
    """Write the shards and the index of a split; shards that are there already are kept.

    Args:
        files: the images.
        folder: of the shards.
        split: names them.
        per_shard: images in each, at least 1.
        on_images: told how many images have been packed since the last time.

    Raises:
        InputError: if a file is no image, or a shard that is there holds other images.
    """
    places, total = [], len(files.labels)
    firsts = range(0, total, per_shard)
    shards = [_shard_of(folder, split, number) for number in range(len(firsts))]
    for path, first in zip(shards, firsts, strict=True):
        part = range(first, min(first + per_shard, total))
        if not path.is_file():
            _write(path, files, part)
        places += _places(path, [files.name(index) for index in part])
        on_images(len(part))
    index = {
        "classes": as_bytes(files.classes),
        "counts": np.bincount(files.labels, minlength=len(files.classes)),
        "firsts": np.array(firsts),
        "starts": np.array([start for start, _ in places]),
        "sizes": np.array([size for _, size in places]),
        "shard_sizes": np.array([path.stat().st_size for path in shards]),
    }
    write_arrays(_index_of(folder, split), {name: torch.from_numpy(array.copy()) for name, array in index.items()})


def _write(path: Path, files: ImageFiles, part: Sequence[int]) -> None:
    with as_a_whole(path) as temporary, tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as shard:
        for index, content in _contents(files, part):
            member = tarfile.TarInfo(files.name(index))
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


def _contents(files: ImageFiles, part: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    def content(index: int) -> bytes:
        path = files.folder / files.name(index)
        with readable(path, "replace or remove this image"):
            found = path.read_bytes()
        with opened(io.BytesIO(found), str(path)):
            return found

    with ThreadPoolExecutor(16) as pool:
        for start in range(0, len(part), _READ_AT_ONCE):
            some = part[start : start + _READ_AT_ONCE]
            yield from zip(some, pool.map(content, some), strict=True)


def _places(path: Path, names: list[str]) -> list[tuple[int, int]]:
    """Where each image of a shard begins, and its bytes."""
    with readable(path, "remove it and pack again"), tarfile.open(path, "r:") as shard:
        members = list(shard)
    require(
        [member.name for member in members] == names,
        f"{path} holds other images than the folder has now; remove it and pack again, or choose another output",
    )
    return [(member.offset_data, member.size) for member in members]


def _shard_of(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.tar"


def _index_of(folder: Path, split: str) -> Path:
    return folder / f"{split}.npz"

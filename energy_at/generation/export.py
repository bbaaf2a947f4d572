"""Samples as files for other software: one npz, or a folder of PNG images."""

import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from PIL import Image
from torch import Tensor

from energy_at.files import as_a_whole, writing
from energy_at.generation.batch_files import Batch


def write_npz(path: Path, batches: Iterable[Batch], n: int) -> None:
    """One npz of ``image``, uint8 [n, H, W, C], and ``label``, int64 [n], with no more than a batch in memory.

    The training data's ``synthetic`` option reads it.

    Args:
        path: of the file, written as a whole or not at all.
        batches: of all samples in order, at least one.
        n: their number.
    """
    with as_a_whole(path) as temporary:
        _write_arrays(temporary, batches, n)


def write_png(folder: Path, batches: Iterable[Batch], class_names: Sequence[str]) -> None:
    """``folder/<class>/<index>.png``, the folder as a whole or not at all; an earlier one is replaced.

    Args:
        folder: of the images, in which no other process writes; what a killed one has left is removed.
        batches: of all samples.
        class_names: of the labels.

    Raises:
        WriteError: if the disk is full, or an image cannot be written for another reason of the system's.
    """
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        with writing(folder):
            _write_pictures(temporary, batches, class_names)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_pictures(folder: Path, batches: Iterable[Batch], class_names: Sequence[str]) -> None:
    for name in class_names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for batch in batches:
        for index, image, label in zip(batch.index.tolist(), batch.image, batch.label.tolist(), strict=True):
            picture(image).save(folder / class_names[label] / f"{index:08d}.png")


def picture(image: Tensor) -> Image.Image:
    """A Pillow image of one image, uint8 [C, H, W] with one channel or three."""
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _write_arrays(path: Path, batches: Iterable[Batch], n: int) -> None:
    labels: list[np.ndarray] = []
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("image.npy", "w", force_zip64=True) as file:
            for batch in batches:
                images = batch.image.permute(0, 2, 3, 1).contiguous().numpy()
                if not labels:
                    header = {"descr": "|u1", "fortran_order": False, "shape": (n, *images.shape[1:])}
                    npy.write_array_header_1_0(file, header)
                file.write(images.tobytes())
                labels.append(batch.label.numpy())
        content = io.BytesIO()
        npy.write_array(content, np.concatenate(labels))
        archive.writestr("label.npy", content.getvalue())

"""Files that others have made, above all their images: opened with care, and refused in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from energy_at.files import WriteError
from energy_at.types import InputError, require

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
FILES = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} images"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # also under another's suffix; some others have Pillow run programs
REMEDY = "replace or remove this image"


@contextmanager
def readable(path: Path, remedy: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is fetched or read into an ``InputError``.

    Args:
        path: the file or folder being read.
        remedy: what the user can do, an imperative clause.

    Raises:
        InputError: in place of every other exception but ``WriteError``.
    """
    try:
        yield
    except (InputError, WriteError):
        raise
    except Exception as error:  # readers fail on damaged input with anything, from zlib.error to AttributeError
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(f"{path} is missing or damaged ({reason}); {remedy}") from error


@contextmanager
def opened(file: str | Path | IO[bytes], name: str | None = None) -> Iterator[Image.Image]:
    """An image file, of which Pillow decodes what is asked of it.

    Args:
        file: a JPEG, PNG, WebP, GIF or BMP image, whatever its suffix.
        name: of what has no path, for the message.

    Raises:
        InputError: if that is not so, or if what is done with the image within fails.
    """
    with readable(Path(name or str(file)), REMEDY), Image.open(file, formats=FORMATS) as image:
        yield image


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in eight bits a channel: of 16 the upper eight are kept, where Pillow alone cuts at 255.

    Args:
        image: grey, palette, CMYK, with or without transparency, which is dropped.
        mode: "RGB" or "L".
    """
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def fitted(file: str | Path, shape: tuple[int, int, int]) -> np.ndarray:
    """An image file, cropped in its middle and resized.

    Args:
        file: see ``opened``.
        shape: (C, H, W); with one channel it becomes grey, else RGB.

    Returns:
        uint8 [C, H, W].

    Raises:
        InputError: if it is damaged.
    """
    channels, height, width = shape
    with opened(file) as image:
        whole = ImageOps.fit(in_mode(image, "L" if channels == 1 else "RGB"), (width, height))
        return np.asarray(whole).reshape(height, width, channels).transpose(2, 0, 1)


def is_image(name: str) -> bool:
    """Whether a file is called as images are; hidden ones, such as those that other systems leave behind, are none."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def images_in(folder: Path) -> list[str]:
    """The sorted paths of a folder's image files.

    Raises:
        InputError: if something with such a name is no file.
    """
    if not folder.is_dir():
        return []
    with readable(folder, "correct the folder"), os.scandir(folder) as entries:
        images = [entry for entry in entries if is_image(entry.name)]
    for entry in images:
        _require_file(entry)
    return sorted(entry.path for entry in images)


def images_below(folder: str | Path) -> list[Path]:
    """The sorted paths of the image files of a folder and its subfolders.

    Raises:
        InputError: if there are none.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if is_image(path.name))
    require(len(paths) > 0, f"{folder} holds no {FILES}; give a folder that does")
    return paths


def _require_file(entry: os.DirEntry[str]) -> None:
    """Refuse folders, pipes, and links that lead nowhere or round in a circle."""
    with readable(Path(entry.path), REMEDY):
        if not entry.is_file():
            raise FileNotFoundError("there is no file behind this name")

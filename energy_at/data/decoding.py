"""Image files to uint8 arrays, decoded once and then read from a cache beside them."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms.v2 import functional as TF
from tqdm import tqdm

from energy_at.files import as_a_whole
from energy_at.reading import in_mode, opened
from energy_at.types import require

CACHE = ".energy_at_cache"
_CHUNK = 128


def resize_crop(image: Image.Image, resize: int, size: int) -> Image.Image:
    """Resize the shorter side (bilinear, antialiased) and crop the centre.

    Args:
        image: any size.
        resize: pixels of the shorter side afterwards.
        size: pixels of the square crop, at most ``resize``.
    """
    return TF.center_crop(TF.resize(image, [resize]), [size, size])


def decode(files: Sequence[str], size: tuple[int, int], resize: bool, title: str) -> np.ndarray:
    """Decode files on all cores, with a progress bar.

    Args:
        files: image files; grey, palette, CMYK and transparent ones become RGB.
        size: (height, width) in pixels.
        resize: whether images of another size are resized (shorter side, then centre crop) or refused.
        title: shown beside the progress bar.

    Returns:
        uint8 ``[N, 3, H, W]``.

    Raises:
        InputError: if a file is damaged, or of another size and not to be resized.
    """
    images = np.empty((len(files), 3, *size), np.uint8)

    def fill(start: int) -> int:
        chunk = files[start : start + _CHUNK]
        for place, file in enumerate(chunk, start):
            images[place] = _read_image(file, size, resize).transpose(2, 0, 1)
        return len(chunk)

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool, tqdm(total=len(files), desc=title) as bar:
        for done in pool.map(fill, range(0, len(files), _CHUNK)):
            bar.update(done)
    return images


def decode_cached(files: Sequence[str], size: tuple[int, int], resize: bool, root: Path, title: str) -> np.ndarray:
    """Like ``decode``, but from the cache under ``root`` if no file was added, removed or changed since.

    Args:
        files: image files.
        size: (height, width) in pixels.
        resize: whether images of another size are resized or refused.
        root: the folder that gets the cache; if it cannot be written, a warning is given and nothing is cached.
        title: names the progress bar and the cache file.

    Returns:
        uint8 ``[N, 3, H, W]``.

    Raises:
        InputError: if a file is damaged, or of another size and not to be resized.
    """
    stem = f"{title}-{size[0]}x{size[1]}-"
    cache = root / CACHE / f"{stem}{_fingerprint(files, root, resize)}.npy"
    try:
        images = np.load(cache, allow_pickle=False)
    except (OSError, ValueError):  # absent, or cut short
        images = decode(files, size, resize, f"decoding {title}")
        _save(images, cache, stem)
    return images


def _read_image(file: str, size: tuple[int, int], resize: bool) -> np.ndarray:
    with opened(file) as stored:
        image = in_mode(stored, "RGB")
        image.load()
    if (image.height, image.width) != size:
        require(
            resize,
            f"{file} is {image.width}x{image.height} pixels where {size[1]}x{size[0]} was expected;"
            " give image_size to resize all images, or replace it",
        )
        image = resize_crop(image, min(size), min(size))
    return np.asarray(image)


def _fingerprint(files: Sequence[str], root: Path, resize: bool) -> str:
    digest = hashlib.sha256(f"2 {resize}".encode())  # the number of what this module makes of a file
    for file in files:
        stat = os.stat(file)
        digest.update(os.fsencode(f"{os.path.relpath(file, root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
    return digest.hexdigest()[:20]


def _save(images: np.ndarray, cache: Path, stem: str) -> None:
    """Written under a temporary name first, so that no other process ever reads half a file."""
    try:
        outdated = [old for old in cache.parent.glob(f"{stem}*.npy") if old != cache]
        with as_a_whole(cache) as temporary, temporary.open("wb") as file:
            np.save(file, images, allow_pickle=False)
        for old in outdated:
            old.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"the decoded images are not cached in {cache.parent} ({error})", stacklevel=3)

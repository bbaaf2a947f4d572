"""Extra training images from a file, such as those drawn from a diffusion model."""

from pathlib import Path

import numpy as np

from energy_at.data.checks import check_arrays
from energy_at.reading import readable
from energy_at.types import require


def read_synthetic(path: Path, shape: tuple[int, int, int], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read an npz file with the arrays ``image`` and ``label`` (the format of arXiv 2302.04638's generated sets).

    Args:
        path: file with ``image``, uint8 ``[M, H, W, C]``, and ``label``, integers ``[M]``.
        shape: expected (C, H, W).
        num_classes: number of classes.

    Returns:
        Images, uint8 ``[M, C, H, W]``, and labels ``[M]``.

    Raises:
        InputError: if the file is missing, damaged, or holds anything else.
    """
    remedy = "give synthetic= an npz file with the arrays 'image' (uint8 [M, H, W, C]) and 'label' ([M])"
    images, labels = _read(path, remedy, "label")
    check_arrays(images, labels, shape, num_classes, path)
    return images, labels


def read_images(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The images of such a file, whatever labels it has.

    Args:
        path: file with ``image``, uint8 ``[M, H, W, C]``.
        shape: expected (C, H, W).

    Returns:
        uint8 ``[M, C, H, W]``, contiguous.

    Raises:
        InputError: if the file is missing, damaged, or holds anything else.
    """
    remedy = "give an npz file with the array 'image' (uint8 [M, H, W, C])"
    images = np.ascontiguousarray(_read(path, remedy)[0])
    check_arrays(images, np.zeros(len(images), int), shape, 1, path)
    return images


def _read(path: Path, remedy: str, *others: str) -> tuple[np.ndarray, ...]:
    """The images [M, C, H, W], and other arrays of the file."""
    with readable(path, remedy), np.load(path, allow_pickle=False) as file:
        images, *rest = (file[name] for name in ("image", *others))
    require(images.ndim == 4, f"{path} holds images of shape {list(images.shape)}; {remedy}")
    return images.transpose(0, 3, 1, 2), *rest

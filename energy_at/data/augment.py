"""Crops and flips of a whole batch: drawn on the CPU from a seed, applied on whatever device holds the images."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def draw_crop_flip(rng: np.random.Generator, count: int, padding: int, flip: bool) -> tuple[Tensor, Tensor]:
    """Draw one crop offset and one flip for each image.

    Args:
        rng: source of randomness.
        count: number of images N.
        padding: pixels of zero padding on each side; offsets are uniform on {0, ..., 2 padding}.
        flip: whether images are mirrored, each with probability 1/2.

    Returns:
        Offsets (row, column), int64 ``[N, 2]``, and flips, bool ``[N]``.
    """
    offsets = rng.integers(0, 2 * padding + 1, size=(count, 2))
    flips = rng.random(count) < (0.5 if flip else 0.0)
    return torch.from_numpy(offsets), torch.from_numpy(flips)


def crop_flip(images: Tensor, offsets: Tensor, flips: Tensor, padding: int) -> Tensor:
    """Pad every image with zeros, crop it back to its size at its own offset, and mirror it where asked.

    Args:
        images: ``[N, C, H, W]``, any dtype.
        offsets: top-left corner (row, column) of each crop in the padded image, int64 ``[N, 2]`` in [0, 2 padding].
        flips: bool ``[N]``; true mirrors the crop left to right.
        padding: pixels added on each side.

    Returns:
        Images of the same shape, dtype and device.
    """
    count, channels, height, width = images.shape
    padded = F.pad(images, (padding,) * 4).flatten(2)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    columns = offsets[:, 1:] + torch.where(flips[:, None], columns.flip(0), columns)
    pixels = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]
    index = pixels.view(count, 1, -1).expand(-1, channels, -1)
    return padded.gather(2, index).view(images.shape)

"""Cutout of a whole batch: drawn on the CPU from a seed, applied on whatever device holds the images."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from energy_at.types import require


def check_cutout(cutout: int, augment: bool) -> None:
    """Refuse a square that cannot be cut out.

    Args:
        cutout: side of the square in pixels; 0 for none.
        augment: whether training images are augmented at all.

    Raises:
        InputError: if the side is negative, or training images are not augmented.
    """
    whole = isinstance(cutout, int) and cutout >= 0
    require(whole, f"cutout is {cutout}, expected the side of a square in whole pixels, or 0 for none")
    require(augment or cutout == 0, f"cutout is {cutout}, but augment is false; set augment: true, or leave cutout out")


def draw_centres(rng: np.random.Generator, count: int, height: int, width: int) -> Tensor:
    """Draw the centre of one square for each image, uniform over its pixels.

    Args:
        rng: source of randomness.
        count: number of images N.
        height: of the images in pixels.
        width: likewise.

    Returns:
        Centres (row, column), int64 ``[N, 2]``.
    """
    return torch.from_numpy(rng.integers((0, 0), (height, width), size=(count, 2)))


def cut_out(images: Tensor, centres: Tensor, side: int, mean: Sequence[float]) -> Tensor:
    """Fill one square of each image with the mean colour (Cutout, arXiv 1708.04552).

    The square may stick out over the border. The paper fills it with 0 after normalisation, which is the data set's
    mean colour before.

    Args:
        images: uint8 ``[N, C, H, W]``.
        centres: (row, column) of each square, int64 ``[N, 2]``; of an even side, the pixel right below the middle.
        side: of the square in pixels.
        mean: [C], the data set's mean colour in [0, 1].

    Returns:
        Images of the same shape, dtype and device.
    """

    def inside(centre: Tensor, length: int) -> Tensor:
        distance = torch.arange(length, device=images.device) - (centre[:, None] - side // 2)
        return (distance >= 0) & (distance < side)

    height, width = images.shape[2:]
    square = inside(centres[:, 0], height)[:, None, :, None] & inside(centres[:, 1], width)[:, None, None, :]
    colour = (255 * torch.tensor(mean, device=images.device)).round().to(images.dtype)
    return torch.where(square, colour.view(1, -1, 1, 1), images)

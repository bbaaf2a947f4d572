"""Images of a folder without classes, for what needs none."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from energy_at.data.loaders import FileLoader
from energy_at.data.sampling import ChosenBatches
from energy_at.reading import fitted, images_below
from energy_at.types import require


def folder_images(
    folder: str | Path,
    image_shape: tuple[int, int, int],
    batch_size: int = 500,
    count: int | None = None,
    seed: int = 0,
) -> FileLoader[ChosenBatches]:
    """The images of a folder and its subfolders in the order of their paths, cropped in their middle and resized.

    Args:
        folder: of .jpg, .jpeg, .png, .webp or .bmp files.
        image_shape: (C, H, W) that they get; with one channel they become grey.
        batch_size: images a batch.
        count: how many, drawn at random; all of them where there are not more, or for None.
        seed: of that draw.

    Returns:
        A loader of uint8 images [N, C, H, W] and labels [N], all 0, that says nothing of what is shown.

    Raises:
        InputError: if there are no images, or the count is below 1; while it is read, if one is damaged.
    """
    paths = images_below(folder)
    require(count is None or count >= 1, f"count is {count}; ask for at least 1 image, or leave it out")

    def read(index: int, epoch: int) -> tuple[Tensor, int]:
        return torch.from_numpy(fitted(paths[index], image_shape).copy()), 0

    drawn = np.random.default_rng(seed).permutation(len(paths))[:count]
    return FileLoader(read, ChosenBatches(np.sort(drawn), batch_size), num_workers=0)

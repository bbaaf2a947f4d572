"""Images without classes, for what needs none."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from energy_at.data.loaders import FileLoader, Loader, MemoryLoader
from energy_at.data.sampling import ChosenBatches
from energy_at.data.synthetic import read_images
from energy_at.reading import fitted, images_below
from energy_at.types import require


def unlabelled_images(
    source: str | Path,
    image_shape: tuple[int, int, int],
    batch_size: int = 500,
    count: int | None = None,
    seed: int = 0,
) -> Loader[ChosenBatches]:
    """The images of a folder and its subfolders, in the order of their paths, or of an npz file such as generated ones.

    Args:
        source: folder of .jpg, .jpeg, .png, .webp or .bmp files, which are cropped in their middle and resized, or an
            npz file with ``image``, uint8 [N, H, W, C], of the shape asked for.
        image_shape: (C, H, W) that they get; with one channel they become grey.
        batch_size: images a batch.
        count: how many, drawn at random; all of them where there are not more, or for None.
        seed: of that draw.

    Returns:
        A loader of uint8 images [N, C, H, W] and labels [N], all 0, that say nothing of what is shown.

    Raises:
        InputError: if there are no images or others, or the count is below 1; while it is read, if one is damaged.
    """
    source = Path(source)
    require(count is None or count >= 1, f"count is {count}; ask for at least 1 image, or leave it out")
    if source.suffix == ".npz":
        images = torch.from_numpy(read_images(source, image_shape))
        chosen = ChosenBatches(_drawn(len(images), count, seed), batch_size)
        return MemoryLoader(images, torch.zeros(len(images), dtype=torch.int64), chosen)
    require(
        not (source / "generation.json").is_file(),
        f"{source} holds more than the images that were generated; give {source / 'images.npz'} or {source / 'images'}",
    )
    paths = images_below(source)

    def read(index: int, epoch: int) -> tuple[Tensor, int]:
        return torch.from_numpy(fitted(paths[index], image_shape).copy()), 0

    return FileLoader(read, ChosenBatches(_drawn(len(paths), count, seed), batch_size), num_workers=0)


def _drawn(images: int, count: int | None, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(images)[:count])

"""Fashion-MNIST."""

from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

from energy_at.data.downloaded import REMEDY, DownloadedData
from energy_at.data.memory import Arrays
from energy_at.reading import readable
from energy_at.types import require


class FashionMNIST(DownloadedData):
    """Fashion-MNIST: 60,000 training and 10,000 test grey images of 28x28 pixels in ten classes (arXiv 1708.07747).

    By default each image is framed by two black pixels to 32x32, so that networks for 32x32 images fit; ``mean`` and
    ``std`` are those of the framed images. Augmentation: shifts by up to two pixels, and flips.

    Args:
        frame: whether images are framed to 32x32.
        kwargs: see ``InMemoryData``.

    Raises:
        InputError: if an argument is out of range.
    """

    location = "FashionMNIST/raw"
    num_classes = 10
    class_names = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    padding = 2

    def __init__(self, root: str | Path = "data", *, frame: bool = True, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self.frame = 2 if frame else 0
        self.image_shape = (1, 32, 32) if frame else (1, 28, 28)
        self.mean, self.std = ((0.2190,), (0.3318,)) if frame else ((0.2860,), (0.3530,))

    def _open(self, split: str, download: bool) -> Arrays:
        part = "train" if split == "train" else "t10k"
        files = [self.root / self.location / f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if download and not all(file.is_file() for file in files):
            datasets.FashionMNIST(self.root, download=True)
        images, labels = map(_read_idx, files)
        require(
            images.ndim == 3 and labels.shape == images.shape[:1],
            f"{files[0]} has shape {images.shape} and {files[1].name} {labels.shape}; {REMEDY}",
        )
        border = (self.frame, self.frame)
        return np.pad(images, ((0, 0), border, border))[:, None], labels


def _read_idx(path: Path) -> np.ndarray:
    with readable(path, REMEDY):
        return read_sn3_pascalvincent_tensor(str(path)).numpy()

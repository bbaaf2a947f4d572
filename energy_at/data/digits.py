"""scikit-learn's digits: a real data set that needs no download."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from energy_at.data.memory import Arrays, InMemoryData
from energy_at.data.sampling import held_out
from energy_at.types import require


class Digits(InMemoryData):
    """1,437 training and 360 test images of handwritten digits, 8x8 pixels, one channel (UCI, via scikit-learn).

    The data set has no official test part: a fixed stratified fifth is the test set. Its grey levels 0 to 16 become
    0 to 255. Augmentation, off by default: shifts by up to one pixel.

    Args:
        batch_size: training images per process and step; the global batch is this times the number of processes.
        kwargs: see ``InMemoryData``.

    Raises:
        InputError: if an argument is out of range, or says where the images are.
    """

    num_classes = 10
    class_names = tuple("0123456789")
    image_shape = (1, 8, 8)
    mean = (0.3053,)
    std = (0.3761,)
    padding = 1
    flip = False

    def __init__(
        self, batch_size: int = 64, *, val_size: int | float = 0.1, augment: bool = False, **kwargs: Any
    ) -> None:
        for needless in ("root", "download"):
            told = f"Digits takes no {needless}: its images come with scikit-learn; leave it out"
            require(needless not in kwargs, told)
        root = "sklearn.datasets"
        super().__init__(root, download=False, batch_size=batch_size, val_size=val_size, augment=augment, **kwargs)

    def _read(self, split: str) -> Arrays:
        digits = load_digits()
        images = np.rint(digits.images[:, None] * (255 / 16)).astype(np.uint8)
        train, test = held_out(digits.target, 360)
        chosen = test if split == "test" else train
        return images[chosen], digits.target[chosen]

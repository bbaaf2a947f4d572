"""Photographs to corrupt."""

from functools import cache

import numpy as np
from sklearn.datasets import load_sample_image


@cache
def photographs():
    """Sixteen parts of scikit-learn's photographs, uint8 [16, 3, 32, 32], of a tenth of their size."""
    large = [load_sample_image(name)[:420, :640] for name in ("china.jpg", "flower.jpg")]
    small = [image.reshape(42, 10, 64, 10, 3).mean(axis=(1, 3)) for image in large]
    parts = [image[top : top + 32, left : left + 32] for image in small for top in (0, 10) for left in (0, 9, 20, 32)]
    return np.rint(np.stack(parts)).astype(np.uint8).transpose(0, 3, 1, 2)


def floats():
    """The same, float64 [16, 32, 32, 3] in [0, 1]."""
    return photographs().transpose(0, 2, 3, 1) / 255


def rng(seed=0):
    return np.random.default_rng(seed)

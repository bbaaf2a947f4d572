"""Blur; arguments as ``energy_at.corruptions`` says, lengths in pixels."""

import numpy as np
from scipy.ndimage import correlate

from energy_at.corruptions.filters import eight_bits, smoothed, streaked, zoomed


def gaussian_blur(x: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian."""
    return smoothed(x, sigma)


def defocus_blur(x: np.ndarray, rng: np.random.Generator, radius: float, sigma: float) -> np.ndarray:
    """Convolve with a disk whose rim is softened by a Gaussian of three pixels."""
    return correlate(x, _disk(radius, sigma)[None, :, :, None], mode="mirror")


def glass_blur(x: np.ndarray, rng: np.random.Generator, sigma: float, times: int) -> np.ndarray:
    """Smooth, take every pixel from a random place at most one row above and one column left, and smooth again."""
    x = eight_bits(smoothed(x, sigma)) / 255
    for _ in range(times):
        x = _jumbled(x, rng)
    return smoothed(x, sigma)


def motion_blur(x: np.ndarray, rng: np.random.Generator, radius: int, sigma: float) -> np.ndarray:
    """Smear each image in its own direction, uniform within 45 degrees of the horizontal."""
    return streaked(x, rng.uniform(-45, 45, len(x)), radius, sigma)


def zoom_blur(x: np.ndarray, rng: np.random.Generator, end: float) -> np.ndarray:
    """The mean of the image and of its enlargements by 1, 1.01, 1.02, ... below ``end``."""
    factors = np.arange(1, end, 0.01)
    return (x + sum(zoomed(x, factor) for factor in factors)) / (len(factors) + 1)


def _disk(radius: float, sigma: float) -> np.ndarray:
    places = np.arange(-int(radius) - 1, int(radius) + 2)
    disk = (places[:, None] ** 2 + places**2 <= radius**2).astype(float)
    bell = np.exp(-(np.array([[1, 0, 1]]) / sigma**2) / 2)
    rim = bell.T @ bell / bell.sum() ** 2
    return correlate(disk / disk.sum(), rim, mode="constant")


def _jumbled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels are copied, not exchanged: in the published code the second half of the exchange has no effect."""
    count, height, width = x.shape[:3]
    above, left = rng.integers(0, 2, size=(2, count, height, width))
    rows, columns = np.arange(height)[:, None], np.arange(width)
    inside = (rows >= 2) & (columns >= 2)  # the published loops leave two rows and columns alone
    return x[np.arange(count)[:, None, None], rows - above * inside, columns - left * inside]

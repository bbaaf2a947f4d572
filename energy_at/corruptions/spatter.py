"""Drops of water and splashes of mud on the lens; arguments as ``energy_at.corruptions`` says."""

import numpy as np
from scipy.ndimage import correlate, distance_transform_edt, label, uniform_filter

from energy_at.corruptions.filters import luminance, smoothed

WATER = np.array([175, 238, 238]) / 255
MUD = np.array([63, 42, 20]) / 255
_EMBOSS = np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])
_SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
_FARTHEST = 20


def spatter(
    x: np.ndarray,
    rng: np.random.Generator,
    mean: float,
    std: float,
    sigma: float,
    least: float,
    strength: float,
    mud: bool,
) -> np.ndarray:
    """Lay smooth blobs over the image.

    Args:
        x: images.
        rng: source of randomness.
        mean: of the Gaussian noise of which blobs are made.
        std: its standard deviation.
        sigma: of the Gaussian that smooths it, in pixels.
        least: values below are no blob.
        strength: of water's colour; of mud, sigma of the Gaussian that smooths the blobs, in pixels.
        mud: whether it is mud.
    """
    liquid = smoothed(rng.normal(mean, std, size=(*x.shape[:3], 1)), sigma)
    if mud:
        cover = smoothed((liquid > least).astype(float), strength)
        cover[cover < 0.8] = 0
        return x * (1 - cover) + cover * _colour(MUD, x)
    shine = _shine(np.where(liquid < least, 0, liquid)[..., 0])[..., None]
    return x + strength * shine * _colour(WATER, x)


def _colour(colour: np.ndarray, x: np.ndarray) -> np.ndarray:
    return luminance(colour[None]) if x.shape[-1] == 1 else colour


def _shine(liquid: np.ndarray) -> np.ndarray:
    """How water ``[N, H, W]`` catches light from the upper left, in [0, 1]: embossed by the distance from its edges."""
    levels = np.clip(255 * liquid, 0, 255).astype(np.uint8)
    height = np.minimum(_distances(edges(levels, 50, 150)), _FARTHEST)
    height = _equalized(uniform_filter(height, 3, mode="mirror", axes=(1, 2)).astype(np.uint8))
    height = np.clip(correlate(height, _EMBOSS[None], mode="mirror"), 0, 255)
    light = levels * np.rint(uniform_filter(height, 3, mode="mirror", axes=(1, 2)))
    most = light.max(axis=(1, 2), keepdims=True)
    return light / np.where(most > 0, most, 1)


def edges(levels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Canny's edges: ridges of the gradient that are steeper than ``low`` and touch one steeper than ``high``.

    Args:
        levels: uint8 ``[N, H, W]``.
        low: of |dx| + |dy| by Sobel's filters.
        high: likewise.

    Returns:
        bool ``[N, H, W]``.
    """
    right, down = (correlate(levels.astype(float), filter[None], mode="nearest") for filter in (_SOBEL, _SOBEL.T))
    steepness = abs(right) + abs(down)
    candidates = _ridges(right, down, steepness) & (steepness > low)
    within_images = np.zeros((3, 3, 3), int)
    within_images[1] = 1
    groups, _ = label(candidates, within_images)
    return np.isin(groups, np.unique(groups[candidates & (steepness > high)])) & candidates


def _ridges(right: np.ndarray, down: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Where the gradient is steepest along its own direction, of which there are four."""
    padded = np.pad(steepness, ((0, 0), (1, 1), (1, 1)))

    def beside(rows: int, columns: int) -> np.ndarray:
        height, width = steepness.shape[1:]
        return padded[:, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    def top(rows: int, columns: int, also_equal: bool) -> np.ndarray:
        after = beside(rows, columns)
        return (steepness > beside(-rows, -columns)) & (steepness >= after if also_equal else steepness > after)

    flat = np.tan(np.pi / 8)
    diagonal = np.where(right * down >= 0, top(1, 1, False), top(1, -1, False))
    upright = np.where(abs(right) < flat * abs(down), top(1, 0, True), diagonal)
    return np.where(abs(down) < flat * abs(right), top(0, 1, True), upright)


def _distances(found: np.ndarray) -> np.ndarray:
    """From each pixel to the nearest edge of its own image; far where it has none."""
    nothing = np.ones((1, *found.shape[1:]), bool)  # else scipy would find no edge at all where there is none
    return distance_transform_edt(~np.concatenate([nothing, found]), sampling=(1e6, 1, 1))[1:]


def _equalized(height: np.ndarray) -> np.ndarray:
    """Spread the levels 0 to 20 over 0 to 255 by the share of the image below each; one level stays as it is."""
    shares = np.stack([(height <= level).mean(axis=(1, 2)) for level in range(_FARTHEST + 1)], axis=1)
    image = np.arange(len(height))
    lowest = shares[image, height.min(axis=(1, 2))][:, None]
    spread = np.rint(255 * (shares - lowest) / np.where(lowest < 1, 1 - lowest, 1))
    spread = np.where(lowest < 1, spread, np.arange(_FARTHEST + 1))
    return spread[image[:, None, None], height]

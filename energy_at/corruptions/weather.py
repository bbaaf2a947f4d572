"""Fog, frost and snow; arguments as ``energy_at.corruptions`` says."""

from collections.abc import Sequence

import numpy as np

from energy_at.corruptions.filters import eight_bits, luminance, streaked, zoomed


def fog(x: np.ndarray, rng: np.random.Generator, strength: float, decay: float) -> np.ndarray:
    """Add clouds and darken by as much: (x + strength clouds) m / (m + strength), m the image's largest value."""
    height, width = x.shape[1:3]
    largest = x.max(axis=(1, 2, 3), keepdims=True)
    clouds = clouds_of(rng, len(x), max(height, width), decay)[:, :height, :width, None]
    return (x + strength * clouds) * largest / (largest + strength)


def frost(
    x: np.ndarray, rng: np.random.Generator, keep: float, add: float, photographs: Sequence[np.ndarray]
) -> np.ndarray:
    """Mix: keep x + add f, f a random part of one of the photographs (uint8 ``[h, w, 3]``, larger than the image)."""
    height, width, channels = x.shape[1:]
    parts = []
    for chosen in rng.integers(len(photographs), size=len(x)):
        photograph = photographs[chosen]
        top, left = (rng.integers(a - b) for a, b in zip(photograph.shape[:2], (height, width), strict=True))
        parts.append(photograph[top : top + height, left : left + width])
    ice = np.stack(parts) / 255
    return keep * x + add * (luminance(ice) if channels == 1 else ice)


def snow(
    x: np.ndarray,
    rng: np.random.Generator,
    mean: float,
    std: float,
    zoom: float,
    least: float,
    radius: int,
    sigma: float,
    keep: float,
) -> np.ndarray:
    """Whiten the image and let flakes fall through it.

    Args:
        x: images.
        rng: source of randomness.
        mean: of the Gaussian noise of which flakes are made.
        std: its standard deviation.
        zoom: by which it is enlarged.
        least: values below become 0, the others are flakes.
        radius: of the motion blur, in pixels.
        sigma: of it, in pixels; flakes fall downwards within 45 degrees.
        keep: share of the image as it is; the rest is whitened.
    """
    flakes = zoomed(rng.normal(mean, std, size=(*x.shape[:3], 1)), zoom)
    flakes = eight_bits(np.where(flakes < least, 0, flakes)) / 255
    flakes = streaked(flakes, rng.uniform(-135, -45, len(x)), radius, sigma)
    white = np.maximum(x, 1.5 * luminance(x) + 0.5)
    return keep * x + (1 - keep) * white + flakes + flakes[:, ::-1, ::-1]


def clouds_of(rng: np.random.Generator, count: int, side: int, decay: float) -> np.ndarray:
    """Heights in [0, 1] by the diamond-square algorithm on a torus, each reaching 0 and 1.

    Args:
        rng: source of randomness.
        count: maps N.
        side: they are ``[N, S, S]`` with S the next power of two.
        decay: the wobble's amplitude, 100 at first, is divided by this after every doubling.
    """
    heights, wobble = np.zeros((count, 1, 1)), 100.0
    while heights.shape[1] < side:
        heights, wobble = _doubled(heights, wobble, rng), wobble / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)


def _doubled(corners: np.ndarray, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """Between old heights their mean and a wobble: first in the squares' centres, then in the middle of their sides."""

    def between(total: np.ndarray) -> np.ndarray:
        return total / 4 + wobble * rng.uniform(-wobble, wobble, size=total.shape)

    across = corners + np.roll(corners, -1, axis=2)
    centres = between(across + np.roll(across, -1, axis=1))
    doubled = np.empty((len(corners), 2 * corners.shape[1], 2 * corners.shape[2]))
    doubled[:, ::2, ::2], doubled[:, 1::2, 1::2] = corners, centres
    doubled[:, ::2, 1::2] = between(across + centres + np.roll(centres, 1, axis=1))
    down = corners + np.roll(corners, -1, axis=1)
    doubled[:, 1::2, ::2] = between(down + centres + np.roll(centres, 1, axis=2))
    return doubled

"""Noise in every pixel and channel; arguments as ``energy_at.corruptions`` says."""

import numpy as np


def gaussian_noise(x: np.ndarray, rng: np.random.Generator, std: float) -> np.ndarray:
    """Add it: x + std z with z ~ N(0, 1)."""
    return x + rng.normal(scale=std, size=x.shape)


def shot_noise(x: np.ndarray, rng: np.random.Generator, photons: float) -> np.ndarray:
    """Light of a white pixel that comes in so many photons on average: Poisson(photons x) / photons."""
    return rng.poisson(photons * x) / photons


def impulse_noise(x: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Salt and pepper: this share of the values becomes 0 or 1, either with probability 1/2."""
    hit, salt = rng.random(x.shape) < share, rng.random(x.shape) < 0.5
    return np.where(hit, salt, x)


def speckle_noise(x: np.ndarray, rng: np.random.Generator, std: float) -> np.ndarray:
    """Multiply by it: x (1 + std z) with z ~ N(0, 1)."""
    return x * (1 + rng.normal(scale=std, size=x.shape))

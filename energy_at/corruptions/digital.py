"""Light, colour, and what cameras and files do to images; arguments as ``energy_at.corruptions`` says."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image

from energy_at.corruptions.filters import eight_bits


def contrast(x: np.ndarray, rng: np.random.Generator, factor: float) -> np.ndarray:
    """Draw each channel towards its mean m: m + factor (x - m)."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + factor * (x - mean)


def brightness(x: np.ndarray, rng: np.random.Generator, shift: float) -> np.ndarray:
    """Add to the value of HSV, the largest channel; hue and saturation stay."""
    value = x.max(axis=-1, keepdims=True)
    lighter = np.clip(value + shift, 0, 1)
    return np.where(value > 0, x * lighter / np.where(value > 0, value, 1), lighter)


def saturate(x: np.ndarray, rng: np.random.Generator, factor: float, shift: float) -> np.ndarray:
    """Map the saturation s of HSV to factor s + shift in [0, 1]; grey pixels count as red, grey images stay."""
    value, least = x.max(axis=-1, keepdims=True), x.min(axis=-1, keepdims=True)
    s = (value - least) / np.where(value > 0, value, 1)
    wanted = np.clip(factor * s + shift, 0, 1)
    red = np.array([0, 1, 1])[: x.shape[-1]]
    return np.where(s > 0, value - (value - x) * wanted / np.where(s > 0, s, 1), value * (1 - wanted * red))


def jpeg_compression(x: np.ndarray, rng: np.random.Generator, quality: int) -> np.ndarray:
    """Write a JPEG of this quality and read it."""

    def compressed(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each(compressed, x)


def pixelate(x: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Reduce to this share of the width and height by means over boxes, and enlarge again."""

    def coarse(image: Image.Image) -> Image.Image:
        small = (max(1, int(image.width * share)), max(1, int(image.height * share)))
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)

    return _each(coarse, x)


def _each(change: Callable[[Image.Image], Image.Image], x: np.ndarray) -> np.ndarray:
    levels = eight_bits(x)
    images = levels[..., 0] if levels.shape[-1] == 1 else levels
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images]).reshape(x.shape) / 255

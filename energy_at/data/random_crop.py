"""The random crop that ImageNet training uses, with its randomness given from outside."""

import math

import numpy as np
from PIL import Image

from energy_at.reading import in_mode

Box = tuple[int, int, int, int]


def random_box(width: int, height: int, rng: np.random.Generator) -> Box:
    """Draw a crop of 8 to 100 % of the area with an aspect ratio of 3/4 to 4/3 (Inception's, arXiv 1409.4842).

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        rng: source of randomness.

    Returns:
        (left, top, width, height) in pixels; after ten crops that do not fit, the central one closest to those ratios.
    """
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (width - w) // 2, (height - h) // 2, w, h


def random_resized_crop(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Crop at random, resize to a square, and mirror half of the time.

    Args:
        image: opened but not yet decoded, so that a JPEG can be decoded at a half, quarter or eighth of its size
            where the crop stays at least ``size`` pixels wide and high.
        size: side of the result in pixels.
        rng: source of randomness.
    """
    full = image.size
    left, top, w, h = random_box(*full, rng)
    image.draft("RGB", (math.ceil(full[0] * size / w), math.ceil(full[1] * size / h)))
    across, down = image.width / full[0], image.height / full[1]
    box = (left * across, top * down, (left + w) * across, (top + h) * down)
    crop = in_mode(image, "RGB").resize((size, size), Image.Resampling.BILINEAR, box=box)
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop

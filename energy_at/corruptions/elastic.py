"""Images on rubber; arguments as ``energy_at.corruptions`` says."""

import numpy as np
import torch
from torch.nn import functional as F

from energy_at.corruptions.filters import as_array, as_tensor, smoothed


def elastic_transform(
    x: np.ndarray, rng: np.random.Generator, strength: float, sigma: float, corner: float
) -> np.ndarray:
    """Map three points at random, and with them the image, affinely; then move every pixel by a smooth random field.

    Args:
        x: images.
        rng: source of randomness.
        strength: of the field, in heights of the image; its values before it is smoothed are uniform in [-1, 1].
        sigma: standard deviation of the Gaussian that smooths it, likewise.
        corner: by how much each coordinate of the three points changes at most, likewise.
    """
    count, height, width = x.shape[:3]
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    x = _sampled(x, *_sources(rng, count, rows, columns, corner * height), at_centres=True)
    fields = rng.uniform(-1, 1, size=(2 * count, height, width))
    fields = strength * height * smoothed(fields, sigma * height, mode="reflect", truncate=3)
    return _sampled(x, rows + fields[:count], columns + fields[count:], at_centres=False)


def _sources(
    rng: np.random.Generator, count: int, rows: np.ndarray, columns: np.ndarray, corner: float
) -> tuple[np.ndarray, np.ndarray]:
    """From where the affine map takes each pixel: rows and columns ``[N, H, W]``."""
    middle, reach = np.array(rows.shape[::-1]) // 2, min(rows.shape) // 3
    points = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])  # (column, row)
    moved = points + rng.uniform(-corner, corner, size=(count, 3, 2))
    back = np.linalg.solve(_with_one(moved), np.broadcast_to(points.astype(float), moved.shape))
    pixels = _with_one(np.stack([columns, rows], axis=-1))
    found = pixels @ back[:, None]
    return found[..., 1], found[..., 0]


def _with_one(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)


def _sampled(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, at_centres: bool) -> np.ndarray:
    """Values between the pixels, linear; the image is reflected at the outer pixels' centres, or at its edge."""
    places = [
        2 * place / (side - 1) - 1 if at_centres else (2 * place + 1) / side - 1
        for place, side in ((columns, x.shape[2]), (rows, x.shape[1]))
    ]
    grid = torch.from_numpy(np.stack(places, axis=-1))
    return as_array(F.grid_sample(as_tensor(x), grid, padding_mode="reflection", align_corners=at_centres))

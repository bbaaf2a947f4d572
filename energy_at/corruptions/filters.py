"""What several corruptions are made of; images are float64 ``[N, H, W, C]``."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F


def as_tensor(x: np.ndarray) -> torch.Tensor:
    """Images ``[N, H, W, C]`` as a tensor ``[N, C, H, W]``."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def as_array(x: torch.Tensor) -> np.ndarray:
    """Images ``[N, C, H, W]`` as an array ``[N, H, W, C]``."""
    return x.permute(0, 2, 3, 1).numpy()


def eight_bits(x: np.ndarray) -> np.ndarray:
    """The levels 0 to 255 that an image keeps: values are clipped to [0, 1] and cut off, as in the published files."""
    whole = 1e-6  # a level that misses itself by a rounding error is not to become the one below
    return (np.clip(x, 0, 1) * 255 + whole).astype(np.uint8)


def luminance(x: np.ndarray) -> np.ndarray:
    """Grey level ``[N, H, W, 1]`` of an image (ITU-R BT.601); of a grey one, itself."""
    return x if x.shape[-1] == 1 else x @ np.array([[0.299], [0.587], [0.114]])


def smoothed(x: np.ndarray, sigma: float, mode: str = "nearest", truncate: float = 4.0) -> np.ndarray:
    """Convolve rows and columns with a Gaussian.

    Args:
        x: images.
        sigma: its standard deviation in pixels; 0 leaves them alone.
        mode: how scipy goes on beyond the border.
        truncate: the filter ends after so many standard deviations.
    """
    return gaussian_filter(x, sigma, mode=mode, truncate=truncate, axes=(1, 2))


def zoomed(x: np.ndarray, factor: float) -> np.ndarray:
    """The centre of each image, enlarged linearly to at least the image's size and trimmed to it.

    Args:
        x: images.
        factor: of the enlargement, at least 1.
    """
    height, width = x.shape[1:3]
    part = [math.ceil(side / factor) for side in (height, width)]
    large = [round(side * factor) for side in part]
    centre = as_tensor(_middle(x, *part))
    return _middle(as_array(F.interpolate(centre, large, mode="bilinear", align_corners=True)), height, width)


def streaked(x: np.ndarray, degrees: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """Smear each image in one direction, as ImageMagick's motion blur does: half a Gaussian, in whole pixels.

    Args:
        x: images in [0, 1].
        degrees: ``[N]``, the direction from which each pixel takes its neighbours, clockwise from the right.
        radius: the smear is 2 radius + 1 pixels long.
        sigma: standard deviation of the Gaussian in pixels.
    """
    count, height, width = x.shape[:3]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    angle = np.deg2rad(degrees)[:, None]
    down, right = (np.ceil(steps * part - 0.5).astype(int) for part in (np.sin(angle), np.cos(angle)))
    total = np.zeros_like(x)
    for step in steps:
        rows = np.clip(np.arange(height) + down[:, step, None], 0, height - 1)
        columns = np.clip(np.arange(width) + right[:, step, None], 0, width - 1)
        total += weights[step] * x[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.rint(255 * total / weights.sum()) / 255


def _middle(x: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]

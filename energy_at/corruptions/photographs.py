"""Photographs of frost, which the package does not bring."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from energy_at.reading import FILES, images_in, in_mode, opened
from energy_at.types import InputError, require

REMEDY = (
    "give the folder of frost1.png to frost5.jpg of github.com/hendrycks/robustness (ImageNet-C/create_c), or judge on "
    "the published files of CIFAR-10-C"
)


def read_photographs(folder: str | Path | None) -> list[np.ndarray]:
    """The images of a folder, reduced to a fifth as for CIFAR-10-C (linearly, without smoothing).

    Args:
        folder: of JPEG or PNG files; all are used.

    Returns:
        uint8 ``[h, w, 3]`` each.

    Raises:
        InputError: if there is no folder or no image, or if one is damaged.
    """
    if folder is None:
        raise InputError(f"frost is made of photographs, which energy-at does not have; {REMEDY}")
    files = images_in(Path(folder))
    require(len(files) > 0, f"there are no {FILES} in {folder}; {REMEDY}")
    return [_reduced(file) for file in files]


def _reduced(file: str) -> np.ndarray:
    with opened(file) as image:
        large = torch.from_numpy(np.array(in_mode(image, "RGB"))).permute(2, 0, 1)[None].double()
    size = [round(length / 5) for length in large.shape[2:]]
    small = F.interpolate(large, size, mode="bilinear", align_corners=False)
    return small.round().byte()[0].permute(1, 2, 0).numpy()

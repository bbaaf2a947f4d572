"""Are samples copies of training images? The nearest one of each, beside the same for real images never trained on."""

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 4096  # reference rows turned to floating point at a time


class Nearest(NamedTuple):
    """The nearest reference row of each row.

    Args:
        distance: [n], Euclidean, in units of images in [0, 1] where the rows are such.
        index: [n], its place in the reference.
    """

    distance: Tensor
    index: Tensor  # type: ignore[assignment] # a tuple's own index is not needed


class Copies(NamedTuple):
    """How near samples are to training images.

    Args:
        median_distance: of a sample to its nearest training image.
        median_distance_real: of a held-out real image to its own.
        share_nearer: of the samples that are nearer to a training image than 99 % of the held-out real images are;
            about 0.01 is what real images would have, and more means copies.
    """

    median_distance: float
    median_distance_real: float
    share_nearer: float


def nearest(rows: Tensor, reference: Tensor) -> Nearest:
    """The nearest reference row of each row.

    Args:
        rows: [n, D], floating point, or uint8 which stands for [0, 1].
        reference: [N, D], likewise; brought to the rows' device, as floating point, a chunk at a time.
    """
    rows = _floats(rows)
    centre = _floats(reference[:CHUNK].to(rows.device)).mean(0)  # smaller numbers lose less in |a|^2 - 2 ab + |b|^2
    best = Nearest(rows.new_full((len(rows),), float("inf")), torch.zeros_like(rows[:, 0], dtype=torch.int64))
    for first in range(0, len(reference), CHUNK):
        chunk = _floats(reference[first : first + CHUNK].to(rows.device))
        found = torch.cdist(rows - centre, chunk - centre).min(1)
        closer = found.values < best.distance
        best = Nearest(
            torch.where(closer, found.values, best.distance), torch.where(closer, found.indices + first, best.index)
        )
    return best


def copies(samples: Tensor, held_out: Tensor) -> Copies:
    """Compare the distances [n] of samples with those [m] of held-out real images."""
    bound = held_out.double().quantile(0.01)
    share = (samples < bound).double().mean()
    return Copies(float(samples.median()), float(held_out.median()), float(share))


def _floats(rows: Tensor) -> Tensor:
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows

"""Euclidean lengths of images, gradients and perturbations, over all their pixels and channels."""

import torch
from torch import Tensor

from energy_at.types import Images


def l2_length(images: Images) -> Tensor:
    """Length of each image [N, 1, 1, 1], in single precision at least, and at least 1e-12; so is its gradient finite.

    Args:
        images: [N, C, H, W].
    """
    dtype = torch.promote_types(images.dtype, torch.float32)
    squares = images.flatten(1).to(dtype).square().sum(dim=1)
    return per_image(squares.clamp(min=1e-24).sqrt(), images)


def unit(images: Images) -> Images:
    """Each image over its length; 0 where it is 0 or no number. Gradients of gradients pass through it.

    Args:
        images: [N, C, H, W].
    """
    # over its largest entry first: the squares of a confident net's gradient underflow
    largest = images.detach().flatten(1).abs().amax(dim=1)
    scaled = (images / per_image(largest.masked_fill(largest == 0, 1), images)).nan_to_num(0, 0, 0)
    return (scaled / l2_length(scaled)).to(images.dtype)


def per_image(values: Tensor, images: Images) -> Tensor:
    """One value for each image, shaped to be multiplied with them: [N] as [N, 1, 1, 1]."""
    return values.view(-1, *[1] * (images.ndim - 1))

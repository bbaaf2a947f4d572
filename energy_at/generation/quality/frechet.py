"""The Frechet distance between two sets of vectors."""

import torch
from torch import Tensor

from energy_at.types import require


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2), of Gaussians with these moments (arXiv 1706.08500).

    It falls as sets grow, so that only sets of the same sizes compare. In Inception's features it is the FID.

    Args:
        a: [N, D], N at least 2.
        b: [M, D], M at least 2.

    Raises:
        InputError: if a set has fewer than two vectors.
    """
    require(min(len(a), len(b)) >= 2, f"the sets have {len(a)} and {len(b)} images; a covariance needs at least 2")
    a, b = a.double(), b.double()
    cov_a, cov_b = (torch.atleast_2d(x.T.cov()) for x in (a, b))
    root = _root(cov_a)
    between = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float((means + cov_a.trace() + cov_b.trace() - 2 * between).clamp_min(0))


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T

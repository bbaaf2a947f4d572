import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from energy_at.generation.quality.frechet import frechet_distance
from energy_at.types import InputError


def vectors(n, dim, seed, spread=1.0, shift=0.0):
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=random) / dim**0.5
    return (torch.randn(n, dim, generator=random) * spread) @ mixing + shift


@pytest.mark.parametrize(("n", "dim"), [(500, 12), (300, 1), (20, 40)])  # the last with singular covariances
def test_it_is_the_formula_and_torch_fidelitys_number(n, dim):
    a, b = vectors(n, dim, 0), vectors(n + 7, dim, 1, 1.5, 0.3)
    (mean_a, cov_a), (mean_b, cov_b) = (
        (x.mean(0), np.atleast_2d(np.cov(x.T))) for x in (a.double().numpy(), b.double().numpy())
    )
    root = sqrtm(cov_a @ cov_b + 1e-12 * np.eye(dim)).real
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    if dim > 1:
        statistics = [fid_features_to_statistics(x) for x in (a.double(), b.double())]
        fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        assert frechet_distance(a, b) == pytest.approx(fid, rel=1e-5)


def test_of_diagonal_gaussians_it_has_a_closed_form():
    a = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    b = a * torch.tensor([2.0, 5.0]) + torch.tensor([3.0, 0.0])
    assert frechet_distance(a, b) == pytest.approx(9 + 4 / 3 * (1**2 + 4**2), rel=1e-6)


def test_it_is_a_distance():
    a, b = vectors(100, 5, 0), vectors(80, 5, 1)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_a_single_image_has_no_covariance():
    with pytest.raises(InputError, match="1 and 80 images"):
        frechet_distance(vectors(1, 5, 0), vectors(80, 5, 1))

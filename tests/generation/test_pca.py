import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from energy_at.generation import ClassPCA, GaussianInit
from energy_at.generation.pca import kept_components, principal_components
from energy_at.types import InputError
from tests.generation import digits

X, Y = digits()
X = X * 0.4 + 0.3  # away from the bounds, where clipping would change the moments
MANY = torch.arange(20_000)


def low_rank(n, dim, seed=0):
    """Rows whose spectrum falls off, as that of images does."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 40, generator=generator) * torch.logspace(0, -1.5, 40)
    return 0.5 + 0.05 * rows @ torch.randn(40, dim, generator=generator) / dim**0.5


@pytest.mark.parametrize(("n", "dim"), [(300, 60), (60, 300), (100, 100), (41, 3000), (3000, 41)])
def test_components_are_those_of_scikit_learn(n, dim):
    rows = low_rank(n, dim)
    mean, variances, components = principal_components(rows)
    pca = PCA(n_components=30, svd_solver="full").fit(rows.double().numpy())
    np.testing.assert_allclose(mean, pca.mean_, atol=1e-6)
    np.testing.assert_allclose(variances[:30], pca.explained_variance_, rtol=1e-5)
    assert subspace_angles(components[:30].double().numpy().T, pca.components_.T).max() < 1e-5
    alignment = (components[:30].double().numpy() * pca.components_).sum(axis=1)
    np.testing.assert_allclose(abs(alignment), 1, atol=1e-5)
    assert len(variances) == len(components) == min(n - 1, dim)


@pytest.mark.parametrize("variance", [0.5, 0.95, 0.99])
def test_each_class_keeps_the_components_scikit_learn_keeps(variance):
    init = ClassPCA(variance).fit(X, Y)
    for label in range(10):
        pca = PCA(variance, svd_solver="full").fit(X[label == Y].flatten(1).double().numpy())
        std = init["std"][label]
        kept = int((std > 0).sum())
        assert kept == pca.n_components_
        np.testing.assert_allclose(std[:kept].double() ** 2, pca.explained_variance_, rtol=1e-5)
        angles = subspace_angles(init["components"][label, :kept].double().numpy().T, pca.components_.T)
        assert angles.max() < 1e-5
        assert not init["components"][label, kept:].any()


def test_a_number_of_components_in_place_of_a_share():
    init = ClassPCA(components=7).fit(X, Y)
    assert init["components"].shape == (10, 7, 64)
    assert (init["std"] > 0).all()


def test_starts_have_the_moments_of_the_formula():
    init = ClassPCA(0.9, scale=0.5).fit(X, Y)
    x0 = init.sample(torch.full_like(MANY, 3), MANY).flatten(1).double()
    factor = (init["std"][3].unsqueeze(1) * init["components"][3]).double()
    expected = 0.25 * factor.T @ factor
    torch.testing.assert_close(x0.mean(0), X[Y == 3].flatten(1).double().mean(0), atol=2e-3, rtol=0)
    torch.testing.assert_close(x0.T.cov(), expected, atol=0.05 * float(expected.max()), rtol=0)


def test_gaussian_starts_have_the_mean_and_covariance_of_the_class():
    init = GaussianInit().fit(X * 0.3 + 0.35, Y)
    x0 = init.sample(torch.full_like(MANY, 8), MANY).flatten(1).double()
    real = (X[Y == 8] * 0.3 + 0.35).flatten(1).double()
    torch.testing.assert_close(x0.mean(0), real.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(x0.T.cov(), real.T.cov(), atol=0.05 * float(real.T.cov().max()), rtol=0)


def test_without_scale_every_start_is_the_class_mean():
    x0 = ClassPCA(scale=0).fit(X, Y).sample(torch.tensor([5, 6]), torch.tensor([1, 2]))
    torch.testing.assert_close(x0[1], X[Y == 6].mean(0))


def test_a_class_of_equal_images_starts_at_them():
    images = torch.full((12, 1, 4, 4), 0.25)
    images[6:] = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    init = ClassPCA().fit(images, torch.arange(12) // 6)
    assert torch.equal(init.sample(torch.zeros(3, dtype=torch.int64), torch.arange(3)), images[:3])


def test_kept_components():
    variances = torch.tensor([[4.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert kept_components(variances, 0.65)[0].tolist() == [True, True, False, False]
    assert kept_components(variances, 0.1)[0].tolist() == [True, False, False, False]
    assert kept_components(variances, 1)[0].all()
    assert kept_components(variances, 0.5)[1].any()


@pytest.mark.parametrize(
    "options", [{"variance": 0}, {"variance": 1.5}, {"scale": -1}, {"scale": float("nan")}, {"components": 0}]
)
def test_impossible_values_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"{name} is {value}"):
        ClassPCA(**options)

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from energy_at.generation import ClassPCA, LocalPCA, local_pca
from energy_at.generation.local_pca import nearest
from energy_at.types import InputError
from tests.generation import digits

X, Y = digits()
X = X * 0.4 + 0.3


def anchors(init, labels, seeds):
    return init.draw_member(labels, seeds, local_pca.ANCHOR)


def one_class(label, count):
    return torch.full((count,), label), torch.arange(count)


@pytest.mark.parametrize("chunk", [7, 500])
def test_neighbours_are_those_of_scikit_learn(chunk, monkeypatch):
    monkeypatch.setattr(local_pca, "CHUNK", chunk)
    rows = torch.rand(120, 20, generator=torch.Generator().manual_seed(0))
    expected = NearestNeighbors(n_neighbors=9).fit(rows.numpy()).kneighbors(rows.numpy(), return_distance=False)
    found = nearest(rows, 9)
    assert torch.equal(found[:, 0], torch.arange(120))
    np.testing.assert_array_equal(found.sort(1).values, np.sort(expected, axis=1))


def test_neighbours_are_of_the_same_class():
    init = LocalPCA(10).fit(X, Y)
    order = Y.argsort(stable=True)
    assert torch.equal(Y[order][init["neighbours"]], Y[order].unsqueeze(1).expand(-1, 10))
    assert torch.equal(init["members"], X[order].flatten(1))


def test_neighbours_in_a_feature_space_are_near_in_it():
    def brightness(images):
        return images.mean((1, 2, 3))

    init = LocalPCA(10, features=brightness).fit(X, Y)
    values = brightness(init["members"].view(-1, 1, 8, 8))[init["neighbours"]]
    pixels = LocalPCA(10).fit(X, Y)
    elsewhere = brightness(pixels["members"].view(-1, 1, 8, 8))[pixels["neighbours"]]
    assert (values - values[:, :1]).abs().mean() < 0.2 * (elsewhere - elsewhere[:, :1]).abs().mean()


def test_every_member_of_the_class_and_no_other_is_an_anchor():
    init = LocalPCA(10).fit(X, Y)
    drawn = anchors(init, *one_class(2, 5000)).unique()
    order = Y.argsort(stable=True)
    assert torch.equal(drawn, torch.arange(len(Y))[Y[order] == 2])


@pytest.mark.parametrize("variance", [0.6, 0.95, 1.0])
def test_starts_have_the_moments_of_the_neighbourhood(variance):
    images = X[:12]  # one class of k images: every neighbourhood is the class
    init = LocalPCA(12, variance, scale=0.5).fit(images, torch.zeros(12, dtype=torch.int64))
    x0 = init.sample(*one_class(0, 20_000)).flatten(1).double().numpy()
    pca = PCA(variance if variance < 1 else 11, svd_solver="full").fit(images.flatten(1).double().numpy())
    expected = 0.25 * (pca.components_.T * pca.explained_variance_) @ pca.components_
    np.testing.assert_allclose(x0.mean(0), pca.mean_, atol=2e-3)
    np.testing.assert_allclose(np.cov(x0.T), expected, atol=0.05 * expected.max())
    outside = x0 - pca.mean_ - (x0 - pca.mean_) @ pca.components_.T @ pca.components_
    assert abs(outside).max() < 1e-5


def test_a_start_lies_at_its_anchors_neighbourhood():
    init = LocalPCA(10, scale=0).fit(X, Y)
    labels, seeds = one_class(4, 80)
    means = init["members"][init["neighbours"][anchors(init, labels, seeds)]].mean(1)
    torch.testing.assert_close(init.sample(labels, seeds).flatten(1), means)


def test_starts_are_more_diverse_than_those_of_the_class():
    def spread(init):
        return init.fit(X, Y).sample(*one_class(1, 500)).flatten(1).var(0).sum()

    assert spread(LocalPCA(15, scale=0.35)) > 2 * spread(ClassPCA(scale=0.35))


def test_twins_do_not_take_an_images_own_place():
    images = X[:1].repeat(20, 1, 1, 1)
    init = LocalPCA(5).fit(images, torch.zeros(20, dtype=torch.int64))
    assert torch.equal(init["neighbours"][:, 0], torch.arange(20))
    torch.testing.assert_close(init.sample(*one_class(0, 3)), images[:3])


@pytest.mark.parametrize("options", [{"neighbours": 1}, {"variance": 0}, {"scale": -1}])
def test_impossible_values_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"{name} is {value}"):
        LocalPCA(**options)

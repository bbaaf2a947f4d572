"""Lines and sweeps on linear nets, whose energies have closed forms."""

import pytest
import torch

from energy_at.attacks import FGSM
from energy_at.energy import joint_energy, marginal_energy
from energy_at.evaluation.analysis.smoothness import Smoothness, line_energies, random_perturbation, sweep_energies
from energy_at.types import InputError
from tests.attacks import images, labels, random_linear

X, Y = images(6, 1, 3, 3, low=0.3, high=0.7), labels(6, 4)
NET = random_linear(9, 4)
WEIGHT = NET[1].weight


def test_along_a_line_the_joint_energy_of_a_linear_net_is_linear():
    delta, multiples = 0.1 * torch.randn(X.shape, dtype=X.dtype).clamp(-1, 1), (-2.0, -0.5, 0.0, 1.0, 2.0)
    found = line_energies(NET, X, delta, Y, multiples)
    slope = -(delta.flatten(1) * WEIGHT[Y]).sum(dim=1)
    expected = joint_energy(NET(X), Y)[:, None] + slope[:, None] * torch.tensor(multiples)
    torch.testing.assert_close(found["line_E_joint"], expected)
    at_one = marginal_energy(NET(X + delta))
    torch.testing.assert_close(found["line_E_marginal"][:, 3], at_one)


def test_a_line_ends_at_the_cube_of_images():
    found = line_energies(NET, X, torch.full_like(X, 0.5), Y, (2.0, 5.0))
    white = marginal_energy(NET(torch.ones_like(X)))
    torch.testing.assert_close(found["line_E_marginal"], white[:, None].expand(-1, 2))


def test_dE_of_a_single_step_grows_linearly_with_eps_on_two_classes():
    net, y = random_linear(9, 2), labels(6, 2)
    attack = FGSM(0.1)
    found = sweep_energies(net, lambda factor: attack.scaled(factor)(net, X, y), y, (0.5, 1.0, 2.0))
    w = net[1].weight
    per_eps = (w[y] * (w[1 - y] - w[y]).sign()).sum(dim=1)
    expected = joint_energy(net(X), y)[:, None] - per_eps[:, None] * torch.tensor([0.05, 0.1, 0.2])
    torch.testing.assert_close(found["sweep_E_joint"], expected)
    assert found["sweep_E_marginal"].shape == (6, 3)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_random_direction_is_as_long_as_eps(norm):
    first, again, other = (random_perturbation(norm, 0.3, X, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    flat = first.flatten(1)
    length = flat.abs() if norm == "Linf" else flat.norm(dim=1)
    torch.testing.assert_close(length, torch.full_like(length, 0.3))
    assert (flat > 0).any()
    assert (flat < 0).any()


@pytest.mark.parametrize(
    ("images", "sizes"), [(256, [500] * 20), (7, [500] * 20), (100, [64] * 5 + [3]), (5, [2]), (360, [90] * 4)]
)
def test_the_images_are_spread_over_all_batches(images, sizes):
    chosen = [Smoothness(images).chosen(i, len(sizes), size) for i, size in enumerate(sizes)]
    counts = [len(part) for part in chosen]
    fair = [min(count, size) for count, size in zip(counts, sizes, strict=True)]
    assert counts == fair
    assert sum(counts) == images or any(count == size for count, size in zip(counts, sizes, strict=True))
    for part, size in zip(chosen, sizes, strict=True):
        assert len(part.unique()) == len(part)
        assert all(0 <= i < size for i in part.tolist())


def test_sorted_classes_all_take_part():
    label = torch.arange(10).repeat_interleave(1000).split(500)
    seen = torch.cat([y[Smoothness(256).chosen(i, 20, 500)] for i, y in enumerate(label)])
    assert len(seen) == 256
    assert seen.bincount(minlength=10).min() >= 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 0}, "images is 0"),
        ({"factors": [0.0, 1.0]}, r"factors are .0.0, 1.0."),
        ({"factors": []}, r"factors are \[\]"),
        ({"multiples": [float("inf")]}, "multiples are .inf."),
        ({"multiples": []}, r"multiples are \[\]"),
    ],
)
def test_unfit_values_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Smoothness(**arguments)

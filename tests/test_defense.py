"""Energy descent before classification: what it computes, what gradients see of it, and attacks around it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from energy_at import PGD, EnergyDescent, GaussianNoise, InputError, ThroughDefense
from energy_at.attacks import AutoAttack
from tests.generation import ConvNet

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(6)


def net():
    torch.manual_seed(0)
    return ConvNet().double().eval()


def plain(model, x, step_size, eps, steps, temperature=1.0):
    """One image at a time, differentiable."""
    moved = []
    for image in x:
        now = image
        for _ in range(steps):
            energy = -temperature * torch.logsumexp(model(now[None])[0] / temperature, dim=0)
            (grad,) = torch.autograd.grad(energy, now if now.requires_grad else now.requires_grad_(), create_graph=True)
            offset = (now - step_size * grad / (grad * grad).sum().sqrt()).clamp(0, 1) - image
            length = (offset * offset).sum().sqrt()
            now = image + (offset * eps / length if length > eps else offset)
        moved.append(now)
    return torch.stack(moved)


@pytest.mark.parametrize(
    ("step_size", "eps", "steps", "temperature"),
    [(0.3, 1.0, 1, 1.0), (0.3, 0.2, 1, 1.0), (0.2, 0.5, 4, 1.0), (2.0, 1.0, 3, 1.0), (0.3, 1.0, 2, 5.0)],
)
def test_images_and_their_gradient_are_those_of_the_formula(step_size, eps, steps, temperature):
    ours, theirs = X.clone().requires_grad_(), X.clone().requires_grad_()
    defended = EnergyDescent(net(), step_size, eps, steps, temperature=temperature)
    expected = plain(net(), theirs, step_size, eps, steps, temperature)
    torch.testing.assert_close(defended.descend(X), expected.detach(), rtol=1e-9, atol=1e-12)
    F.cross_entropy(defended(ours), Y).backward()
    F.cross_entropy(net()(expected), Y).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-7, atol=1e-12)


def test_the_gradient_of_the_whole_is_right():
    torch.manual_seed(0)
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.SiLU(), nn.Linear(8, 4)).double()
    x = (0.4 + 0.2 * torch.rand(2, 1, 3, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(EnergyDescent(smooth, 0.1, 0.15, steps=2), x)


def test_the_identity_gives_the_gradient_of_the_net_at_the_lowered_images():
    defended = EnergyDescent(net(), 0.3, 1.0, 2)
    lowered = defended.descend(X).detach().requires_grad_()
    F.cross_entropy(net()(lowered), Y).backward()
    x = X.clone().requires_grad_()
    logits = defended.through_identity()(x)
    torch.testing.assert_close(logits, defended(X))
    F.cross_entropy(logits, Y).backward()
    torch.testing.assert_close(x.grad, lowered.grad)


def test_energy_falls_and_the_ball_is_kept():
    model, defended = net(), EnergyDescent(net(), 0.2, 0.3, 3)
    lowered = defended.descend(X)
    energies = [-torch.logsumexp(model(images), dim=1) for images in (X, lowered)]
    assert (energies[1] < energies[0]).all()
    assert (lowered - X).flatten(1).norm(dim=1).max() <= 0.3 + 1e-12
    assert lowered.min() >= 0
    assert lowered.max() <= 1


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_classifies_where_gradients_are_off(context):
    defended = EnergyDescent(net(), 0.3, 1.0, 1)
    expected = defended(X)
    with context():
        x = X.clone()
        assert not defended(x).requires_grad
        torch.testing.assert_close(defended(x), expected.detach())
    assert all(parameter.grad is None for parameter in defended.parameters())


def test_no_step_is_no_defense_and_a_flat_net_moves_nothing():
    assert torch.equal(EnergyDescent(net(), steps=0)(X), net()(X))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    nn.init.zeros_(flat[1].weight)
    x = X.clone().requires_grad_()
    logits = EnergyDescent(flat, 0.3, 1.0, 2)(x)
    logits.sum().backward()
    torch.testing.assert_close(logits, flat(X))
    assert x.grad.isfinite().all()


def test_around_is_the_attack_on_the_net_inside():
    attack, defended = PGD(eps=0.1, steps=3), EnergyDescent(net(), 0.3)
    around = ThroughDefense(PGD(eps=0.1, steps=3), way="around")(defended, X, Y)
    assert torch.equal(around, attack(net(), X, Y))
    assert not torch.equal(around, attack(defended, X, Y))


def test_identity_is_the_attack_by_its_gradient():
    defended = EnergyDescent(net(), 0.3)
    found = ThroughDefense(PGD(eps=0.1, alpha=0.1, steps=1, start="zero"))(defended, X, Y)
    lowered = defended.descend(X).detach().requires_grad_()
    F.cross_entropy(net()(lowered), Y).backward()
    torch.testing.assert_close(found, (X + 0.1 * lowered.grad.sign()).clamp(0, 1))


@pytest.mark.parametrize("way", ["around", "identity"])
def test_a_scaled_attack_is_that_of_another_radius(way):
    defended, attack = EnergyDescent(net(), 0.3), ThroughDefense(PGD(eps=0.1, alpha=0.02, steps=8), way)
    twice = ThroughDefense(PGD(eps=0.2, alpha=0.04, steps=8), way)
    assert attack.scaled(2).eps == 0.2
    torch.testing.assert_close(attack.scaled(2)(defended, X, Y), twice(defended, X, Y))
    assert attack.eps == attack.attack.eps == 0.1


def test_noise_around_a_defense_looks_for_no_mistakes():
    assert ThroughDefense(PGD()).adversarial
    assert not ThroughDefense(GaussianNoise()).adversarial


def test_autoattack_takes_the_defended_net():
    defended = EnergyDescent(copy.deepcopy(net()).float(), 0.3)
    x_adv = AutoAttack(eps=0.1)(defended, X.float(), defended(X.float()).argmax(dim=1))
    assert (x_adv - X).abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step_size": -1}, "step_size is -1"),
        ({"eps": float("inf")}, "eps is inf"),
        ({"steps": -1}, "steps: 1"),
        ({"temperature": 0}, "temperature is 0, but it is finite and above 0"),
    ],
)
def test_bad_values_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        EnergyDescent(net(), **options)


def test_a_bare_net_and_an_unknown_way_are_told():
    with pytest.raises(InputError, match="ConvNet is no defended net; give evaluate --defense"):
        ThroughDefense(PGD())(net(), X, Y)
    with pytest.raises(InputError, match="way"):
        ThroughDefense(PGD(), way="over")

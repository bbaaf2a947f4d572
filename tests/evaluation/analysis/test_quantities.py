"""Per-image values against their definitions."""

import pytest
import torch
from torch import nn

from energy_at.evaluation.analysis.quantities import adversarial_values, gradient_norm, natural_values
from tests.attacks import labels


def logits(seed, scale=5.0, n=50, classes=7):
    return scale * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed))


def test_natural_values_are_their_definitions():
    f, y = logits(0).double(), labels(50, 7)
    values = natural_values(f.float(), y)
    p = f.exp() / f.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(values["E_joint"], -f[range(50), y], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(values["E_marginal"], -f.exp().sum(dim=1).log(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(values["confidence"], p.max(dim=1).values, atol=1e-6, rtol=1e-6)
    assert torch.equal(values["prediction"], p.argmax(dim=1))
    assert torch.equal(values["correct"], p.argmax(dim=1) == y)
    assert torch.equal(values["label"], y)


@pytest.mark.parametrize("scale", [0.1, 5.0, 200.0])
def test_the_kl_is_the_sum_of_its_two_terms(scale):
    f, f_adv, y = logits(0, scale), logits(1, scale), labels(50, 7)
    values = adversarial_values(f, f_adv, y)
    p, q = f.double().log_softmax(dim=1), f_adv.double().log_softmax(dim=1)
    torch.testing.assert_close(values["kl"], (p.exp() * (p - q)).sum(dim=1))
    torch.testing.assert_close(values["kl_conditional"] + values["dE_marginal"], values["kl"], atol=1e-10, rtol=1e-10)
    assert values["kl"].min() >= 0


def test_deltas_are_natural_less_adversarial():
    f, f_adv, y = logits(0), logits(1), labels(50, 7)
    natural, values = natural_values(f, y), adversarial_values(f, f_adv, y)
    alone = natural_values(f_adv, y)
    assert all(torch.equal(values[key], alone[key]) for key in alone)
    for kind in ("marginal", "joint"):
        torch.testing.assert_close(values[f"dE_{kind}"], natural[f"E_{kind}"] - alone[f"E_{kind}"])


def test_one_value_an_image_is_kept_of_a_thousand_classes():
    values = adversarial_values(logits(0, classes=1000), logits(1, classes=1000), labels(50, 1000))
    assert {tensor.shape for tensor in values.values()} == {(50,)}
    assert sum(tensor.nbytes for tensor in values.values()) / 50 < 100


class Quadratic(nn.Module):
    """Two equal logits |x|^2 / 2 - log 2: E(x) is -|x|^2 / 2, and its gradient -x."""

    def forward(self, x):
        return (x.flatten(1).square().sum(dim=1, keepdim=True) / 2 - torch.tensor(2.0).log()).expand(-1, 2)


def test_the_gradient_norm_of_a_quadratic_energy_is_the_length_of_the_image():
    x = torch.rand(5, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(gradient_norm(Quadratic(), x), x.flatten(1).norm(dim=1))
    with torch.inference_mode():
        torch.testing.assert_close(gradient_norm(Quadratic(), x + 0), x.flatten(1).norm(dim=1))
    assert not x.requires_grad


def test_the_gradient_norm_is_that_of_finite_differences_and_leaves_the_net_as_it_was():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x = torch.rand(4, 3, 2, 2, dtype=torch.float64)
    steps = 1e-6 * torch.eye(12, dtype=torch.float64).view(12, 1, 3, 2, 2)

    def energies(images):
        return -torch.logsumexp(net(images.flatten(0, 1)), dim=1).view(12, 4)

    with torch.no_grad():
        slopes = (energies(x + steps) - energies(x - steps)) / 2e-6
    torch.testing.assert_close(gradient_norm(net, x), slopes.norm(dim=0), rtol=1e-6, atol=1e-9)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_net_that_cannot_be_differentiated_has_no_slope():
    class Rounds(nn.Module):
        def forward(self, x):
            return torch.from_numpy(x.detach().flatten(1)[:, :3].numpy().round())

    assert torch.equal(gradient_norm(Rounds(), torch.rand(4, 1, 2, 2)), torch.zeros(4, dtype=torch.float64))

"""Per-image values against their definitions."""

import pytest
import torch

from energy_at.evaluation.analysis.quantities import adversarial_values, natural_values
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

from typing import get_args

import pytest
import torch
from torch.nn import functional as F

from energy_at.attacks.losses import LOSSES, LossName, margin

N, K = 6, 4


def batch(scale=3.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits, logits_adv = scale * torch.randn(2, N, K, generator=generator, dtype=dtype)
    return logits_adv, torch.randint(K, (N,), generator=generator), logits


def rows(logits_adv, y, logits):
    return zip(logits_adv, y.tolist(), logits, strict=True)


PLAIN = {
    "cross_entropy": lambda g, y, f: g.exp().sum().log() - g[y],
    "kl": lambda g, y, f: (F.softmax(f, 0) * (F.softmax(f, 0) / F.softmax(g, 0)).log()).sum(),
    "margin": lambda g, y, f: max(g[k] for k in range(K) if k != y) - g[y],
    "raise_marginal_energy": lambda g, y, f: -g.exp().sum().log(),
    "lower_marginal_energy": lambda g, y, f: g.exp().sum().log(),
    "raise_joint_energy": lambda g, y, f: -g[y],
    "lower_joint_energy": lambda g, y, f: g[y],
}


def test_every_name_has_a_loss():
    assert set(get_args(LossName)) == set(LOSSES) == set(PLAIN)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_their_formulas(name):
    expected = torch.stack([PLAIN[name](*row) for row in rows(*batch())])
    torch.testing.assert_close(LOSSES[name](*batch()), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_equal_finite_differences(name):
    logits_adv, y, logits = batch()
    assert torch.autograd.gradcheck(lambda g: LOSSES[name](g, y, logits), logits_adv.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_float32_logits_of_ten_thousand_give_finite_losses_and_gradients(name):
    logits_adv, y, logits = batch(1e4, torch.float32)
    loss = LOSSES[name](logits_adv.requires_grad_(), y, logits)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits_adv.grad.isfinite().all()


def test_the_margin_is_positive_exactly_on_misclassified_images():
    generator = torch.Generator().manual_seed(1)
    logits, y = torch.randn(500, K, generator=generator), torch.randint(K, (500,), generator=generator)
    misclassified = logits.argmax(dim=1) != y
    assert 0 < misclassified.sum() < 500
    assert torch.equal(margin(logits, y) > 0, misclassified)


def test_the_margins_gradient_moves_the_strongest_rival_against_the_label():
    logits = torch.tensor([[1.0, 5.0, 3.0]], requires_grad=True)
    margin(logits, torch.tensor([1])).sum().backward()
    assert logits.grad.tolist() == [[0.0, -1.0, 1.0]]


def test_raising_and_lowering_are_opposites():
    for energy in ("marginal_energy", "joint_energy"):
        assert torch.equal(LOSSES[f"raise_{energy}"](*batch()), -LOSSES[f"lower_{energy}"](*batch()))

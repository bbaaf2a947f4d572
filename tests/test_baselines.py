"""Identities of the other cures' losses, and how LinearDER and ELLE are related."""

import pytest
import torch
from torch.nn import functional as F

from energy_at import joint_energy, marginal_energy
from energy_at.baselines import (
    aaer_penalty,
    boosted_cross_entropy,
    grad_align_loss,
    local_linearity_error,
    mart_loss,
)
from energy_at.objectives import at_loss, delta_energy_curvature

GENERATOR = torch.Generator().manual_seed(0)
A, C, B = 4 * torch.randn(3, 7, 5, dtype=torch.float64, generator=GENERATOR)
Y = torch.randint(0, 5, (7,), generator=GENERATOR)
T = torch.rand(7, dtype=torch.float64, generator=GENERATOR)


def ce(logits):
    return F.cross_entropy(logits, Y, reduction="none")


@pytest.mark.parametrize(
    ("terms", "energy"), [("marginal", marginal_energy), ("joint", lambda logits: joint_energy(logits, Y))]
)
def test_one_term_of_linear_der_is_elle_with_an_energy_in_place_of_the_loss(terms, energy):
    curvature = delta_energy_curvature(A, C, B, Y, T, terms)
    torch.testing.assert_close(curvature, local_linearity_error(energy(A), energy(B), energy(C), T), rtol=1e-13, atol=0)


def test_elle_squares_the_difference_of_the_two_deviations_and_linear_der_adds_their_squares():
    def deviation(energy):
        return energy(C) - (1 - T) * energy(A) - T * energy(B)

    joint, marginal = deviation(lambda logits: joint_energy(logits, Y)), deviation(marginal_energy)
    elle = local_linearity_error(ce(A), ce(B), ce(C), T)
    torch.testing.assert_close(elle, (joint - marginal).square().mean(), rtol=1e-12, atol=0)
    both = delta_energy_curvature(A, C, B, Y, T, "both")
    torch.testing.assert_close(both, joint.square().mean() + marginal.square().mean(), rtol=1e-12, atol=0)


def test_a_linear_loss_costs_nothing():
    losses = torch.rand(2, 7, dtype=torch.float64, generator=GENERATOR)
    assert local_linearity_error(*losses, torch.lerp(*losses, T), T) < 1e-30
    assert grad_align_loss(A, Y, torch.ones(()), weight=3.0) == at_loss(A, Y)


@pytest.mark.parametrize("start", [A - 30 * F.one_hot(Y, 5), A + 30 * F.one_hot(Y, 5)], ids=["all", "none"])
def test_images_of_one_kind_cost_nothing_and_give_no_gradient(start):
    logits = A.clone().requires_grad_()
    penalty = aaer_penalty(start, logits, Y, 1.0, 2.5, 1.5)
    penalty.backward()
    assert penalty == 0
    assert torch.equal(logits.grad, torch.zeros_like(A))


def test_with_lambda1_times_lambda2_above_1_aaer_raises_the_loss_of_abnormal_images():
    logits = C.clone().requires_grad_()
    abnormal = ce(A) > ce(C)
    assert 0 < abnormal.sum() < len(Y)
    (ce(logits).mean() + aaer_penalty(A, logits, Y, 1.0, 2.5, 0.0)).backward()
    weighted = C.clone().requires_grad_()
    (torch.where(abnormal, 1 - 2.5, 1.0) * ce(weighted)).mean().backward()
    torch.testing.assert_close(logits.grad, weighted.grad, rtol=1e-12, atol=1e-15)


def test_the_boosted_cross_entropy_of_known_probabilities():
    logits = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6]], dtype=torch.float64).log()
    found = boosted_cross_entropy(logits, torch.tensor([0, 0]))
    p, other = torch.tensor([0.7, 0.3], dtype=torch.float64), torch.tensor([0.2, 0.6], dtype=torch.float64)
    torch.testing.assert_close(found, -p.log() - (1.0001 - other).log())


def test_mart_of_an_unmoved_image_is_its_boosted_cross_entropy():
    torch.testing.assert_close(mart_loss(A, A, Y, beta=5.0), boosted_cross_entropy(A, Y).mean())

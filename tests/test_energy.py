import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import roc_auc_score
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from energy_at import energy

LOGITS = st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 30.0, 1e4]), st.integers(1, 12)
PROPERTY = settings(deadline=None, max_examples=60, derandomize=True, database=None)


def pair(seed, scale, classes, n=6, dtype=torch.float64):
    """Natural and adversarial logits of this size, and labels; the first image's logits are at the two extremes."""
    generator = torch.Generator().manual_seed(seed)
    logits, logits_adv = scale * (2 * torch.rand(2, n, classes, generator=generator, dtype=dtype) - 1)
    logits[0], logits_adv[0] = scale, -scale
    logits[0, 0], logits_adv[0, 0] = -scale, scale
    return logits, logits_adv, torch.randint(classes, (n,), generator=generator)


def plain_kl(logits, logits_adv):
    """sum_k p log(p / q), one image and class at a time, on logits whose largest entry is 0."""
    total = []
    for row, row_adv in zip(logits, logits_adv, strict=True):
        row, row_adv = row - row.max(), row_adv - row_adv.max()
        log_p, log_q = row - row.exp().sum().log(), row_adv - row_adv.exp().sum().log()
        total.append(sum(p.exp() * (p - q) for p, q in zip(log_p, log_q, strict=True)))
    return torch.stack(total)


@PROPERTY
@given(*LOGITS)
def test_cross_entropy_is_joint_minus_marginal_energy(seed, scale, classes):
    logits, _, y = pair(seed, scale, classes)
    expected = F.cross_entropy(logits, y, reduction="none")
    terms = energy.cross_entropy_terms(logits, y)
    for decomposed in (energy.joint_energy(logits, y) - energy.marginal_energy(logits), sum(terms)):
        torch.testing.assert_close(decomposed, expected, atol=1e-12, rtol=1e-12)
    assert torch.equal(terms[0], energy.joint_energy(logits, y))
    assert torch.equal(terms[1], -energy.marginal_energy(logits))


@PROPERTY
@given(*LOGITS)
def test_trades_kl_is_its_conditional_plus_its_marginal_term(seed, scale, classes):
    logits, logits_adv, _ = pair(seed, scale, classes)
    conditional, marginal = energy.trades_kl_terms(logits, logits_adv)
    torch.testing.assert_close(conditional + marginal, plain_kl(logits, logits_adv), atol=1e-10, rtol=1e-10)
    by_torch = F.kl_div(logits_adv.log_softmax(1), logits.softmax(1), reduction="none").sum(1)
    torch.testing.assert_close(conditional + marginal, by_torch, atol=1e-10, rtol=1e-10)
    assert torch.equal(marginal, energy.delta_marginal_energy(logits, logits_adv))


@PROPERTY
@given(*LOGITS)
def test_the_conditional_term_is_the_expected_rise_of_the_joint_energies(seed, scale, classes):
    logits, logits_adv, _ = pair(seed, scale, classes)
    rises = [
        logits.softmax(1)[:, k] * -energy.delta_joint_energy(logits, logits_adv, torch.full((len(logits),), k))
        for k in range(classes)
    ]
    conditional, _ = energy.trades_kl_terms(logits, logits_adv)
    torch.testing.assert_close(conditional, sum(rises), atol=1e-10, rtol=1e-12)


def test_kl_divergence_is_at_least_0_in_single_precision_too_with_the_gradient_that_it_has():
    logits = 10 * torch.randn(20_000, 10, generator=torch.Generator().manual_seed(0))
    near = (logits + 1e-4 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    raw = F.kl_div(near.log_softmax(1), logits.log_softmax(1), reduction="none", log_target=True).sum(1)
    kl = energy.kl_divergence(logits, near)
    assert raw.min() < 0 <= kl.min()
    grads = [torch.autograd.grad(each.sum(), near)[0] for each in (raw, kl)]
    assert torch.equal(*grads)


@PROPERTY
@given(*LOGITS)
def test_kl_divergence_equals_that_of_torch_distributions(seed, scale, classes):
    logits, logits_adv, _ = pair(seed, scale, classes)
    expected = kl_divergence(Categorical(logits=logits), Categorical(logits=logits_adv))
    kl = energy.kl_divergence(logits, logits_adv)
    expected = torch.where(expected.isinf(), kl, expected)  # torch's reading of probabilities below the smallest float
    torch.testing.assert_close(kl, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(kl, plain_kl(logits, logits_adv), atol=1e-10, rtol=1e-10)
    assert (kl > -1e-12 * max(1, scale)).all()
    assert torch.equal(energy.kl_divergence(logits, logits), torch.zeros(len(logits), dtype=torch.float64))


@PROPERTY
@given(*LOGITS)
def test_a_shift_of_all_logits_shifts_every_energy_and_no_loss(seed, scale, classes):
    logits, logits_adv, y = pair(seed, scale, classes)
    shifted = logits + 3.0
    close = {"atol": 1e-11 * max(1, scale), "rtol": 0}
    torch.testing.assert_close(energy.marginal_energy(shifted), energy.marginal_energy(logits) - 3, **close)
    torch.testing.assert_close(energy.joint_energy(shifted, y), energy.joint_energy(logits, y) - 3, **close)
    torch.testing.assert_close(
        energy.kl_divergence(shifted, logits_adv), energy.kl_divergence(logits, logits_adv), **close
    )


def test_energies_of_a_hand_made_example():
    logits = torch.tensor([[0.0, 0.0], [3.0, 3.0]], dtype=torch.float64)
    y = torch.tensor([0, 1])
    log2 = torch.tensor(2.0, dtype=torch.float64).log()
    torch.testing.assert_close(energy.marginal_energy(logits), torch.stack([-log2, -3 - log2]))
    assert energy.joint_energy(logits, y).tolist() == [0.0, -3.0]


def test_delta_energies_are_positive_where_the_adversarial_image_has_the_lower_energy():
    logits = torch.tensor([[1.0, 1.0], [1.0, 1.0], [5.0, 0.0]])
    logits_adv = torch.tensor([[4.0, 4.0], [-2.0, -2.0], [0.0, 5.0]])
    y = torch.tensor([0, 1, 0])
    marginal = energy.delta_marginal_energy(logits, logits_adv)
    joint = energy.delta_joint_energy(logits, logits_adv, y)
    torch.testing.assert_close(marginal, torch.tensor([3.0, -3.0, 0.0]))  # the third moved evidence, and lost none
    torch.testing.assert_close(joint, torch.tensor([3.0, -3.0, -5.0]))  # the attack took 5 from the label


def test_delta_energies_change_sign_with_their_arguments():
    logits, logits_adv, y = pair(0, 5.0, 4)
    marginal, joint = energy.delta_marginal_energy, energy.delta_joint_energy
    assert torch.equal(marginal(logits, logits_adv), -marginal(logits_adv, logits))
    assert torch.equal(joint(logits, logits_adv, y), -joint(logits_adv, logits, y))


FUNCTIONS = {
    "marginal_energy": lambda logits, logits_adv, y: energy.marginal_energy(logits),
    "joint_energy": lambda logits, logits_adv, y: energy.joint_energy(logits, y),
    "delta_marginal_energy": lambda logits, logits_adv, y: energy.delta_marginal_energy(logits, logits_adv),
    "delta_joint_energy": lambda logits, logits_adv, y: energy.delta_joint_energy(logits, logits_adv, y),
    "cross_entropy_terms": lambda logits, logits_adv, y: torch.stack(energy.cross_entropy_terms(logits, y)),
    "trades_kl_terms": lambda logits, logits_adv, y: torch.stack(energy.trades_kl_terms(logits, logits_adv)),
    "kl_divergence": lambda logits, logits_adv, y: energy.kl_divergence(logits, logits_adv),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_gradients_equal_finite_differences(function):
    logits, logits_adv, y = pair(1, 2.0, 4, n=3)
    assert torch.autograd.gradcheck(
        lambda a, b: function(a, b, y), (logits.requires_grad_(), logits_adv.requires_grad_())
    )


def test_gradients_are_softmax_and_one_hot():
    logits, _, y = pair(2, 3.0, 5)
    logits.requires_grad_()
    (marginal,) = torch.autograd.grad(energy.marginal_energy(logits).sum(), logits)
    (joint,) = torch.autograd.grad(energy.joint_energy(logits, y).sum(), logits)
    torch.testing.assert_close(marginal, -logits.softmax(1).detach())
    assert torch.equal(joint, -F.one_hot(y, 5).double())


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_float32_logits_of_ten_thousand_give_finite_values_and_gradients(function):
    logits, logits_adv, y = pair(3, 1e4, 10, dtype=torch.float32)
    value = function(logits.requires_grad_(), logits_adv.requires_grad_(), y)
    value.sum().backward()
    assert value.dtype == torch.float32
    for tensor in (value, logits.grad, logits_adv.grad):
        assert tensor is None or tensor.isfinite().all()


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_quantity_is_of_each_image_alone(function):
    logits, logits_adv, y = pair(4, 3.0, 5)
    whole = function(logits, logits_adv, y)
    assert whole.shape[-1:] == (6,)
    torch.testing.assert_close(whole[..., 2:3], function(logits[2:3], logits_adv[2:3], y[2:3]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_exactly(dtype):
    logits = torch.randn(4, 3).to(dtype)
    widened = energy.full_precision(logits)
    assert widened.dtype == torch.float32
    assert torch.equal(widened.to(dtype), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_is_left_as_it_is(dtype):
    logits = torch.randn(4, 3, dtype=dtype)
    assert energy.full_precision(logits) is logits


def test_widening_carries_gradients():
    logits = torch.randn(4, 3).bfloat16().requires_grad_()
    energy.joint_energy(energy.full_precision(logits), torch.tensor([0, 1, 2, 0])).sum().backward()
    assert torch.equal(logits.grad.float(), -F.one_hot(torch.tensor([0, 1, 2, 0]), 3).float())


def test_the_area_under_the_curve_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(40, generator=generator).mul(3).round()  # with ties
    contrast = torch.randn(30, generator=generator).mul(3).round() + 2
    labels = [1] * 40 + [0] * 30
    expected = roc_auc_score(labels, -torch.cat([real, contrast]).numpy())
    assert energy.energy_auc(real, contrast).item() == pytest.approx(expected, abs=1e-6)
    assert energy.energy_auc(real, real).item() == pytest.approx(0.5)


def test_the_overlap_of_histograms_is_numpys():
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(500, generator=generator), torch.randn(300, generator=generator) + 1
    span = (min(one.min(), other.min()).item(), max(one.max(), other.max()).item())
    counts = [np.histogram(values.numpy(), bins=32, range=span)[0] / len(values) for values in (one, other)]
    assert energy.energy_overlap(one, other, bins=32).item() == pytest.approx(np.minimum(*counts).sum(), abs=5e-3)
    assert energy.energy_overlap(one, one).item() == pytest.approx(1)
    assert energy.energy_overlap(one, one + 100).item() == 0

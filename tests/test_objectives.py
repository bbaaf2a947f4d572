import math

import pytest
import torch
from torch.nn import functional as F

from energy_at import objectives
from energy_at.types import InputError

N, K = 7, 5


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits, logits_adv = 3 * torch.randn(2, N, K, generator=generator, dtype=torch.float64)
    return logits, logits_adv, torch.randint(K, (N,), generator=generator)


# Plain transcriptions: one image at a time, in the formulas' own words.


def log_p(row, k):
    return row[k] - math.log(sum(math.exp(f) for f in row))


def ce(row, label, smoothing=0.0):
    target = [smoothing / len(row) + (1 - smoothing) * (k == label) for k in range(len(row))]
    return -sum(t * log_p(row, k) for k, t in enumerate(target))


def kl(row, row_adv):
    return sum(math.exp(log_p(row, k)) * (log_p(row, k) - log_p(row_adv, k)) for k in range(len(row)))


def marginal(row):
    return -math.log(sum(math.exp(f) for f in row))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def images(*tensors):
    return list(zip(*(t.tolist() for t in tensors), strict=True))


PHI = {"squared": lambda t: t * t, "absolute": abs, "hinge": lambda t: max(t, 0.0) ** 2}


def plain_penalty(logits_ref, logits_adv, y, terms, penalty):
    phi, total = PHI[penalty], 0.0
    if terms in ("marginal", "both"):
        total += mean(phi(marginal(f) - marginal(g)) for f, g in images(logits_ref, logits_adv))
    if terms in ("joint", "both"):
        total += mean(phi(-f[label] + g[label]) for f, g, label in images(logits_ref, logits_adv, y))
    return total


@pytest.mark.parametrize("terms", ["marginal", "joint", "both"])
def test_a_net_with_linear_energies_has_no_curvature_whatever_its_slope(batch, terms):
    start, end, y = batch
    t = torch.linspace(0, 1, N, dtype=torch.float64)
    # joint energies are linear in the logits; the marginal one is linear where all logits move alike
    joint = start + t[:, None] * (end - start)
    marginal = start + t[:, None] * 7.0
    if terms == "joint":
        assert objectives.delta_energy_curvature(start, joint, end, y, t, terms).item() == pytest.approx(0, abs=1e-24)
        assert objectives.delta_energy_curvature(start, joint, end, y, t, "marginal") > 1e-3
    else:
        assert objectives.delta_energy_curvature(start, marginal, start + 7, y, t, terms) < 1e-24


def test_curvature_is_the_squared_deviation_from_the_line(batch):
    start, _, y = batch
    off = torch.arange(1.0, N + 1, dtype=torch.float64)
    t = torch.full((N,), 0.25, dtype=torch.float64)
    between = start + 0.25 * 3.0 + off[:, None]  # all logits alike: E and E(., y) both deviate by ``off``
    found = objectives.delta_energy_curvature(start, between, start + 3.0, y, t)
    assert found.item() == pytest.approx(2 * (off**2).mean().item())
    loss = objectives.linear_der_loss(start[:3], between[:3], start + 3.0, y, t[:3], weight=0.5)
    expected = objectives.at_loss(start + 3.0, y) + 0.5 * 2 * (off[:3] ** 2).mean()
    assert loss.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_at_loss_equals_its_formula(batch, smoothing):
    _, logits_adv, y = batch
    expected = mean(ce(g, label, smoothing) for g, label in images(logits_adv, y))
    assert objectives.at_loss(logits_adv, y, smoothing).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_trades_loss_equals_its_formula(batch, beta, smoothing):
    expected = mean(ce(f, label, smoothing) + beta * kl(f, g) for f, g, label in images(*batch))
    assert objectives.trades_loss(*batch, beta, smoothing).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("variant", ["nat", "adv"])
def test_weat_loss_equals_its_formula(batch, variant, smoothing):
    def weighted(f, g, label):
        weight = 1 / math.log(1 + math.exp(abs(marginal(f))))
        return weight * (ce(f if variant == "nat" else g, label, smoothing) + 6 * kl(f, g))

    expected = mean(weighted(*image) for image in images(*batch))
    assert objectives.weat_loss(*batch, 6.0, variant, smoothing).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("penalty", PHI)
@pytest.mark.parametrize("terms", ["marginal", "joint", "both"])
def test_the_delta_energy_penalty_equals_its_formula(batch, terms, penalty):
    expected = plain_penalty(*batch, terms, penalty)
    assert objectives.delta_energy_penalty(*batch, terms, penalty).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("penalty", PHI)
@pytest.mark.parametrize("terms", ["marginal", "joint", "both"])
def test_der_loss_equals_its_formula(batch, terms, penalty, smoothing):
    _, logits_adv, y = batch
    expected = mean(ce(g, label, smoothing) for g, label in images(logits_adv, y))
    expected += 0.3 * plain_penalty(*batch, terms, penalty)
    loss = objectives.der_loss(*batch, 0.3, terms, penalty, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_der_without_weight_is_standard_adversarial_training(batch):
    logits, logits_adv, y = (t.requires_grad_() if t.is_floating_point() else t for t in batch)
    der, at = objectives.der_loss(logits, logits_adv, y, weight=0.0), objectives.at_loss(logits_adv, y)
    assert torch.equal(der, at)
    gradients = torch.autograd.grad(der, (logits, logits_adv))
    assert not gradients[0].any()
    assert torch.equal(gradients[1], torch.autograd.grad(at, logits_adv)[0])


def test_trades_without_beta_is_standard_training(batch):
    logits, _, y = batch
    assert torch.equal(objectives.trades_loss(*batch, beta=0.0), objectives.at_loss(logits, y))


def test_weat_weights_lie_between_zero_and_one_over_log_two():
    energies = torch.cat([torch.linspace(-50, 50, 1001), torch.tensor([-1e4, 0.0, 1e4])]).double()
    weights = objectives.weat_weights(-energies.unsqueeze(1))  # with one class, E(x) = -f(x)
    plain = 1 / torch.log(1 + torch.exp(energies[:-3].abs()))
    torch.testing.assert_close(weights[:-3], plain, rtol=1e-9, atol=0)
    assert (weights > 0).all()
    assert (weights <= 1 / math.log(2) + 1e-15).all()
    assert weights[-2].item() == pytest.approx(1 / math.log(2), rel=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_weat_weights_stay_exact_where_the_plain_formula_overflows(sign):
    logits = sign * torch.full((2, 3), 1e4)
    assert torch.log(1 + torch.exp(logits.abs())).isinf().all()
    energy = abs(sign * 1e4 + math.log(3))  # log(1 + exp(E)) = E up to exp(-E)
    torch.testing.assert_close(objectives.weat_weights(logits), torch.full((2,), 1 / energy))


def test_weat_weights_carry_no_gradient(batch):
    logits, logits_adv, y = batch
    logits.requires_grad_()
    weights = objectives.weat_weights(logits)
    assert not weights.requires_grad
    per_image = torch.stack(
        [objectives.trades_loss(logits[i : i + 1], logits_adv[i : i + 1], y[i : i + 1], 6.0) for i in range(N)]
    )
    expected = torch.autograd.grad((weights * per_image).mean(), logits)[0]
    torch.testing.assert_close(torch.autograd.grad(objectives.weat_loss(*batch, 6.0), logits)[0], expected)


def test_the_hinge_penalises_only_falling_energies():
    low, high = torch.zeros(2, 3), torch.full((2, 3), 2.0)
    y = torch.tensor([0, 2])
    falls = objectives.delta_energy_penalty(low, high, y, penalty="hinge")  # dE = 0 - (-2) = 2 in both terms
    assert falls.item() == pytest.approx(8.0)
    assert objectives.delta_energy_penalty(high, low, y, penalty="hinge").item() == 0
    for symmetric in ("squared", "absolute"):
        there = objectives.delta_energy_penalty(low, high, y, penalty=symmetric)
        assert torch.equal(there, objectives.delta_energy_penalty(high, low, y, penalty=symmetric))


@pytest.mark.parametrize("penalty", PHI)
@pytest.mark.parametrize("terms", ["marginal", "joint", "both"])
@pytest.mark.parametrize(("detach", "silent"), [("reference", 0), ("adversarial", 1)])
def test_a_detached_side_has_no_gradient_and_the_other_its_own(batch, terms, penalty, detach, silent):
    sides = [t.requires_grad_() for t in batch[:2]]
    value = objectives.delta_energy_penalty(*sides, batch[2], terms, penalty, detach)
    through_both = objectives.delta_energy_penalty(*sides, batch[2], terms, penalty)
    assert torch.equal(value, through_both)
    gradients = torch.autograd.grad(value, sides, allow_unused=True)
    assert gradients[silent] is None
    expected = torch.autograd.grad(through_both, sides)
    assert expected[silent].any()
    assert torch.equal(gradients[1 - silent], expected[1 - silent])


def test_equal_images_are_not_penalised(batch):
    logits, _, y = batch
    for penalty in PHI:
        assert objectives.delta_energy_penalty(logits, logits, y, penalty=penalty).item() == 0


LOSSES = {
    "at": lambda f, g, y: objectives.at_loss(g, y, 0.1),
    "trades": lambda f, g, y: objectives.trades_loss(f, g, y, 6.0, 0.1),
    "weat_adv": lambda f, g, y: objectives.weat_loss(f.detach(), g, y, 6.0, "adv"),  # the weight is no function of g
    "der": lambda f, g, y: objectives.der_loss(f, g, y, 0.5),
    "der_absolute": lambda f, g, y: objectives.der_loss(f, g, y, 0.5, penalty="absolute"),
    "der_hinge": lambda f, g, y: objectives.der_loss(f, g, y, 0.5, penalty="hinge"),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients_equal_finite_differences(batch, loss):
    logits, logits_adv, y = batch
    sides = (logits.requires_grad_(), logits_adv.requires_grad_())
    if loss is LOSSES["weat_adv"]:
        assert torch.autograd.gradcheck(lambda g: loss(logits, g, y), sides[1:])
    else:
        assert torch.autograd.gradcheck(lambda f, g: loss(f, g, y), sides)


@pytest.mark.parametrize("variant", ["nat", "adv"])
def test_weat_differentiates_as_if_its_weights_were_constants(batch, variant):
    logits, logits_adv, y = (t.requires_grad_() if t.is_floating_point() else t for t in batch)
    weights = objectives.weat_weights(logits).tolist()

    def with_constants(f, g):
        classified = f if variant == "nat" else g
        return mean(
            w
            * (objectives.at_loss(classified[i, None], y[i, None]) + 2 * objectives.kl_divergence(f, g)[i, None].sum())
            for i, w in enumerate(weights)
        )

    assert torch.autograd.gradcheck(with_constants, (logits, logits_adv))
    expected = torch.autograd.grad(with_constants(logits, logits_adv), (logits, logits_adv))
    actual = torch.autograd.grad(objectives.weat_loss(logits, logits_adv, y, 2.0, variant), (logits, logits_adv))
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_float32_logits_of_ten_thousand_give_finite_losses_and_gradients(loss):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], requires_grad=True)
    logits_adv = torch.tensor([[-1e4, 1e4, 0.0], [1e4, -1e4, -1e4]], requires_grad=True)
    value = loss(logits, logits_adv, torch.tensor([0, 2]))
    value.backward()
    assert value.isfinite()
    assert logits_adv.grad.isfinite().all()
    assert logits.grad is None or logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *b: objectives.weat_loss(*b, variant="natural"), "variant 'natural' is unknown; use nat or adv"),
        (
            lambda *b: objectives.delta_energy_penalty(*b, terms="all"),
            "terms 'all' is unknown; use marginal, joint or both",
        ),
        (
            lambda *b: objectives.delta_energy_penalty(*b, penalty="cubed"),
            "penalty 'cubed' is unknown; use squared, absolute or hinge",
        ),
        (
            lambda *b: objectives.der_loss(*b, detach="both"),
            "detach 'both' is unknown; use none, reference or adversarial",
        ),
    ],
)
def test_unknown_options_are_refused_with_the_remedy(batch, call, message):
    with pytest.raises(InputError, match=message):
        call(*batch)


def test_the_contrastive_loss_is_twice_the_published_binary_cross_entropy(batch):
    logits, contrast, _ = batch
    evidence = torch.cat([torch.logsumexp(logits, dim=1), torch.logsumexp(contrast, dim=1)])
    real = torch.cat([torch.ones(len(logits)), torch.zeros(len(contrast))]).to(logits)
    published = F.binary_cross_entropy_with_logits(evidence, real)
    torch.testing.assert_close(objectives.contrastive_loss(logits, contrast), 2 * published)
    assert objectives.contrastive_loss(logits + 1000, contrast - 1000).isfinite()

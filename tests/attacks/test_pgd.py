import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn import functional as F

from energy_at.attacks import FGSM, PGD, RSFGSM
from energy_at.attacks.losses import LOSSES
from energy_at.types import InputError
from tests.attacks import NORMS, assert_valid, distances, images, labels, linear, mlp, random_linear

PROPERTY = settings(deadline=None, max_examples=150, derandomize=True, database=None)
CONVEX = [name for name in LOSSES if name != "raise_marginal_energy"]
PIXELS = 12


def two_classes(seed=0):
    """A linear net of two classes, its label-0 images away from the range's ends, and the direction to class 1."""
    net = random_linear(PIXELS, 2, seed)
    x = images(6, 3, 2, 2, seed=seed, low=0.4, high=0.6)
    return net, x, torch.zeros(6, dtype=torch.long), (net[1].weight[1] - net[1].weight[0]).detach().view(1, 3, 2, 2)


def towards(direction, norm):
    return direction.sign() if norm == "Linf" else direction / direction.norm()


@PROPERTY
@given(
    shape=st.sampled_from([(1, 1, 1, 1), (1, 3, 5, 2), (4, 1, 1, 7), (3, 2, 4, 4)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    norm=st.sampled_from(NORMS),
    eps=st.sampled_from([0.0, 1e-4, 8 / 255, 0.5, 3.0]),
    alpha=st.sampled_from([None, 1e-3, 10.0]),
    steps=st.integers(1, 3),
    loss=st.sampled_from(list(LOSSES)),
    start=st.sampled_from(["zero", "uniform", "gaussian", "ternary", "given"]),
    restarts=st.integers(1, 2),
    scale=st.sampled_from([1.0, 1e4]),
    seed=st.integers(0, 10),
)
def test_no_attack_leaves_the_ball_or_the_range(
    shape, dtype, norm, eps, alpha, steps, loss, start, restarts, scale, seed
):
    x, pixels = images(*shape, seed=seed, dtype=dtype), shape[1] * shape[2] * shape[3]
    net, y = random_linear(pixels, 4, seed, scale, dtype), labels(shape[0], 4, seed)
    given_start = x + 2 if start == "given" else None
    restarts = 1 if start == "zero" else restarts
    norm = "Linf" if start == "ternary" else norm
    eps = min(eps, 1.0) if norm == "Linf" else eps
    attack = PGD(eps, alpha, steps, norm, loss, "uniform" if start == "given" else start, restarts, seed=seed)
    x_adv = attack(net, x, y, start=given_start)
    assert_valid(x_adv, x, eps, norm)
    assert x_adv.dtype == dtype
    assert eps > 0 or torch.equal(x_adv, x)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
@pytest.mark.parametrize("start", ["zero", "uniform", "gaussian"])
@pytest.mark.parametrize("targeted", [False, True])
def test_reaches_the_closed_form_optimum_of_a_linear_net_of_two_classes(norm, loss, start, targeted):
    net, x, y, direction = two_classes()
    attack = PGD(0.1, alpha=0.1, steps=40, norm=norm, loss=loss, start=start, targeted=targeted)
    x_adv = attack(net, x, 1 - y if targeted else y)
    torch.testing.assert_close(x_adv, x + 0.1 * towards(direction, norm), atol=1e-9, rtol=0)
    dual = direction.abs().sum() if norm == "Linf" else direction.norm()
    before, after = (LOSSES["margin"](net(image), y) for image in (x, x_adv))
    torch.testing.assert_close(after, before + 0.1 * dual, atol=1e-8, rtol=0)
    torch.testing.assert_close(LOSSES["cross_entropy"](net(x_adv), y), F.softplus(before + 0.1 * dual))


@pytest.mark.parametrize("norm", NORMS)
def test_the_divergence_reaches_one_of_its_two_ends_on_a_linear_net(norm):
    net, x, y, direction = two_classes(1)
    x_adv = PGD(0.1, alpha=0.1, steps=40, norm=norm, loss="kl")(net, x, y)
    dual = direction.abs().sum() if norm == "Linf" else direction.norm()
    reached = ((x_adv - x) * direction).flatten(1).sum(1)
    torch.testing.assert_close(reached.abs(), (0.1 * dual).expand(6), atol=1e-8, rtol=0)


@pytest.mark.parametrize("eps", [0.05, 0.3, 1.0])
@pytest.mark.parametrize(("loss", "sign"), [("raise_joint_energy", -1), ("lower_joint_energy", 1)])
def test_reaches_the_corner_of_ball_and_range_for_the_joint_energy(eps, loss, sign):
    net, x, y = random_linear(PIXELS, 5), images(10, 3, 2, 2), labels(10, 5)
    x_adv = PGD(eps, steps=20, loss=loss)(net, x, y)
    corner = (x + sign * eps * net[1].weight[y].view_as(x).sign()).clamp(0, 1)
    torch.testing.assert_close(x_adv, corner, atol=1e-9, rtol=0)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "kl", "lower_marginal_energy"])
def test_restarts_find_the_best_of_all_corners_of_a_linear_net_of_many_classes(loss):
    net, x, y = random_linear(6, 5, seed=3, scale=2.0), images(5, 1, 2, 3, seed=3), labels(5, 5, seed=3)
    low, high = (x - 0.3).clamp(min=0), (x + 0.3).clamp(max=1)
    choices = torch.tensor(list(itertools.product([False, True], repeat=6))).view(-1, 1, 1, 2, 3)
    values = torch.stack([LOSSES[loss](net(torch.where(choice, high, low)), y, net(x)) for choice in choices])
    # success outranks loss, so images that can be misclassified are judged on labels that cannot be left
    x_adv = PGD(0.3, steps=20, loss=lambda g, y, f: LOSSES[loss](g, y, f), restarts=25)(net, x, y)
    reached = LOSSES[loss](net(x_adv), y, net(x))
    best_is_misclassified = torch.stack(
        [net(torch.where(choice, high, low)).argmax(1) != y for choice in choices]
    ).gather(0, values.argmax(dim=0, keepdim=True))[0]
    assert (reached <= values.amax(dim=0) + 1e-9).all()
    assert best_is_misclassified.any()
    torch.testing.assert_close(
        reached[best_is_misclassified], values.amax(dim=0)[best_is_misclassified], atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_on_a_linear_net_no_attack_ends_below_the_loss_it_started_with(norm, loss, steps):
    net, y = random_linear(PIXELS, 5), labels(10, 5)
    x = images(10, 3, 2, 2, low=0.0 if norm == "Linf" else 0.4, high=1.0 if norm == "Linf" else 0.6)
    attack, twin = (PGD(0.3, steps=steps, norm=norm, loss=loss) for _ in range(2))
    start = twin.draw_start(x)
    before, after = (LOSSES[loss](net(image), y, net(x)) for image in (start, attack(net, x, y)))
    assert (after >= before - 1e-12).all()
    assert (after > before).any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("loss", "sign"),
    [
        ("raise_marginal_energy", 1),
        ("lower_marginal_energy", -1),
        ("raise_joint_energy", 1),
        ("lower_joint_energy", -1),
    ],
)
def test_energy_attacks_move_the_energy_that_they_name_in_the_direction_that_they_name(norm, loss, sign):
    net, x, y = mlp(PIXELS, 5), images(20, 3, 2, 2), labels(20, 5)
    x_adv = PGD(0.1, alpha=0.005, steps=20, norm=norm, loss=loss, start="zero")(net, x, y)

    def energy(image):
        logits = net(image)
        return -logits.exp().sum(1).log() if "marginal" in loss else -logits[range(20), y]

    assert (sign * (energy(x_adv) - energy(x)) > 0).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_a_targeted_attack_raises_the_targets_probability(norm, loss):
    net, x = mlp(PIXELS, 5), images(20, 3, 2, 2)
    target = (net(x).argmax(dim=1) + 1) % 5
    x_adv = PGD(0.2, steps=10, norm=norm, loss=loss, start="zero", targeted=True)(net, x, target)
    before, after = (net(image).softmax(1)[range(20), target] for image in (x, x_adv))
    assert (after > before).all()


@pytest.mark.parametrize("norm", NORMS)
def test_one_step_is_the_step_made_by_hand(norm):
    net, y = mlp(PIXELS, 4), labels(6, 4)
    x = images(6, 3, 2, 2)
    start = (
        x + 0.03 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    ).requires_grad_()
    F.cross_entropy(net(start), y, reduction="sum").backward()
    scale = 1 if norm == "Linf" else start.grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    direction = start.grad.sign() if norm == "Linf" else start.grad / scale
    delta = start.detach() + 0.05 * direction - x
    if norm == "Linf":
        delta = delta.clamp(-0.1, 0.1)
    else:
        delta = delta * (0.1 / delta.flatten(1).norm(dim=1)).clamp(max=1).view(-1, 1, 1, 1)
    actual = PGD(0.1, 0.05, steps=1, norm=norm)(net, x, y, start=start)
    torch.testing.assert_close(actual, (x + delta).clamp(0, 1), atol=1e-12, rtol=0)


def trades_loop(net, x, x_adv, step_size, epsilon, steps):
    """The inner loop of TRADES' published code, in its own words."""
    criterion_kl = nn.KLDivLoss(reduction="sum")
    for _ in range(steps):
        x_adv.requires_grad_()
        with torch.enable_grad():
            loss_kl = criterion_kl(F.log_softmax(net(x_adv), dim=1), F.softmax(net(x), dim=1))
        grad = torch.autograd.grad(loss_kl, [x_adv])[0]
        x_adv = x_adv.detach() + step_size * torch.sign(grad.detach())
        x_adv = torch.min(torch.max(x_adv, x - epsilon), x + epsilon)
        x_adv = torch.clamp(x_adv, 0.0, 1.0)
    return x_adv


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_divergence_attack_equals_trades_published_loop(dtype):
    net, x, y = mlp(PIXELS, 4, dtype=dtype), images(6, 3, 2, 2, dtype=dtype), labels(6, 4)
    start = x + 0.001 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    actual = PGD(0.1, 0.02, steps=10, loss="kl", start="gaussian")(net, x, y, start=start)
    expected = trades_loop(net, x, start.clone(), 0.02, 0.1, 10)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


def test_the_gaussian_start_is_that_of_trades():
    x = images(200, 3, 8, 8)
    noise = PGD(start="gaussian").draw_start(x) - x
    assert noise.std().item() == pytest.approx(0.001, rel=0.02)
    assert abs(noise.mean().item()) < 0.00002
    assert torch.equal(PGD(start="zero").draw_start(x), x)


def mean_margin(net, x_adv, y):
    return LOSSES["margin"](net(x_adv), y).mean()


def misclassified(net, x_adv, y):
    return net(x_adv).argmax(dim=1) != y


@pytest.fixture(scope="module")
def curved():
    net, x = mlp(PIXELS, 4, seed=2), images(200, 3, 2, 2, seed=2)
    return net, x, net(x).argmax(dim=1)


@pytest.mark.parametrize("norm", NORMS)
def test_more_steps_are_at_least_as_strong(curved, norm):
    net, x, y = curved
    eps = 0.15 if norm == "Linf" else 0.4
    attacks = FGSM(eps, norm=norm), PGD(eps, steps=5, norm=norm), PGD(eps, steps=40, norm=norm)
    results = [attack(net, x, y) for attack in attacks]
    margins = [mean_margin(net, x_adv, y).item() for x_adv in results]
    successes = [misclassified(net, x_adv, y).sum().item() for x_adv in results]
    assert margins == sorted(margins)
    assert successes == sorted(successes)
    assert 0 < successes[0] < len(x)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targeted", [False, True])
def test_restarts_keep_every_success_and_raise_the_loss_of_the_rest(curved, norm, targeted):
    net, x, y = curved
    y = (y + 1) % 4 if targeted else y

    def run(restarts):
        attack = PGD(0.12 if norm == "Linf" else 0.3, steps=2, norm=norm, restarts=restarts, targeted=targeted, seed=1)
        x_adv = attack(net, x, y)
        success = (net(x_adv).argmax(dim=1) == y) == targeted
        return success, (-1 if targeted else 1) * LOSSES["cross_entropy"](net(x_adv), y)

    (one, loss_one), (many, loss_many) = run(1), run(6)
    assert (many | ~one).all()
    assert 0 < one.sum() < len(x)
    same = one == many
    assert (loss_many[same] >= loss_one[same]).all()
    assert (loss_many[same] > loss_one[same]).any()


class Threshold(nn.Module):
    """One-pixel images: class 0 from one half upwards, class 1 below it."""

    def forward(self, x):
        pixel = x.flatten(1)
        return torch.cat([pixel, 1 - pixel], dim=1)


@pytest.mark.parametrize("size", [1.0, 1e8])
def test_a_misclassified_restart_wins_over_a_higher_loss_and_the_loss_decides_between_equals(size):
    x, y = torch.full((64, 1, 1, 1), 0.5), torch.zeros(64, dtype=torch.long)

    def brightness(logits_adv, y, logits):
        return size * logits_adv[:, 0]

    def attack(restarts):
        return PGD(0.5, alpha=1e-9, steps=1, loss=brightness, restarts=restarts)  # a step too short to be seen

    single = attack(1)
    runs = torch.stack([single(Threshold(), x, y) for _ in range(3)]).view(3, 64)
    dark = runs < 0.5
    expected = torch.where(dark.any(dim=0), torch.where(dark, runs, -1).amax(dim=0), runs.amax(dim=0))
    assert dark.any(dim=0).logical_and(~dark.all(dim=0)).any()
    assert torch.equal(attack(3)(Threshold(), x, y).flatten(), expected)


def test_restarts_begin_at_the_given_start():
    net, x, y = mlp(PIXELS, 4), images(6, 3, 2, 2), labels(6, 4)
    start = PGD(0.1, steps=30, seed=3)(net, x, y)
    value = [LOSSES["cross_entropy"](net(PGD(0.1, 1e-6, 1, restarts=r)(net, x, y, start)), y) for r in (1, 3)]
    assert (value[1] >= value[0] - 1e-12).all()


def test_a_function_serves_as_loss_and_is_given_the_natural_logits():
    net, x, y = mlp(PIXELS, 4), images(6, 3, 2, 2), labels(6, 4)
    natural = net(x).detach()

    def divergence(logits_adv, labels, logits):
        assert torch.equal(logits, natural)
        assert torch.equal(labels, y)
        return (logits.softmax(1) * (logits.log_softmax(1) - logits_adv.log_softmax(1))).sum(1)

    expected = PGD(loss="kl")(net, x, y)
    torch.testing.assert_close(PGD(loss=divergence)(net, x, y), expected)
    assert torch.equal(PGD(loss=LOSSES["kl"])(net, x, y), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_a_net_that_sees_nothing_leaves_the_start_where_it_is(norm):
    net, x, y = linear(torch.zeros(3, PIXELS)), images(4, 3, 2, 2, dtype=torch.float32), labels(4, 3)
    assert torch.equal(PGD(0.1, norm=norm, start="zero")(net, x, y), x)
    start = PGD(0.1, norm=norm).draw_start(x)
    torch.testing.assert_close(PGD(0.1, norm=norm)(net, x, y), start)


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_whose_logits_are_no_numbers_stays_valid_and_harms_no_other(norm):
    class Breaking(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(PIXELS, 3)

        def forward(self, x):
            return torch.where(x.flatten(1)[:, :1] == 0.5, torch.nan, 1.0) * self.net(x)

    x, y = images(4, 3, 2, 2), labels(4, 3)
    x[1] = 0.5
    attack = PGD(0.1, norm=norm, start="zero")
    x_adv = attack(Breaking(), x, y)
    assert_valid(x_adv, x, 0.1, norm)
    assert torch.equal(x_adv[1], x[1])
    others = [0, 2, 3]
    torch.testing.assert_close(x_adv[others], attack(mlp(PIXELS, 3), x[others], y[others]))


@pytest.mark.parametrize("norm", NORMS)
def test_confident_nets_are_attacked_over_the_whole_radius(norm):
    net, x, y, direction = two_classes()
    net[1].weight.data *= 1e3  # a cross-entropy with gradients of e^-1000 and less, or of full size
    wrong = LOSSES["margin"](net(x), y) > -700  # e^-745 is the smallest double
    x_adv = FGSM(0.1, norm=norm)(net, x, y)
    torch.testing.assert_close(x_adv[wrong], (x + 0.1 * towards(direction, norm))[wrong], atol=1e-9, rtol=0)
    assert wrong.any()


@pytest.mark.parametrize("norm", NORMS)
def test_channels_last_images_are_attacked_alike(norm):
    net, x, y = mlp(PIXELS, 4), images(6, 3, 2, 2), labels(6, 4)
    nhwc = x.to(memory_format=torch.channels_last)
    start = PGD(0.1).draw_start(x)
    x_adv = PGD(0.1, norm=norm)(net, nhwc, y, start=start.to(memory_format=torch.channels_last))
    assert x_adv.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(x_adv, PGD(0.1, norm=norm)(net, x, y, start=start))


def test_the_step_length_defaults_to_two_and_a_half_radii_over_all_steps():
    assert PGD("8/255", steps=10).alpha == 2.5 * (8 / 255) / 10
    assert PGD(0.0).alpha == 0


def test_in_half_precision_the_gradient_of_an_image_does_not_vanish_in_a_large_batch():
    net = linear(torch.tensor([[4.0, -4.0], [-4.0, 4.0]], dtype=torch.float16))
    x = torch.tensor([1.0, 0.0], dtype=torch.float16).view(1, 1, 1, 2)
    y = torch.tensor([0])
    alone = FGSM(0.25)(net, x, y)
    assert alone.flatten().tolist() == [0.75, 0.25]
    many = FGSM(0.25)(net, x.expand(20000, -1, -1, -1), y.expand(20000))
    assert torch.equal(many, alone.expand_as(many))


def test_a_half_precision_net_is_attacked_on_float32_logits():
    net, x, y = random_linear(4, 3, dtype=torch.bfloat16), images(4, 1, 2, 2, dtype=torch.bfloat16), labels(4, 3)
    seen = []

    def spy(logits_adv, y, logits):
        seen.extend([logits_adv.dtype, logits.dtype])
        return LOSSES["cross_entropy"](logits_adv, y)

    PGD(steps=1, restarts=2, loss=spy)(net, x, y)
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": -0.1}, "eps is -0.1, but .*; write for example eps: 8/255"),
        ({"steps": 0}, "steps is 0, but .*; write for example steps: 10"),
        ({"restarts": 0}, "restarts is 0, but .*; write for example restarts: 1"),
        ({"restarts": 3, "start": "zero"}, "3 restarts from x itself repeat one run; use start: uniform"),
        ({"alpha": 0}, "alpha is 0.0, but .*; write for example alpha: 2/255"),
        ({"alpha": "-2/255"}, "alpha is -2/255, but .*; write for example alpha: 2/255"),
        ({"alpha": float("nan")}, "alpha is nan, but"),
        ({"alpha": float("inf")}, "alpha is inf, but"),
        ({"alpha": -1, "eps": 0}, "alpha is -1.0, but"),
        ({"norm": "L0"}, "norm 'L0' is unknown; use Linf or L2"),
        ({"loss": "dlr"}, "loss 'dlr' is unknown; use cross_entropy, kl, .* or lower_joint_energy"),
        ({"start": "random"}, "start 'random' is unknown; use zero, uniform, gaussian or ternary"),
        *(
            (
                {"loss": loss, "targeted": True},
                f"loss '{loss}' has no targeted form; use cross_entropy or margin, or leave targeted: false",
            )
            for loss in LOSSES
            if loss not in ("cross_entropy", "margin")
        ),
    ],
)
def test_values_out_of_range_are_refused_with_the_remedy(options, message):
    with pytest.raises(InputError, match=message):
        PGD(**options)


def test_the_random_start_lies_where_the_single_step_attack_has_it():
    x = images(6, 3, 2, 2)
    assert torch.equal(PGD(0.1).draw_start(x), RSFGSM(0.1).draw_start(x))
    assert distances(PGD(0.1).draw_start(x), x, "Linf").max() <= 0.1


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.linspace(-2, 2, 32).view(2, 1, 4, 4), "images reach from -2 to 2, .*; leave normalisation to the net"),
        (torch.linspace(0, 255, 32).view(2, 1, 4, 4), "images reach from 0 to 255, .*; divide them by 255"),
        (torch.full((2, 1, 4, 4), torch.nan), "images reach from nan"),
    ],
    ids=["normalised", "grey levels", "nan"],
)
def test_the_first_images_are_refused_outside_of_the_range_also_by_a_scaled_copy(x, words):
    net, y, attack = random_linear(16, 3, 0, 1.0, torch.float32), labels(2, 3), PGD(0.1)
    for refusing in (attack, attack.scaled(0.5)):
        with pytest.raises(InputError, match=words):
            refusing(net, x, y)
    attack.scaled(0.5)(net, x.nan_to_num(0).clamp(0, 1), y)
    attack(net, x, y)  # looked at already: a look at a tensor of the GPU waits for it

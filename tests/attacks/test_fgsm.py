import pytest
import torch
from torch.nn import functional as F

from benchmarks.starts import Corners
from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM
from energy_at.attacks.losses import LOSSES
from energy_at.types import InputError
from tests.attacks import NORMS, assert_valid, distances, images, labels, linear, mlp, random_linear

N, PIXELS, K = 8, 12, 4
EPS = 0.1


@pytest.fixture
def setting():
    return mlp(PIXELS, K), images(N, 3, 2, 2), labels(N, K)


def ascent(net, at, y, norm):
    """Direction of steepest ascent of the cross-entropy, one image at a time."""
    directions = []
    for image, label in zip(at, y, strict=True):
        image = image.clone().unsqueeze(0).requires_grad_()
        (-F.log_softmax(net(image), dim=1)[0, label]).backward()
        gradient = image.grad[0]
        directions.append(gradient.sign() if norm == "Linf" else gradient / gradient.square().sum().sqrt())
    return torch.stack(directions)


def into_ball(x_adv, x, eps, norm):
    delta = x_adv - x
    if norm == "Linf":
        delta = delta.clamp(-eps, eps)
    else:
        delta = torch.stack([d * min(1.0, eps / float(d.square().sum().sqrt())) for d in delta])
    return (x + delta).clamp(0, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("alpha", [None, 0.04])
def test_fgsm_equals_its_formula(setting, norm, alpha):
    net, x, y = setting
    expected = into_ball(x + (alpha or EPS) * ascent(net, x, y, norm), x, EPS, norm)
    actual = FGSM(EPS, alpha, norm)(net, x, y)
    torch.testing.assert_close(actual, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("alpha", [None, 0.04])
def test_rs_fgsm_equals_its_formula_from_its_start(setting, norm, alpha):
    net, x, y = setting
    start = RSFGSM(EPS, alpha, norm).draw_start(x)
    expected = into_ball(start + (alpha or 1.25 * EPS) * ascent(net, start, y, norm), x, EPS, norm)
    torch.testing.assert_close(RSFGSM(EPS, alpha, norm)(net, x, y), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(RSFGSM(EPS, alpha, norm, seed=9)(net, x, y, start), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_n_fgsm_equals_its_formula_from_its_start(setting, norm, noise):
    net, x, y = setting
    start = NFGSM(EPS, noise=noise, norm=norm).draw_start(x)
    expected = (start + EPS * ascent(net, start, y, norm)).clamp(0, 1)
    torch.testing.assert_close(NFGSM(EPS, noise=noise, norm=norm)(net, x, y), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_random_starts_fill_the_ball_but_for_the_range_of_pixels(norm):
    x = images(500, 1, 1, 2, low=0.45, high=0.55)
    for attack, radius in ((RSFGSM(EPS, norm=norm), EPS), (NFGSM(EPS, norm=norm), 2 * EPS)):
        starts = distances(attack.draw_start(x), x, norm)
        assert 0.98 * radius < starts.max() <= radius * (1 + 1e-9)
        edge = images(500, 1, 1, 2)
        assert_valid(attack.draw_start(edge), edge, radius, norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("noise", [0.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_n_fgsm_leaves_the_ball_by_no_more_than_its_noise(norm, noise, dtype):
    net, x, y = mlp(4, K, dtype=dtype), images(300, 1, 2, 2, dtype=dtype), labels(300, K)
    x_adv = NFGSM(EPS, noise=noise, norm=norm)(net, x, y)
    assert_valid(x_adv, x, (noise + 1) * EPS, norm)
    assert (distances(x_adv, x, norm) > EPS).any()


@pytest.mark.parametrize("cls", [FGSM, RSFGSM, NFGSM])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_one_step_raises_every_loss_of_a_linear_net_above_its_start(cls, norm, loss):
    net, x, y = random_linear(PIXELS, K, scale=0.5), images(N, 3, 2, 2, low=0.4, high=0.6), labels(N, K)
    eps = 0.02 if loss == "raise_marginal_energy" else EPS  # concave: a long step overshoots
    attack = cls(eps, norm=norm, loss=loss)
    start = cls(eps, norm=norm).draw_start(x)
    value = {
        name: LOSSES[loss](net(image), y, net(x)) for name, image in (("start", start), ("x_adv", attack(net, x, y)))
    }
    if (loss, cls) == ("kl", FGSM):  # flat at x: the direction is one of rounding
        assert (value["x_adv"] >= value["start"]).all()
    else:
        assert (value["x_adv"] > value["start"]).all()


def test_fgsm_is_pgd_with_one_step_from_x(setting):
    assert torch.equal(FGSM(EPS)(*setting), PGD(EPS, EPS, steps=1, start="zero")(*setting))
    assert torch.equal(RSFGSM(EPS)(*setting), PGD(EPS, 1.25 * EPS, steps=1)(*setting))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("cls", [FGSM, RSFGSM, NFGSM])
def test_a_targeted_step_descends_to_the_target(setting, cls, norm):
    net, x, y = setting
    start = cls(EPS, norm=norm).draw_start(x)
    expected = cls(EPS, norm=norm).project(start - cls(EPS).alpha * ascent(net, start, y, norm), x)
    torch.testing.assert_close(cls(EPS, norm=norm, targeted=True)(net, x, y), expected, atol=1e-12, rtol=0)


def test_step_lengths_default_to_those_of_the_papers():
    eps = "8/255"
    lengths = [cls(eps).alpha for cls in (FGSM, RSFGSM, NFGSM)]
    assert lengths == [8 / 255, 1.25 * 8 / 255, 8 / 255]
    assert NFGSM().noise == 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FGSM(-1), "eps is -1.0, but .*; write for example eps: 8/255"),
        (lambda: RSFGSM(-1), "eps is -1.0, but"),
        (lambda: FGSM(alpha=0), "alpha is 0.0, but .*; write for example alpha: 2/255"),
        (lambda: RSFGSM(alpha="-1/255"), "alpha is -1/255, but"),
        (lambda: NFGSM(alpha=float("nan")), "alpha is nan, but"),
        (lambda: NFGSM(start="zero"), "NFGSM starts from noise of its own; leave start out"),
        (lambda: FGSM(start="corner"), "start 'corner' is unknown; use zero, uniform, gaussian or ternary"),
        (lambda: FGSM(norm="L2", start="ternary"), "start: ternary is one of Linf, norm is L2; use uniform"),
        (lambda: NFGSM(noise=0), "noise is 0, but .*; write noise: 2"),
        (lambda: NFGSM(noise=float("nan")), "noise is nan, but"),
        (lambda: NFGSM(noise=float("inf")), "noise is inf, but"),
        (lambda: FGSM(loss="ce"), "loss 'ce' is unknown; use cross_entropy, kl"),
        (lambda: NFGSM(loss="kl", targeted=True), "loss 'kl' has no targeted form; use cross_entropy or margin"),
        (lambda: FGSM("eight"), "'eight' is not a number; write 0.03 or 8/255"),
    ],
)
def test_values_out_of_range_are_refused_with_the_remedy(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_a_third_is_at_the_image_where_a_start_is_handed_on_and_stays_so_from_the_start_drawn_at_random():
    x, generator = torch.full((50, 3, 8, 8), 0.5), torch.Generator().manual_seed(0)

    def end(attack, start=None):  # each net's gradient has signs of its own
        net = linear(torch.randn(10, 192, generator=generator))
        return attack(net, x, torch.randint(10, (50,), generator=generator), start)

    def at_the_image(x_adv):
        return ((x_adv - x).abs() < EPS / 2).float().mean().item()

    handed_on = x
    for _ in range(20):
        handed_on = end(FGSM(EPS), handed_on)
    assert at_the_image(handed_on) == pytest.approx(1 / 3, abs=0.02)
    assert at_the_image(end(FGSM(EPS, start="ternary"))) == pytest.approx(1 / 3, abs=0.02)
    assert at_the_image(end(Corners(EPS))) == pytest.approx(1 / 2, abs=0.02)
    assert at_the_image(end(FGSM(EPS))) == 0

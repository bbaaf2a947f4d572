import pytest
import torch

from energy_at.attacks import PGD
from energy_at.attacks.carlini_wagner import CarliniWagner
from energy_at.types import InputError
from tests.attacks import assert_valid, distances, images, labels, linear, mlp
from tests.attacks.test_base import assert_same, state_of, used_net


def two_classes(seed=0, pixels=16):
    generator = torch.Generator().manual_seed(seed)
    return linear(torch.randn(2, pixels, generator=generator, dtype=torch.float64))


def logit_gap(net, x, y):
    """The true logit's lead over the other of two classes."""
    logits = net(x)
    return (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1)


def boundary_distance(net, x, y):
    weight = net[1].weight
    return logit_gap(net, x, y).abs() / (weight[0] - weight[1]).norm()


def test_a_linear_nets_boundary_is_reached_at_its_closed_form_distance():
    net, x = two_classes(), images(16, 1, 4, 4, low=0.4, high=0.6)
    y = net(x).argmax(dim=1)
    x_adv = CarliniWagner(steps=150, lr=0.005)(net, x, y)
    assert (net(x_adv).argmax(dim=1) != y).all()
    ratio = distances(x_adv, x, "L2") / boundary_distance(net, x, y)
    assert ratio.min() >= 1 - 1e-9
    assert ratio.max() < 1.02


def test_confidence_is_the_margin_that_is_reached():
    net, x = two_classes(), images(16, 1, 4, 4, low=0.4, high=0.6)
    y = net(x).argmax(dim=1)
    gap = -logit_gap(net, CarliniWagner(steps=150, lr=0.005, confidence=0.5)(net, x, y), y)
    assert gap.min() >= 0.5
    assert gap.max() < 0.55


def test_the_targeted_form_reaches_the_label_and_the_same_boundary():
    net, x = two_classes(), images(16, 1, 4, 4, low=0.4, high=0.6)
    y = net(x).argmax(dim=1)
    x_adv = CarliniWagner(steps=150, lr=0.005, targeted=True)(net, x, 1 - y)
    assert torch.equal(net(x_adv).argmax(dim=1), 1 - y)
    assert (distances(x_adv, x, "L2") / boundary_distance(net, x, y)).max() < 1.02


def test_an_image_misclassified_already_comes_back_unchanged():
    net, x = mlp(16, 3), images(16, 1, 4, 4)
    y = labels(16, 3)
    wrong = net(x).argmax(dim=1) != y
    assert wrong.any()
    assert not wrong.all()
    x_adv = CarliniWagner(steps=30, lr=0.1)(net, x, y)
    assert torch.equal(x_adv[wrong], x[wrong])
    assert (distances(x_adv, x, "L2")[~wrong] > 0).all()
    assert_valid(x_adv, x, 4, "L2")


def shortest_by_bisection(net, x, y, rounds=8):
    """For each image the smallest radius at which PGD on the margin succeeds."""
    low, high = torch.zeros(len(x), dtype=x.dtype), torch.full((len(x),), 4.0, dtype=x.dtype)
    for _ in range(rounds):
        middle = (low + high) / 2
        found = torch.tensor(
            [
                (
                    net(PGD(float(r), steps=20, norm="L2", loss="margin", start="zero")(net, x[i], y[i])).argmax(1)
                    != y[i]
                )
                for r, i in zip(middle, torch.arange(len(x)).split(1), strict=True)
            ]
        )
        low, high = torch.where(found, low, middle), torch.where(found, middle, high)
    return high


def test_every_image_of_a_curved_net_is_broken_and_nearer_than_by_pgd():
    net, x = mlp(16, 3, width=16), images(8, 1, 4, 4, low=0.2, high=0.8)
    y = net(x).argmax(dim=1)
    x_adv = CarliniWagner(steps=150, lr=0.02)(net, x, y)
    assert (net(x_adv).argmax(dim=1) != y).all()
    assert (distances(x_adv, x, "L2") <= 1.05 * shortest_by_bisection(net, x, y)).all()


def test_images_that_need_more_than_eps_come_back_unchanged():
    net, x = mlp(16, 3), images(16, 1, 4, 4)
    y = net(x).argmax(dim=1)
    free = CarliniWagner(steps=30, lr=0.1)(net, x, y)
    eps = distances(free, x, "L2").median().item()
    bounded = CarliniWagner(steps=30, lr=0.1, eps=eps)(net, x, y)
    near = distances(free, x, "L2") <= eps
    assert near.any()
    assert not near.all()
    assert torch.equal(bounded[near], free[near])
    assert torch.equal(bounded[~near], x[~near])


def test_the_images_of_a_batch_do_not_influence_each_other():
    net, x = mlp(16, 3), images(6, 1, 4, 4)
    y, attack = net(x).argmax(dim=1), CarliniWagner(steps=20)
    torch.testing.assert_close(attack(net, x, y)[2:4], attack(net, x[2:4], y[2:4]), rtol=0, atol=1e-9)


def test_a_start_is_where_adam_begins():
    net, x = two_classes(), images(4, 1, 4, 4, low=0.4, high=0.6)
    y = net(x).argmax(dim=1)
    far = CarliniWagner(steps=1, binary_search_steps=1)(net, x, y, start=CarliniWagner(steps=150, lr=0.005)(net, x, y))
    assert (net(far).argmax(dim=1) != y).any()


@pytest.mark.parametrize("training", [True, False])
def test_the_net_and_the_global_random_state_are_left_as_they_were(training):
    net = used_net()
    if not training:
        net.eval()
    x, before = images(5, 1, 4, 4, dtype=torch.float32), state_of(net)
    with torch.inference_mode():
        CarliniWagner(steps=2, binary_search_steps=2)(net, x, labels(5, 3))
    assert_same(before, state_of(net))


def test_a_warm_up_scales_eps_only_where_there_is_one():
    assert CarliniWagner(eps=0.5).scaled(0.5).eps == 0.25
    assert CarliniWagner().scaled(0.5).eps is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "Linf"}, "norm is 'Linf'.*use PGD with loss: margin"),
        ({"steps": 0}, "steps is 0.*write for example steps: 200"),
        ({"binary_search_steps": 0}, "binary_search_steps is 0"),
        ({"confidence": -1}, "confidence is -1"),
        ({"lr": 0}, "lr is 0"),
        ({"initial_const": float("inf")}, "initial_const is inf"),
        ({"eps": -0.1}, "eps is -0.1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        CarliniWagner(**arguments)

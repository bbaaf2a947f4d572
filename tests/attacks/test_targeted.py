import pickle

import pytest
import torch

from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM, Attack, CarliniWagner, Targeted
from energy_at.describe import describe
from energy_at.evaluation.robustness import evaluate
from energy_at.evaluation.store import settings
from energy_at.types import InputError
from tests.attacks import NORMS, assert_valid, distances, images, labels, linear, mlp
from tests.attacks.test_base import assert_same, state_of, used_net

K, GROUP = 4, 4  # the grouped net's classes, and the pixels of each


class Recorder(Attack):
    """A targeted attack that notes which labels it is to reach, and moves nothing."""

    targeted = True

    def perturb(self, net, x, y, start, generator):
        self.asked = [*getattr(self, "asked", []), y]
        return x


def grouped_net():
    """Logit k is the sum of the k-th of four groups of pixels, so every two classes lie equally far apart."""
    return linear(torch.eye(K, dtype=torch.float64).repeat_interleave(GROUP, dim=1))


def grouped_batch(n=40):
    net, x = grouped_net(), images(n, 1, 4, 4, low=0.4, high=0.6)
    return net, x, net(x).argmax(dim=1)


def ranked_gaps(net, x, y):
    """By how much the true logit leads each other, [N, K - 1], the runner-up first."""
    logits = net(x).detach()
    gaps = logits.gather(1, y[:, None]) - logits
    return gaps.scatter(1, y[:, None], -1).sort(dim=1).values[:, 1:]


def broken(net, x_adv, y):
    return net(x_adv).argmax(dim=1) != y


@pytest.mark.parametrize(
    ("norm", "target", "rank"),
    [("Linf", "second", 0), ("Linf", "least_likely", -1), ("Linf", "all", 0), ("L2", "second", 0), ("L2", "all", 0)],
)
def test_exactly_the_images_nearer_to_the_target_than_eps_are_broken(norm, target, rank):
    net, x, y = grouped_batch()
    # one pixel of the target's group up and one of the true label's down, each by eps, narrow a gap by 2 eps
    dual = 2 * GROUP if norm == "Linf" else (2 * GROUP) ** 0.5
    reach = ranked_gaps(net, x, y)[:, rank] / dual
    eps = reach.sort().values[[18, 19]].mean().item()
    attack = Targeted(PGD(eps, steps=40, norm=norm, loss="margin", start="zero", targeted=True), target)
    x_adv = attack(net, x, y)
    assert torch.equal(broken(net, x_adv, y), reach < eps)
    assert 0 < (reach < eps).sum() < len(x)
    assert_valid(x_adv, x, eps, norm)


def test_carlini_and_wagner_reach_the_second_class_at_its_closed_form_distance():
    net, x, y = grouped_batch(8)
    attack = Targeted(CarliniWagner(steps=300, lr=0.002, targeted=True), "second")
    x_adv = attack(net, x, y)
    ratio = distances(x_adv, x, "L2") / (ranked_gaps(net, x, y)[:, 0] / (2 * GROUP) ** 0.5)
    assert broken(net, x_adv, y).all()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=0.01, rtol=0)
    assert attack.eps is None


@pytest.mark.parametrize("cls", [FGSM, RSFGSM, NFGSM, PGD])
@pytest.mark.parametrize("target", ["random", "second", "least_likely"])
def test_the_targets_probability_rises(cls, target):
    net, x = mlp(16, 5), images(30, 1, 4, 4)
    y = net(x).argmax(dim=1)
    recorder = Recorder(0.02)
    Targeted(recorder, target)(net, x, y)
    (aim,) = recorder.asked
    x_adv = Targeted(cls(0.02, targeted=True), target)(net, x, y)
    before, after = (net(image).softmax(1)[range(30), aim] for image in (x, x_adv))
    assert (after > before).all()
    assert (aim != y).all()


def test_the_ranks_are_those_of_the_logits_without_the_true_label():
    net, x, y = mlp(16, 5), images(30, 1, 4, 4), labels(30, 5)
    order = [[k for k in row.argsort(descending=True).tolist() if k != y] for row, y in zip(net(x), y, strict=True)]
    asked = {}
    for target in ("second", "least_likely"):
        recorder = Recorder()
        Targeted(recorder, target)(net, x, y)
        asked[target] = recorder.asked[0].tolist()
    assert asked["second"] == [ranked[0] for ranked in order]
    assert asked["least_likely"] == [ranked[-1] for ranked in order]


def test_random_targets_are_uniform_among_the_other_classes():
    net, n = mlp(16, 5), 8000
    x, y = images(n, 1, 4, 4), torch.full((n,), 3)
    recorder = Recorder()
    Targeted(recorder)(net, x, y)
    counts = torch.bincount(recorder.asked[0], minlength=5)
    assert counts[3] == 0
    assert ((counts[[0, 1, 2, 4]] - n / 4).abs() < 5 * (n * 3 / 16) ** 0.5).all()


@pytest.mark.parametrize("norm", NORMS)
def test_all_targets_break_exactly_what_some_target_breaks(norm):
    net, x = mlp(16, 5, seed=1), images(60, 1, 4, 4)
    y = net(x).argmax(dim=1)
    inner = PGD(0.03 if norm == "Linf" else 0.1, steps=5, norm=norm, start="zero", targeted=True)
    each = torch.stack([broken(net, inner(net, x, (y + step) % 5), y) for step in range(1, 5)])
    every = broken(net, Targeted(inner, "all")(net, x, y), y)
    assert torch.equal(every, each.any(dim=0))
    assert each.sum(dim=1).max() < every.sum() < len(x)
    fewer = broken(net, Targeted(inner, "all", classes=2)(net, x, y), y)
    assert (every | ~fewer).all()
    second = broken(net, Targeted(inner, "second")(net, x, y), y)
    assert second.sum() <= fewer.sum() <= every.sum()


def test_all_targets_are_tried_on_images_that_are_still_correct_only():
    net, x = mlp(16, 5), images(30, 1, 4, 4)
    y = net(x).argmax(dim=1)
    y[::3] = (y[::3] + 1) % 5
    recorder = Recorder()
    assert torch.equal(Targeted(recorder, "all", classes=3)(net, x, y), x)
    assert [len(asked) for asked in recorder.asked] == [30, 20, 20]
    assert torch.equal(Targeted(Recorder(), "all")(net, x[::3], y[::3]), x[::3])


@pytest.mark.parametrize("target", ["random", "second", "least_likely", "all"])
def test_of_two_classes_the_other_is_the_target(target):
    net, x = mlp(16, 2), images(12, 1, 4, 4)
    y = net(x).argmax(dim=1)
    inner = PGD(0.1, start="zero", targeted=True)
    expected = PGD(0.1, start="zero")(net, x, y)
    torch.testing.assert_close(Targeted(inner, target)(net, x, y), expected)


def test_a_start_is_where_every_target_begins():
    net, x = mlp(16, 5), images(12, 1, 4, 4)
    y, inner = net(x).argmax(dim=1), PGD(0.01, 1e-9, steps=1, targeted=True)
    start = (x + 0.005).clamp(0, 1)
    x_adv = Targeted(inner, "all")(net, x, y, start=start)
    torch.testing.assert_close(x_adv, start, atol=1e-8, rtol=0)


def test_radius_norm_and_seed_are_those_of_the_attack_within():
    attack = Targeted(PGD("4/255", norm="L2", seed=5, targeted=True), "all", classes=3)
    assert (str(attack.eps), attack.norm, attack.seed) == ("4/255", "L2", 5)
    scaled = attack.scaled(0.5)
    assert (scaled.eps, scaled.attack.eps, scaled.attack.alpha) == (2 / 255, 2 / 255, attack.attack.alpha / 2)
    assert attack.attack.eps == 4 / 255
    net, x = mlp(16, 5), images(6, 1, 4, 4)
    assert torch.equal(attack.scaled(0)(net, x, labels(6, 5)), x)
    free = Targeted(CarliniWagner(targeted=True))
    assert free.scaled(0.5).eps is None


def test_the_seed_decides_targets_and_noise_and_calls_in_succession_differ():
    net, x, y = mlp(16, 5), images(12, 1, 4, 4), labels(12, 5)
    attack, twin = (Targeted(PGD(0.1, steps=2, targeted=True)) for _ in range(2))
    first, copied = attack(net, x, y), pickle.loads(pickle.dumps(attack))
    assert torch.equal(first, twin(net, x, y))
    second = attack(net, x, y)
    assert torch.equal(second, copied(net, x, y))
    assert not torch.equal(first, second)
    given = [attack(net, x, y, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(given[0], given[1])
    assert not torch.equal(given[0], given[2])


@pytest.mark.parametrize("target", ["random", "all"])
@pytest.mark.parametrize("training", [True, False])
def test_the_net_and_the_global_random_state_are_left_as_they_were(target, training):
    net = used_net()
    if not training:
        net.eval()
    x, y, before = images(6, 1, 4, 4, dtype=torch.float32), labels(6, 3), state_of(net)
    with torch.inference_mode():
        x_adv = Targeted(FGSM(0.001, targeted=True), target)(net, x, y)
    assert_same(before, state_of(net))
    assert not x_adv.requires_grad


def test_a_checkpoint_and_a_report_tell_the_attack_within():
    attack = Targeted(PGD("4/255", targeted=True), "second")
    told = describe(attack)["init_args"]
    assert (told["target"], told["attack"]["init_args"]["eps"]) == ("second", "4/255")
    assert settings(attack)["attack"]["eps"] == settings(attack)["eps"] == "4/255"
    assert settings(attack) != settings(Targeted(PGD("4/255", steps=11, targeted=True), "second"))


def test_an_evaluation_takes_a_targeted_attack_wrapped_and_refuses_it_bare():
    net, x = mlp(16, 5, dtype=torch.float32), images(40, 1, 4, 4, dtype=torch.float32)
    y = net(x).argmax(dim=1)
    inner = PGD(0.2, start="zero", targeted=True)
    report = evaluate(net, [(x, y)], {"all": Targeted(inner, "all"), "second": Targeted(inner, "second")})
    expected = [(~broken(net, Targeted(inner, target)(net, x, y), y)).sum() for target in ("all", "second")]
    assert [attack.correct for attack in report.attacks] == expected
    assert report.worst_case_correct == expected[0] < expected[1] < 40
    with pytest.raises(InputError, match=r"attack 'bare' is targeted.*; wrap it: Targeted"):
        evaluate(net, [(x, y)], {"bare": inner})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Targeted(PGD()), "PGD is not targeted, .*; build it with targeted: true"),
        (lambda: Targeted(Targeted(PGD(targeted=True))), "Targeted is not targeted"),
        (lambda: Targeted(PGD(targeted=True), "nearest"), "target 'nearest' is unknown; use random, second"),
        (lambda: Targeted(PGD(targeted=True), classes=0), "classes is 0, .*; write for example classes: 9"),
    ],
)
def test_what_cannot_be_aimed_is_refused_with_the_remedy(build, message):
    with pytest.raises(InputError, match=message):
        build()

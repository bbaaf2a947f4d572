"""Attacks that do not look at the net: made on another one, or mere noise."""

import pytest
import torch

from energy_at import FGSM, PGD, GaussianNoise, InputError, Transfer
from energy_at.evaluation.robustness import evaluate
from energy_at.models import SmallNet
from tests.attacks import linear

X, Y = torch.full((6, 1, 2, 2), 0.5), torch.tensor([0, 1, 2, 3, 0, 1])
CLUE = 0.1 * torch.eye(4).flip(0)[Y].view(6, 1, 2, 2)  # in the pixel that the second net reads for the class


def small(seed):
    torch.manual_seed(seed)
    return SmallNet(width=4, num_classes=3)


def test_transferred_images_are_those_of_the_other_net_in_evaluation_mode():
    x, y = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    attacked, source = small(0), small(1).train()
    statistics = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    attack = PGD(eps=0.1, steps=3)
    made = Transfer(attack, source)(attacked, x, y, generator=torch.Generator().manual_seed(3))
    assert source.training
    assert all(torch.equal(tensor, statistics[name]) for name, tensor in source.state_dict().items())
    assert torch.equal(made, attack(source.eval(), x, y, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(made, attack(attacked.eval(), x, y, generator=torch.Generator().manual_seed(3)))


def test_a_net_that_looks_at_another_pixel_withstands_what_was_made_on_the_first():
    first, second = linear(torch.eye(4)), linear(torch.eye(4).flip(0))
    made = Transfer(FGSM(eps=0.25), first)(second, X, Y)
    own = FGSM(eps=0.25)(first, X, Y)
    assert torch.equal(made, own)
    attacks = {
        "own": FGSM(eps=0.25),
        "itself": Transfer(FGSM(eps=0.25), second),
        "other": Transfer(FGSM(eps=0.25), first),
    }
    own, itself, other = evaluate(second, [(X + CLUE, Y)], attacks).attacks
    assert (own.correct, itself.correct) == (0, 0)
    assert other.correct == 6  # it darkens the first net's pixel of the class, and the second looks at another
    assert (other.settings["class"], other.threat) == ("Transfer", "Linf 0.25")


def test_results_of_other_sources_are_kept_apart(tmp_path):
    net, y = small(0), torch.tensor([0, 1, 2, 0, 1])
    x = torch.rand(5, 1, 8, 8)
    for seed in (1, 2):
        evaluate(net, [(x, y)], {"pgd": Transfer(PGD(eps=0.1, steps=2), small(seed))}, store=tmp_path)
    assert len(list(tmp_path.rglob("pgd-*"))) == 2


def test_noise_has_its_deviation_is_clipped_and_repeats():
    x, y = torch.full((4, 3, 64, 64), 0.5), torch.zeros(4, dtype=torch.long)
    made = GaussianNoise(std=0.1)(linear(torch.eye(4)), x, y)
    step = made - x
    assert step.std().item() == pytest.approx(0.1, rel=0.02)
    assert step.mean().item() == pytest.approx(0, abs=0.002)
    strong = GaussianNoise(std="255/255")(linear(torch.eye(4)), x, y)
    assert (strong.min(), strong.max()) == (0, 1)
    assert torch.equal(made, GaussianNoise(std=0.1)(linear(torch.eye(4)), x, y))
    assert GaussianNoise(std=0.1).scaled(0.5).std == pytest.approx(0.05)


def test_noise_has_no_ball_in_a_report():
    report = evaluate(linear(torch.eye(4)), [(X, Y)], {"noise": GaussianNoise(std=0.1), "fgsm": FGSM(eps=0.25)})
    assert report.attacks[0].threat == "no attack"
    assert report.table().splitlines()[-1].split("  ")[1].strip() == "Linf 0.25"
    assert report.attacks[0].settings["std"] == 0.1
    assert torch.equal(Transfer(GaussianNoise(), small(0))(small(1), X, Y), GaussianNoise()(small(1), X, Y))
    with pytest.raises(InputError, match="std is -1"):
        GaussianNoise(std=-1)

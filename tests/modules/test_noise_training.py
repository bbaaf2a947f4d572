"""Trainings on images that no attack has made: noise has no ball, and the net is judged in the validation's."""

import pytest
import torch

from energy_at import (
    AAER,
    DER,
    ELLE,
    FGSM,
    PGD,
    PGI,
    CarliniWagner,
    GaussianNoise,
    GradAlign,
    InputError,
    LinearDER,
    SmallNet,
    StandardAT,
)
from tests.modules.test_training import fit


def net():
    torch.manual_seed(0)
    return SmallNet(width=4)


def test_a_training_on_noise_is_judged_in_the_ball_of_its_validation(tmp_path):
    module = StandardAT(net(), attack=GaussianNoise(std=0.2), val_attack=PGD(eps=0.2, steps=3))
    metrics = fit(module, tmp_path).callback_metrics
    assert (module.test_attack.eps, module.test_attack.steps, module.test_attack.norm) == (0.2, 20, "Linf")

    images, y = next(iter(module.trainer.val_dataloaders))
    x = images / 255
    x_adv = FGSM(eps=0.2)(module.net.eval(), x, y)
    correct = module.net(x_adv).argmax(dim=1) == y
    assert float(metrics["val/single_step_acc"]) == pytest.approx(float(correct.float().mean()))


@pytest.mark.parametrize("attack", [GaussianNoise(), CarliniWagner()])
@pytest.mark.parametrize("val_attack", [None, GaussianNoise()])
def test_a_training_without_any_radius_is_refused(attack, val_attack):
    words = f"{type(attack).__name__} has no radius in which the net could be judged; write val_attack, for example PGD"
    with pytest.raises(InputError, match=words):
        StandardAT(net(), attack=attack, val_attack=val_attack)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (ELLE, "GaussianNoise has no ball to draw noise from; use FGSM or PGD"),
        (GradAlign, "GaussianNoise has no ball to draw noise from; use FGSM or PGD"),
        (LinearDER, "GaussianNoise has no starting point; use FGSM or PGD"),
        (AAER, "GaussianNoise has no starting point; use FGSM or PGD"),
        (PGI, "GaussianNoise has no starting point; use FGSM or PGD"),
        (lambda *net, **options: DER(*net, reference="start", **options), "no starting point; use reference: natural"),
    ],
)
def test_penalties_that_need_a_ball_or_a_start_refuse_noise(make, words):
    with pytest.raises(InputError, match=words):
        make(net(), attack=GaussianNoise(), val_attack=PGD(eps=0.2))

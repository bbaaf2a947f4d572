"""The metric against energies computed at once by hand, in parts, on several processes and beside other metrics."""

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from energy_at import EnergyStatistics, InputError
from energy_at.metrics import QUANTITIES

LOGITS, LOGITS_ADV = (3 * torch.randn(60, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
Y = torch.arange(60) % 5


def filled(*parts):
    metric = EnergyStatistics()
    for part in parts:
        metric.update(LOGITS[part], LOGITS_ADV[part], Y[part])
    return metric


def by_hand():
    marginal, marginal_adv = (-np.log(np.exp(z.double().numpy()).sum(1)) for z in (LOGITS, LOGITS_ADV))
    joint, joint_adv = (-z.double().numpy()[np.arange(60), Y] for z in (LOGITS, LOGITS_ADV))
    values = (marginal, marginal_adv, marginal - marginal_adv, joint, joint_adv, joint - joint_adv)
    expected = dict(zip(QUANTITIES, values, strict=True))
    lowered = joint_adv - marginal_adv < joint - marginal
    means = {name: value.mean() for name, value in expected.items()}
    stds = {f"{name}_std": value.std() for name, value in expected.items()}
    return means | stds | {"AAE_loss": lowered.mean(), "AAE_joint": (joint_adv < joint).mean()}


def test_means_deviations_and_shares_are_those_of_all_images_at_once():
    found = filled(slice(0, 7), slice(7, 60)).compute()
    expected = by_hand()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("shapes", [((4, 5), (3, 5), (4,)), ((4,), (4,), (4,)), ((4, 5), (4, 5), (3,))])
def test_what_does_not_fit_together_is_refused(shapes):
    logits, logits_adv, y = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(InputError, match=r"logits are .*; give \[N, K\] twice, and \[N\]"):
        EnergyStatistics().update(logits, logits_adv, y.long())


def test_what_two_processes_have_seen_adds_up():
    first, second = filled(slice(0, 20)), filled(slice(20, 60))
    first.merge_state(second)
    assert first.compute() == filled(slice(0, 60)).compute()


def test_it_begins_anew_and_stands_beside_other_metrics():
    metric = filled(slice(0, 30))
    metric.reset()
    metric.update(LOGITS[30:], LOGITS_ADV[30:], Y[30:])
    assert metric.compute() == filled(slice(30, 60)).compute()
    together = MetricCollection({"energies": filled(slice(0, 60)), "acc": MulticlassAccuracy(5)})
    together["acc"].update(LOGITS, Y)
    assert together.compute()["dE_marginal"] == filled(slice(0, 60)).compute()["dE_marginal"]

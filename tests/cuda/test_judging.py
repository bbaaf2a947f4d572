import numpy as np
import pytest
import torch

from energy_at import ClassPCA, Digits, LangevinSampler
from energy_at.attacks import FGSM, PGD
from energy_at.callbacks.statistics import RunningStatistics
from energy_at.evaluation.analysis.measure import analyze
from energy_at.evaluation.robustness import evaluate
from energy_at.generation.batches import generate
from energy_at.generation.noise import sample_seeds
from tests.cuda.nets import EPS, digits, on, small_net

ATTACKS = {"fgsm": FGSM(eps=EPS), "pgd": PGD(eps=EPS, steps=5, start="zero")}


def judged(function, device, **options):
    return function(small_net().eval(), [digits(40), digits(24, seed=5)], ATTACKS, device=device, **options)


def test_an_evaluation_counts_what_it_counts_on_the_cpu(device):
    here, there = (judged(evaluate, place) for place in ("cpu", device))
    assert [row.correct for row in here.rows] == [row.correct for row in there.rows]


def test_an_analysis_measures_what_it_measures_on_the_cpu(device):
    here, there = (judged(analyze, place) for place in ("cpu", device))
    for case, values in here.cases.items():
        for key, value in values.items():
            np.testing.assert_allclose(there.cases[case][key], value, rtol=1e-4, atol=1e-4, err_msg=f"{case} {key}")


@pytest.mark.parametrize("energy", ["joint", "marginal", "conditional"])
def test_generated_images_are_those_of_the_cpu(energy, device):
    data = Digits(eval_batch_size=400)
    images, labels = next(iter(data.batches("train")))
    init = ClassPCA(scale=1.0).fit(images / 255, labels)
    sampler, wanted = LangevinSampler(step_size=0.1, steps=5, noise=0.01, energy=energy), torch.arange(10)
    seeds = sample_seeds(0, wanted)
    here, there = (next(generate(on(place, small_net()), init, sampler, wanted, seeds)) for place in ("cpu", device))
    torch.testing.assert_close(there.x.cpu(), here.x, rtol=0, atol=1e-4)
    torch.testing.assert_close(there.energies.cpu(), here.energies, rtol=1e-4, atol=1e-4)


class Alone:
    def reduce(self, tensor, **_):
        return tensor


def test_histograms_and_statistics_are_those_of_the_cpu(device):
    values = torch.randn(6, 1000, generator=torch.Generator().manual_seed(0))
    found = []
    for place in ("cpu", device):
        statistics = RunningStatistics(5000)
        for part in values.to(place).split(300, dim=1):
            statistics.update(part)
        found.append([each.cpu() for each in (*statistics.mean_std(Alone()), *statistics.histograms(Alone()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)

import pytest
import torch

from energy_at.generation import ClassPCA, EnergyTargets, LangevinSampler, UniformInit
from energy_at.generation.chain import to_bytes
from energy_at.generation.quality.features import Penultimate, extract
from energy_at.generation.quality.judge import judged
from energy_at.generation.quality.tradeoff import Sweep, tradeoff
from energy_at.generation.run import Recipe
from energy_at.types import InputError
from tests.generation import ConvNet, digits

X, Y = digits()
CPU = torch.device("cpu")
NET, JUDGE = ConvNet(), Penultimate(ConvNet())
REAL = extract(JUDGE, [((X * 255).byte(), Y)], CPU)
INDEX = torch.arange(60)


def recipe(scale=0.35, steps=9):
    targets = EnergyTargets().fit(NET, X, Y)
    return Recipe(NET, ClassPCA(scale=scale).fit(X, Y), LangevinSampler(0.02, steps=steps), targets, range(10))


def test_a_curve_is_made_of_runs_of_their_own():
    points = list(tradeoff(recipe(), Sweep([0.2, 1.0], [6, 0], n=60), JUDGE, REAL, CPU, batch_size=25))
    assert [(point.scale, point.steps) for point in points] == [(0.2, 0), (0.2, 6), (1.0, 0), (1.0, 6)]
    for point in points:
        alone = recipe(point.scale, point.steps)
        samples = alone.sample(INDEX)
        expected = judged(extract(JUDGE, [(to_bytes(samples.x), alone.labels(INDEX))], CPU), REAL)
        assert point.mean_steps == pytest.approx(float(samples.steps.double().mean()))
        assert point[3:] == pytest.approx(tuple(expected), rel=1e-3)


def test_the_recipe_is_left_as_it_was():
    its = recipe()
    list(tradeoff(its, Sweep([1.0], [2], n=20), JUDGE, REAL, CPU))
    assert its.init.scale == 0.35
    assert its.sampler.steps == 9


def test_starts_without_a_scale_are_refused():
    its = recipe()._replace(init=UniformInit().fit(X, Y))
    with pytest.raises(InputError, match="UniformInit has no scale"):
        list(tradeoff(its, Sweep(), JUDGE, REAL, CPU))


@pytest.mark.parametrize(
    ("options", "words"), [({"scales": []}, "no scales"), ({"steps": [-1]}, r"steps are \[-1\]"), ({"n": 1}, "n is 1")]
)
def test_impossible_values_are_named(options, words):
    with pytest.raises(InputError, match=words):
        Sweep(**options)

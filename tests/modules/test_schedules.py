"""Schedules against torch's own, and at their published points."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import CyclicLR, MultiStepLR, OneCycleLR

from energy_at.modules import Cosine, Cyclic, OneCycle, Piecewise
from energy_at.types import InputError

STEPS = 40


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2, momentum=0.9)


def rates(opt, scheduler, key="lr", steps=STEPS):
    values = []
    for _ in range(steps):
        values.append(opt.param_groups[0][key])
        opt.step()
        scheduler.step()
    return values


def ours(schedule, key="lr"):
    opt = optimizer()
    return rates(opt, schedule(opt, STEPS), key)


def test_cyclic_is_torchs_triangle():
    opt = optimizer()
    triangle = CyclicLR(opt, base_lr=0.0, max_lr=0.2, step_size_up=STEPS // 2, step_size_down=STEPS // 2)
    assert ours(Cyclic(peak=0.5)) == pytest.approx(rates(opt, triangle), abs=1e-12)


def test_cyclic_with_an_early_peak_reaches_it_there():
    values = ours(Cyclic(peak="2/5"))
    assert max(values) == values[16] == pytest.approx(0.2)
    assert values[0] == 0


def test_piecewise_is_torchs_multistep():
    opt = optimizer()
    assert ours(Piecewise(drops=["20/40", "30/40"])) == pytest.approx(rates(opt, MultiStepLR(opt, [20, 30], 0.1)))


@pytest.mark.parametrize("drop", range(1, STEPS))
def test_a_drop_at_a_fraction_falls_on_its_own_step(drop):
    values = ours(Piecewise(drops=[f"{drop}/{STEPS}"]))
    assert values[drop - 1] == pytest.approx(0.2)
    assert values[drop] == pytest.approx(0.02)


def test_cosine_is_its_formula_after_a_linear_warm_up():
    values = ours(Cosine(warmup=0.25))
    assert values[:10] == pytest.approx([0.2 * step / 10 for step in range(10)])
    assert values[10:] == pytest.approx([0.1 * (1 + math.cos(math.pi * step / 30)) for step in range(30)])


@pytest.mark.parametrize("key", ["lr", "momentum"])
def test_one_cycle_is_torchs_with_its_published_arguments(key):
    opt = optimizer()
    published = OneCycleLR(opt, max_lr=0.2, total_steps=STEPS + 1, pct_start=0.25)
    assert ours(OneCycle(pct_start=0.25), key) == pytest.approx(rates(opt, published, key))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Cyclic(peak=1.5), "peak is 1.5"),
        (lambda: Piecewise(drops=[0.5, 100]), "drop is at 100"),
        (lambda: Piecewise(gamma=0), "gamma is 0"),
        (lambda: Cosine(warmup=-0.1), "warmup is -0.1"),
        (lambda: OneCycle(pct_start=0), "pct_start is 0"),
    ],
)
def test_impossible_values_are_named_with_a_remedy(make, words):
    with pytest.raises(InputError, match=rf"{words}.*write"):
        make()


@pytest.mark.parametrize("schedule", [Cyclic(), Piecewise(), Cosine(0.1), OneCycle()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("longer", [1, 2])
def test_a_training_that_goes_on_has_the_rates_of_its_own_length_from_its_next_step_on(schedule, longer):
    done, keys = 30, ("lr", "momentum")
    before = optimizer()
    scheduler = schedule(before, STEPS)
    for _ in range(done):
        before.step()
        scheduler.step()
    straight = {key: rates(opt, schedule(opt, longer * STEPS), key) for key in keys for opt in [optimizer()]}
    resumed = {}
    for key in keys:
        after = optimizer()
        goes_on = schedule(after, longer * STEPS)
        after.load_state_dict(before.state_dict())
        goes_on.load_state_dict(scheduler.state_dict())
        assert longer > 1 or goes_on.state_dict() == scheduler.state_dict()
        assert goes_on.get_last_lr() == [after.param_groups[0]["lr"]]
        resumed[key] = rates(after, goes_on, key, STEPS - done)
    assert resumed == {key: values[done:] for key, values in straight.items()}

import pytest
import torch
from scipy import stats

from energy_at.generation import noise
from energy_at.generation.noise import choice, normal, random_bits, sample_seeds, uniform

SEEDS = torch.arange(200)


def test_the_mixing_is_that_of_splitmix64():
    words = noise._mix(1234567 + torch.arange(1, 6) * noise._GAMMA)
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [word % 2**64 for word in words.tolist()] == published


def test_a_number_depends_on_its_seed_step_and_place_alone():
    whole = normal(SEEDS, 7, (3, 5))
    assert torch.equal(whole[13:14], normal(torch.tensor([13]), 7, (3, 5)))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(normal(SEEDS[order], 7, (3, 5)), whole[order])
    state = torch.get_rng_state()
    torch.randn(3)
    assert torch.equal(normal(SEEDS, 7, (3, 5)), whole)
    torch.set_rng_state(state)
    normal(SEEDS, 8, (4,))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_count_of_numbers(count):
    assert normal(SEEDS, 0, (count,)).shape == (200, count)
    assert uniform(SEEDS, 0, (count,)).shape == (200, count)
    assert normal(SEEDS[:0], 0, (count,)).shape == (0, count)


def test_numbers_are_standard_normal():
    numbers = normal(SEEDS, 3, (1000,)).double().flatten()
    count = len(numbers)
    assert abs(numbers.mean()) < 4 / count**0.5
    assert abs(numbers.var() - 1) < 4 * (2 / count) ** 0.5
    assert abs(numbers.pow(3).mean()) < 4 * (15 / count) ** 0.5
    assert abs(numbers.pow(4).mean() - 3) < 4 * (96 / count) ** 0.5
    assert stats.kstest(numbers.numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("axis", ["samples", "steps"])
def test_numbers_are_normal_along_samples_and_along_steps(axis):
    if axis == "samples":
        numbers = normal(torch.arange(50_000), 0, (1,)).flatten()
    else:
        numbers = torch.cat([normal(torch.tensor([5]), step, (64,)).flatten() for step in range(500)])
    assert stats.kstest(numbers.numpy(), "norm").pvalue > 0.01


def test_samples_steps_and_places_are_uncorrelated():
    def largest_correlation(rows):
        return float((torch.corrcoef(rows) - torch.eye(len(rows))).abs().max())

    steps = torch.stack([normal(SEEDS, step, (100,)).flatten() for step in range(-3, 20)])
    assert largest_correlation(steps) < 5 / 20_000**0.5
    samples = normal(SEEDS[:30], 0, (20_000,))
    assert largest_correlation(samples) < 5 / 20_000**0.5
    places = normal(torch.arange(20_000), 0, (30,)).T
    assert largest_correlation(places) < 5 / 20_000**0.5
    assert largest_correlation(places.square()) < 5 / 20_000**0.5


def test_every_bit_is_a_fair_coin():
    bits = random_bits(SEEDS, 0, 1000).flatten()
    for place in range(64):
        assert abs(float((bits >> place & 1).float().mean()) - 0.5) < 4 * 0.5 / 200_000**0.5


def test_uniform_numbers():
    numbers = uniform(SEEDS, 0, (1000,)).flatten()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 0.01


def test_choices_are_fair_and_in_range():
    drawn = choice(torch.arange(60_000), 0, torch.full((60_000,), 6))
    assert stats.chisquare(drawn.bincount(minlength=6).numpy()).pvalue > 0.01
    assert drawn.max() == 5
    assert choice(SEEDS, 0, torch.ones(200, dtype=torch.int64)).eq(0).all()
    assert choice(SEEDS, 0, torch.full((200,), 2**32 - 1)).min() >= 0


def test_seeds_of_a_run_differ_and_do_not_depend_on_the_split():
    whole = sample_seeds(3, torch.arange(50_000))
    assert len(whole.unique()) == 50_000
    assert torch.equal(sample_seeds(3, torch.arange(1, 50_000, 2)), whole[1::2])
    assert not torch.isin(sample_seeds(4, torch.arange(50_000)), whole).any()

import itertools

import numpy as np
import pytest
import torch

from energy_at.seeding import seeded_generator


def draws(*entropy):
    return torch.rand(8, generator=seeded_generator("cpu", *entropy))


def test_the_same_integers_give_the_same_draws():
    assert torch.equal(draws(0, 3, 17, 1), draws(0, 3, 17, 1))


def test_every_integer_and_its_place_matter():
    places = set(itertools.permutations((0, 1, 2, 3)))
    seen = {tuple(draws(*entropy).tolist()) for entropy in places}
    assert len(seen) == len(places)


def test_neighbouring_steps_are_uncorrelated():
    noise = torch.stack([torch.randn(4096, generator=seeded_generator("cpu", 0, 0, step, 0)) for step in range(16)])
    correlation = torch.corrcoef(noise) - torch.eye(16)
    assert correlation.abs().max() < 5 / 4096**0.5


def test_the_seed_is_numpys():
    seed = int(np.random.SeedSequence((2, 5, 6)).generate_state(1, np.uint64)[0])
    assert torch.equal(draws(5, 6), torch.rand(8, generator=torch.Generator().manual_seed(seed)))


def test_the_global_random_states_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draws(1, 2, 3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_negative_integers_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        seeded_generator("cpu", -1)

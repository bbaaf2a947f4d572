import numpy as np
import pytest

from energy_at.corruptions import noise
from tests.corruptions import rng

LEVELS = np.repeat([0.2, 0.5, 0.8], 30_000).reshape(3, 100, 100, 3)


@pytest.mark.parametrize(
    ("function", "parameter", "variance"),
    [
        (noise.gaussian_noise, 0.1, lambda x: 0.01 + 0 * x),
        (noise.shot_noise, 50, lambda x: x / 50),
        (noise.speckle_noise, 0.2, lambda x: 0.04 * x**2),
        (noise.impulse_noise, 0.07, lambda x: 0.07 * (0.5 - x + x**2) - (0.07 * (0.5 - x)) ** 2),
    ],
)
def test_mean_and_variance_are_those_of_the_distribution(function, parameter, variance):
    step = function(LEVELS, rng(), parameter) - LEVELS
    x = LEVELS[:, 0, 0, 0]
    mean = 0.07 * (0.5 - x) if function is noise.impulse_noise else 0 * x
    np.testing.assert_allclose(step.mean(axis=(1, 2, 3)), mean, atol=0.003)
    np.testing.assert_allclose(step.var(axis=(1, 2, 3)), variance(x), rtol=0.04)


def test_salt_and_pepper_hit_their_share_of_the_values_and_leave_the_others():
    found = noise.impulse_noise(LEVELS, rng(), 0.07)
    changed = found != LEVELS
    assert changed.mean() == pytest.approx(0.07, abs=0.003)
    assert set(np.unique(found[changed])) == {0, 1}
    assert found[changed].mean() == pytest.approx(0.5, abs=0.02)


def test_shots_are_counted():
    counts = noise.shot_noise(LEVELS, rng(), 50) * 50
    np.testing.assert_allclose(counts, np.rint(counts), rtol=1e-12)

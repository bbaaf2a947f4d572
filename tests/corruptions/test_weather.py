import numpy as np
import pytest

from energy_at.corruptions import weather
from tests.corruptions import floats, rng


class Still:
    """A source of randomness that adds nothing."""

    def uniform(self, low, high, size):
        return np.zeros(size)


def test_heights_between_others_are_their_means():
    corners = np.array([[[0.0, 4], [8, 20]]])
    found = weather._doubled(corners, 1, Still())[0]
    assert np.array_equal(found[::2, ::2], corners[0])
    assert np.array_equal(found[1::2, 1::2], [[8, 8], [8, 8]])  # the torus has the same four corners everywhere
    assert found[0, 1] == (0 + 4 + 8 + 8) / 4
    assert found[1, 0] == (0 + 8 + 8 + 8) / 4


def test_clouds_reach_0_and_1_and_are_smoother_the_faster_the_wobble_decays():
    rough, smooth = (weather.clouds_of(rng(), 50, 32, decay) for decay in (1.75, 3))
    for clouds in (rough, smooth):
        assert clouds.shape == (50, 32, 32)
        assert (clouds.min(axis=(1, 2)) == 0).all()
        assert (clouds.max(axis=(1, 2)) == 1).all()
    assert abs(np.diff(smooth)).mean() < 0.7 * abs(np.diff(rough)).mean()
    assert weather.clouds_of(rng(), 1, 33, 2).shape == (1, 64, 64)


def test_fog_whitens_black_by_none_and_keeps_the_largest_value():
    assert not weather.fog(np.zeros((2, 32, 32, 3)), rng(), 1.5, 1.75).any()
    white = weather.fog(np.ones((2, 32, 32, 3)), rng(), 1.5, 1.75)
    np.testing.assert_allclose(white.min(axis=(1, 2, 3)), 1 / 2.5)
    np.testing.assert_allclose(white.max(axis=(1, 2, 3)), 1)
    grey = weather.fog(floats() * 0.5, rng(), 1.5, 1.75)
    assert (grey.max(axis=(1, 2, 3)) <= 0.5 * floats().max(axis=(1, 2, 3)) + 1e-12).all()


def test_frost_adds_a_part_of_a_photograph():
    x = floats()
    rows, columns = np.mgrid[:40, :50]
    photographs = [np.stack([rows, columns, np.full_like(rows, level)], axis=-1).astype(np.uint8) for level in (1, 2)]
    ice = np.rint((weather.frost(x, rng(), 0.75, 0.45, photographs) - 0.75 * x) * 255 / 0.45)
    tops, lefts, levels = ice[:, 0, 0, 0], ice[:, 0, 0, 1], ice[:, 0, 0, 2]
    assert (ice[..., 0] == tops[:, None, None] + rows[:32, :32]).all()
    assert (ice[..., 1] == lefts[:, None, None] + columns[:32, :32]).all()
    assert set(levels) == {1, 2}
    assert len(set(tops)) > 3
    assert len(set(lefts)) > 3


def test_without_flakes_snow_whitens_only():
    x = floats()
    grey = x @ np.array([0.299, 0.587, 0.114])
    expected = 0.8 * x + 0.2 * np.maximum(x, 1.5 * grey[..., None] + 0.5)
    np.testing.assert_allclose(weather.snow(x, rng(), -9, 0.1, 1.25, 0.6, 8, 3, 0.8), expected)


def test_flakes_lie_as_they_do_upside_down_and_fall_rather_than_fly():
    found = weather.snow(np.zeros((40, 32, 32, 1)), rng(), 0.1, 0.2, 1, 0.6, 10, 4, 1.0)
    np.testing.assert_allclose(found, found[:, ::-1, ::-1])
    down, across = abs(np.diff(found, axis=1)).mean(), abs(np.diff(found, axis=2)).mean()
    assert 0 < down < 0.8 * across
    assert found.mean() == pytest.approx(2 * 0.0040, rel=0.3)  # twice E[z; z > 0.6] with z ~ N(0.1, 0.2)

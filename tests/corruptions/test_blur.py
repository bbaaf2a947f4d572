import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from energy_at.corruptions import blur
from tests.corruptions import floats, rng


def point(side=17):
    x = np.zeros((1, side, side, 1))
    x[0, side // 2, side // 2] = 1
    return x


def test_gaussian_blur_is_scipys():
    x = floats()
    found = blur.gaussian_blur(x, rng(), 0.7)[5, ..., 1]
    np.testing.assert_allclose(found, gaussian_filter(x[5, ..., 1], 0.7, mode="nearest"), atol=1e-12)


@pytest.mark.parametrize(("radius", "pixels"), [(0.4, 1), (1, 5), (1.5, 9)])
def test_a_point_out_of_focus_is_a_disk_with_a_soft_rim(radius, pixels):
    sharp = blur.defocus_blur(point(), rng(), radius, 1e-2)[0, ..., 0]
    assert np.unique(sharp.round(12)).tolist() == pytest.approx([0, 1 / pixels])
    assert (sharp > 0).sum() == pixels
    soft = blur.defocus_blur(point(), rng(), radius, 0.5)[0, ..., 0]
    assert soft.sum() == pytest.approx(1)
    bell = np.exp(-np.array([1, 0, 1]) / (2 * 0.5**2))
    bell /= bell.sum()
    expected = sum(bell[i] * bell[j] * np.roll(sharp, (i - 1, j - 1), axis=(0, 1)) for i in range(3) for j in range(3))
    np.testing.assert_allclose(soft, expected, atol=1e-12)


def test_glass_takes_each_pixel_from_one_of_four_places():
    x = np.arange(32.0 * 32).reshape(1, 32, 32, 1) / 1023
    places = np.rint(1023 * blur._jumbled(x, rng()))[0, ..., 0].astype(int)
    back = np.arange(32 * 32).reshape(32, 32) - places
    inside, rim = back[2:, 2:], np.concatenate([back[:2].ravel(), back[:, :2].ravel()])
    assert sorted(np.unique(inside)) == [0, 1, 32, 33]  # itself, left, above, both
    assert np.unique(inside, return_counts=True)[1].min() > 180  # a quarter of 900
    assert not rim.any()


def test_glass_moves_twice_as_far_in_two_turns():
    x = np.zeros((1, 32, 32, 1))
    x[0, 10, 10] = 1
    where = [np.argwhere(blur.glass_blur(x, rng(seed), 0, 2)[0, ..., 0]) - 10 for seed in range(60)]
    reach = np.concatenate(where)
    assert reach.min() == 0
    assert reach.max() == 2


def test_motion_blur_stays_within_45_degrees_of_the_horizontal():
    found = blur.motion_blur(np.repeat(point(33), 200, axis=0), rng(), 8, 4)[..., 0]
    steps = np.argwhere(found) - [0, 16, 16]
    assert (abs(steps[:, 1]) <= abs(steps[:, 2])).all()
    assert {-1, 1} <= set(np.sign(steps[:, 1]))
    assert found.sum(axis=(1, 2)) == pytest.approx(1, abs=0.02)


def test_zoom_blur_leaves_the_centre_and_smears_the_rim():
    x = floats()
    assert np.allclose(blur.zoom_blur(np.full_like(x, 0.3), rng(), 1.26), 0.3)
    step = abs(blur.zoom_blur(x, rng(), 1.26) - x).mean(axis=(0, 3))
    assert step[14:18, 14:18].mean() < 0.7 * np.concatenate([step[:4], step[-4:]]).mean()
    assert np.allclose(blur.zoom_blur(x, rng(), 1.005), x)  # the enlargement by 1 alone

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from energy_at.corruptions.filters import eight_bits, luminance, smoothed, streaked, zoomed
from tests.corruptions import floats


def test_levels_survive_and_what_lies_between_is_cut_off():
    levels = np.arange(256)
    assert np.array_equal(eight_bits(levels / 255), levels)
    assert eight_bits(np.array([-1, 0.999, 2])).tolist() == [0, 254, 255]


def test_smoothing_is_scipys_for_each_image_and_channel():
    x = floats()[:2]
    for image, found in zip(x, smoothed(x, 0.8), strict=True):
        for channel in range(3):
            expected = gaussian_filter(image[..., channel], 0.8, mode="nearest")
            np.testing.assert_allclose(found[..., channel], expected, atol=1e-12)
    assert np.array_equal(smoothed(x, 0), x)


@pytest.mark.parametrize("factor", [1.0, 1.07, 1.25, 2.25])
def test_zooming_is_scipys_linear_zoom_of_the_centre(factor):
    image = floats()[3]
    side = int(np.ceil(32 / factor))
    top = (32 - side) // 2
    large = zoom(image[top : top + side, top : top + side], (factor, factor, 1), order=1)
    trim = (len(large) - 32) // 2
    np.testing.assert_allclose(zoomed(image[None], factor)[0], large[trim : trim + 32, trim : trim + 32], atol=1e-12)


# what ImageMagick 6.9.11 makes of them with radius 3 and sigma 2
POINT = np.zeros((7, 7))
POINT[0], POINT[3, 3] = 90, 255
FROM_30 = [
    [56, 56, 56, 56, 56, 56, 56],
    [11, 0, 0, 0, 0, 0, 0],
    [28, 51, 0, 0, 0, 0, 0],
    [0, 0, 75, 85, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
]
FROM_MINUS_120 = [
    [90, 90, 90, 90, 90, 90, 90],
    [60, 60, 60, 60, 60, 60, 60],
    [34, 34, 34, 34, 34, 34, 34],
    [15, 15, 15, 100, 15, 15, 15],
    [2, 2, 2, 77, 2, 2, 2],
    [0, 0, 0, 0, 52, 0, 0],
    [0, 0, 0, 0, 28, 11, 0],
]


def test_a_smear_is_imagemagicks():
    x = np.stack([POINT, POINT])[..., None] / 255
    found = streaked(x, np.array([30.0, -120.0]), 3, 2)
    assert np.array_equal(255 * found[..., 0], [FROM_30, FROM_MINUS_120])


def test_grey_is_the_luminance():
    assert luminance(np.ones((1, 1, 1, 3))).item() == pytest.approx(1)
    assert luminance(np.array([[[[1.0, 0, 0]]]])).item() == pytest.approx(0.299)
    grey = np.full((1, 2, 2, 1), 0.4)
    assert luminance(grey) is grey

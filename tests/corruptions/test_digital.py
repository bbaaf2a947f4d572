import colorsys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image

from energy_at.corruptions import digital
from tests.corruptions import floats, photographs, rng

PIXELS = np.concatenate([rng().random((1, 20, 20, 3)), np.full((1, 20, 20, 3), 0.4), np.zeros((1, 20, 20, 3))])


def in_hsv(x, place, change):
    hsv = rgb_to_hsv(x)
    hsv[..., place] = np.clip(change(hsv[..., place]), 0, 1)
    return hsv_to_rgb(hsv)


@pytest.mark.parametrize("shift", [0.05, 0.3])
def test_brightness_is_added_to_the_value_of_hsv(shift):
    np.testing.assert_allclose(
        digital.brightness(PIXELS, rng(), shift), in_hsv(PIXELS, 2, lambda v: v + shift), atol=1e-12
    )


@pytest.mark.parametrize(("factor", "shift"), [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)])
def test_saturation_is_that_of_hsv(factor, shift):
    found = digital.saturate(PIXELS, rng(), factor, shift)
    np.testing.assert_allclose(found, in_hsv(PIXELS, 1, lambda s: factor * s + shift), atol=1e-12)
    hue, s, value = colorsys.rgb_to_hsv(*PIXELS[0, 3, 4])
    assert found[0, 3, 4] == pytest.approx(colorsys.hsv_to_rgb(hue, min(1, factor * s + shift), value))


def test_a_grey_image_has_no_saturation_and_brightens_as_it_is():
    x = PIXELS[:, ..., :1]
    assert np.array_equal(digital.saturate(x, rng(), 2.5, 0.2), x)
    np.testing.assert_allclose(digital.brightness(x, rng(), 0.3), np.clip(x + 0.3, 0, 1), atol=1e-12)


def test_contrast_scales_each_channel_about_its_mean():
    x = floats()
    found = digital.contrast(x, rng(), 0.4)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), x.mean(axis=(1, 2)))
    np.testing.assert_allclose(found.std(axis=(1, 2)), 0.4 * x.std(axis=(1, 2)))


@pytest.mark.parametrize("quality", [80, 40])
@pytest.mark.parametrize("channels", [3, 1])
def test_jpeg_is_what_pillow_reads_back(quality, channels):
    levels = photographs().transpose(0, 2, 3, 1)[:4, ..., :channels]
    found = 255 * digital.jpeg_compression(levels / 255, rng(), quality)
    for image, read in zip(levels, found, strict=True):
        file = BytesIO()
        Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
        assert np.array_equal(read.squeeze(), np.asarray(Image.open(file)))
    assert not np.array_equal(found, levels)


def test_pixelate_at_half_the_size_repeats_the_means_of_four():
    levels = photographs().transpose(0, 2, 3, 1)
    found = 255 * digital.pixelate(levels / 255, rng(), 0.5)
    means = levels.reshape(16, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert (
        abs(found - means.repeat(2, axis=1).repeat(2, axis=2)).max() <= 1
    )  # Pillow rounds after the rows and after the columns


def test_pixelate_reduces_to_the_share_cut_off():
    levels = photographs()[0].transpose(1, 2, 0)
    small = Image.fromarray(levels).resize((20, 20), Image.Resampling.BOX)  # 0.65 of 32 are 20.8
    expected = np.asarray(small.resize((32, 32), Image.Resampling.BOX))
    assert np.array_equal(255 * digital.pixelate(levels[None] / 255, rng(), 0.65)[0], expected)

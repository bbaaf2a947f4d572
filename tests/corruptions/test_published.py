import warnings

import numpy as np
import pytest

from energy_at.corruptions import BENCHMARK, KINDS, check_corruption, corrupt
from energy_at.types import InputError
from tests.corruptions import photographs, rng

ICE = [rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)]
# of the others a severity changes more than one parameter, or turns round: saturate
ORDERED = [
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "gaussian_blur", "defocus_blur", "motion_blur"),
    *("zoom_blur", "snow", "fog", "brightness", "contrast", "pixelate", "jpeg_compression"),
]
WITHOUT_NOISE = [
    *("gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate"),
    "jpeg_compression",
]


def made(kind, severity, images=None, seed=0):
    images = photographs() if images is None else images
    return corrupt(images, kind, severity, rng(seed), ICE if kind == "frost" else None)


def distance(kind, severity):
    return np.abs(made(kind, severity).astype(int) - photographs()).mean()


def test_there_are_the_fifteen_kinds_of_the_benchmark_and_four_more():
    assert len(set(KINDS)) == 19
    assert (BENCHMARK[0], BENCHMARK[-1]) == ("gaussian_noise", "jpeg_compression")


@pytest.mark.parametrize("kind", KINDS)
def test_every_severity_changes_images_and_a_seed_repeats_them(kind):
    before = photographs().copy()
    for severity in range(1, 6):
        found = made(kind, severity)
        assert (found.shape, found.dtype) == (before.shape, np.uint8)
        assert np.array_equal(found, made(kind, severity))
        assert not np.array_equal(found, before)
        assert np.array_equal(found, made(kind, severity, seed=1)) == (kind in WITHOUT_NOISE)
    assert np.array_equal(photographs(), before)


@pytest.mark.parametrize("kind", ORDERED)
def test_a_higher_severity_lies_farther_away(kind):
    distances = [distance(kind, severity) for severity in range(1, 6)]
    assert distances == sorted(distances)
    assert distances[4] > 1.3 * distances[0]


@pytest.mark.parametrize("kind", WITHOUT_NOISE)
def test_images_of_a_batch_do_not_influence_each_other(kind):
    assert np.array_equal(made(kind, 5)[3:4], made(kind, 5, photographs()[3:4]))


def test_values_are_cut_off_to_eight_bits():
    levels = np.full((1, 3, 32, 32), 10, np.uint8)
    levels[..., 0] = 20
    mean = 10 + 10 / 32
    assert set(np.unique(made("contrast", 2, levels))) == {int(mean + 0.5 * (10 - mean)), int(mean + 0.5 * (20 - mean))}


@pytest.mark.parametrize("kind", KINDS)
def test_grey_images_and_other_sizes_are_corrupted_with_a_warning(kind):
    small = photographs()[:, :1, :8, :12]
    with pytest.warns(UserWarning, match="published for images of 32x32 pixels, and these are 12x8"):
        found = made(kind, 5, small)
    assert found.shape == small.shape
    assert kind == "saturate" or not np.array_equal(found, small)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(kind, 1, photographs()[:1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fogg", 3, None, 0), "kind 'fogg' is unknown; use gaussian_noise, "),
        (("fog", 0, None, 0), "severity is 0, but severities are 1 to 5"),
        (("fog", 2.5, None, 0), "severity is 2.5"),
        (("fog", 3, "folder", 0), "fog takes no photographs"),
        (("fog", 3, None, -1), "seed is -1"),
    ],
)
def test_what_is_no_corruption_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        check_corruption(*arguments)


def test_images_of_two_channels_are_refused():
    with pytest.raises(InputError, match="images have 2 channels"):
        made("fog", 3, photographs()[:, :2])

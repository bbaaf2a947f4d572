import numpy as np
import pytest
from PIL import Image

from energy_at.data.random_crop import random_box, random_resized_crop


@pytest.mark.parametrize(("width", "height"), [(100, 80), (30, 400), (1, 1), (640, 12)])
def test_boxes_lie_inside_with_the_stated_area_and_shape(width, height):
    rng = np.random.default_rng(0)
    for _ in range(300):
        left, top, w, h = random_box(width, height, rng)
        assert left >= 0
        assert top >= 0
        assert 0 < w <= width - left
        assert 0 < h <= height - top
        if (width, height) == (100, 80):
            assert 0.07 < w * h / 8000 <= 1
            assert 0.7 < w / h < 1.4


def test_decoding_at_a_fraction_of_the_size_stays_close_to_decoding_it_all(tmp_path):
    grid = np.linspace(0, 6, 256)
    smooth = np.stack([np.sin(grid)[:, None] * np.cos(k * grid)[None] for k in (1, 2, 3)], axis=-1)
    Image.fromarray(np.uint8(127 + 120 * smooth)).save(tmp_path / "a.jpg", quality=95)
    full = Image.open(tmp_path / "a.jpg").convert("RGB")
    for seed in range(20):
        with Image.open(tmp_path / "a.jpg") as image:
            fast = random_resized_crop(image, 24, np.random.default_rng(seed))
        exact = random_resized_crop(full, 24, np.random.default_rng(seed))
        assert np.abs(np.asarray(fast, int) - np.asarray(exact, int)).mean() < 3

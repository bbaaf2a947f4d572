import numpy as np
import pytest
from PIL import Image

from energy_at.corruptions import corrupt, read_photographs
from energy_at.types import InputError
from tests.corruptions import photographs, rng


def test_they_are_reduced_to_a_fifth_without_smoothing(tmp_path):
    large = rng().integers(0, 256, (200, 250, 3), dtype=np.uint8)
    Image.fromarray(large).save(tmp_path / "a.png")
    (found,) = read_photographs(tmp_path)
    assert np.array_equal(found, large[2::5, 2::5])


def test_what_is_no_folder_of_photographs_is_named(tmp_path):
    with pytest.raises(InputError, match=r"which energy-at does not have; give the folder of frost1.png"):
        read_photographs(None)
    with pytest.raises(InputError, match=r"no .jpg, .jpeg, .png, .webp or .bmp images in .*absent"):
        read_photographs(tmp_path / "absent")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a.png is missing or damaged"):
        read_photographs(tmp_path)


def test_frost_without_photographs_or_with_small_ones_is_refused():
    for given in (None, [], [np.zeros((32, 60, 3), np.uint8)]):
        with pytest.raises(InputError, match="frost needs photographs larger than five times 32x32"):
            corrupt(photographs(), "frost", 3, rng(), given)

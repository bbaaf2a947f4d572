import numpy as np
import pytest
import torch
from PIL import Image

from energy_at.generation import FolderInit
from energy_at.types import InputError


def fitted(folder, channels=3, **options):
    images, labels = torch.rand(20, channels, 8, 8), torch.arange(20) % 2
    return FolderInit(str(folder), **options).fit(images, labels)


@pytest.fixture
def folder(tmp_path):
    """Three images of one colour each, of several sizes and modes, in subfolders."""
    for name, mode, size, colour in [("a/red.png", "RGB", (30, 8), (255, 0, 0)), ("b/grey.JPG", "L", (9, 40), 100)]:
        (tmp_path / name).parent.mkdir()
        Image.new(mode, size, colour).save(tmp_path / name)
    Image.new("RGBA", (8, 8), (0, 0, 255, 10)).save(tmp_path / "blue.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_starts_are_the_folders_images_whatever_the_class(folder):
    seeds = torch.arange(300)
    x0 = fitted(folder).sample(seeds % 2, seeds)
    assert x0.shape == (300, 3, 8, 8)
    colours = (x0.mean(dim=(2, 3)) * 255).round().unique(dim=0)
    np.testing.assert_array_equal(colours, [[0, 0, 255], [100, 100, 100], [255, 0, 0]])
    counts = [(x0[:, 2, 0, 0] == value).sum().item() for value in (0.0, 1.0)]
    assert all(70 < count < 130 for count in counts)


def test_colours_become_grey_where_the_images_are(folder):
    x0 = fitted(folder, channels=1).sample(torch.zeros(50, dtype=torch.int64), torch.arange(50))
    assert x0.shape == (50, 1, 8, 8)


def test_a_picture_is_cropped_in_its_middle(tmp_path):
    Image.fromarray(np.repeat(np.arange(24, dtype=np.uint8)[None] * 10, 8, axis=0)).save(tmp_path / "ramp.png")
    x0 = fitted(tmp_path, channels=1).sample(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    np.testing.assert_array_equal((x0[0, 0, 0] * 255).round(), np.arange(8, 16) * 10)


def test_a_limit_reads_evenly(folder):
    assert len(fitted(folder, limit=2)["outside"]) == 2


def test_an_empty_folder_and_a_broken_file_are_told(tmp_path):
    with pytest.raises(InputError, match="images; give a folder that does"):
        fitted(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.png is missing or damaged"):
        fitted(tmp_path)
    with pytest.raises(InputError, match="limit: 10000"):
        FolderInit("x", limit=0)

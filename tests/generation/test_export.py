import errno
import gc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from energy_at.data.synthetic import read_synthetic
from energy_at.files import WriteError
from energy_at.generation.export import picture, write_npz, write_png
from tests.generation.test_batch_files import batch_of

NAMES = [f"class-{label}" for label in range(10)]


def batches(channels=3, sizes=(5, 5, 2)):
    """Batches of random images; all of them, and their labels."""
    random, index = torch.Generator().manual_seed(0), 0
    for size in sizes:
        image = torch.randint(256, (size, channels, 4, 6), generator=random, dtype=torch.uint8)
        yield batch_of(torch.arange(index, index + size))._replace(image=image)
        index += size


def whole(channels=3):
    return torch.cat([batch.image for batch in batches(channels)])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_npz_holds_every_image_and_serves_as_training_data(tmp_path, channels):
    write_npz(tmp_path / "images.npz", batches(channels), 12)
    with np.load(tmp_path / "images.npz") as file:
        assert file["image"].dtype == np.uint8
        np.testing.assert_array_equal(file["image"], whole(channels).permute(0, 2, 3, 1))
        np.testing.assert_array_equal(file["label"], np.arange(12) % 10)
    images, labels = read_synthetic(tmp_path / "images.npz", (channels, 4, 6), 10)
    np.testing.assert_array_equal(images, whole(channels))
    np.testing.assert_array_equal(labels, np.arange(12) % 10)
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]


def test_no_more_than_a_batch_is_in_memory(tmp_path):
    alive = []

    def watched():
        for batch in batches(sizes=[4] * 10):
            alive.append(weakref.ref(batch.image))
            yield batch
            del batch
            gc.collect()
            assert sum(image() is not None for image in alive) <= 1

    write_npz(tmp_path / "images.npz", watched(), 40)
    assert len(alive) == 10


@pytest.mark.parametrize("channels", [1, 3])
def test_png_files_hold_every_image_in_its_class(tmp_path, channels):
    write_png(tmp_path / "images", batches(channels), NAMES)
    assert len(list(tmp_path.rglob("*.png"))) == 12
    for index, image in enumerate(whole(channels)):
        with Image.open(tmp_path / "images" / f"class-{index % 10}" / f"{index:08d}.png") as file:
            assert file.mode == ("L" if channels == 1 else "RGB")
            np.testing.assert_array_equal(np.array(file).reshape(4, 6, channels), image.permute(1, 2, 0))


def test_a_second_export_replaces_the_first(tmp_path):
    write_png(tmp_path / "images", batches(), NAMES)
    write_png(tmp_path / "images", batches(sizes=(3,)), NAMES)
    assert len(list(tmp_path.rglob("*.png"))) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_an_export_that_fails_leaves_the_earlier_one(tmp_path):
    write_npz(tmp_path / "images.npz", batches(), 12)

    def broken():
        yield from batches(sizes=(5,))
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        write_npz(tmp_path / "images.npz", broken(), 12)
    with np.load(tmp_path / "images.npz") as file:
        assert len(file["image"]) == 12
    with pytest.raises(OSError, match="disk gone"):
        write_png(tmp_path / "images", broken(), NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]


def test_a_full_disk_is_told_and_what_a_kill_has_left_is_removed(tmp_path):
    (tmp_path / ".images.1" / "class-0").mkdir(parents=True)

    def full():
        yield from batches(sizes=(5,))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError, match="images cannot be written"):
        write_png(tmp_path / "images", full(), NAMES)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_its_image():
    image = whole()[0]
    np.testing.assert_array_equal(np.array(picture(image)), image.permute(1, 2, 0))

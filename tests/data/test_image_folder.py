import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from energy_at.data import ImageFolder
from energy_at.data.decoding import CACHE
from energy_at.types import InputError
from tests.data import standins


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def test_decoded_images_are_cached_until_a_file_changes(tmp_path, monkeypatch):
    standins.write_image_folder(tmp_path)
    before = ready(ImageFolder(tmp_path)).arrays("test")[0]
    with monkeypatch.context() as patch:
        patch.setattr("energy_at.data.decoding.decode", None)
        assert torch.equal(ready(ImageFolder(tmp_path)).arrays("test")[0], before)
    Image.new("RGB", (16, 16), (1, 2, 3)).save(tmp_path / "test/cat/0000.png")
    after = ready(ImageFolder(tmp_path)).arrays("test")[0]
    assert after[0, :, 0, 0].tolist() == [1, 2, 3]
    assert torch.equal(after[1:], before[1:])
    assert len(list((tmp_path / CACHE).glob("test-*.npy"))) == 1


def test_a_cache_cut_short_is_decoded_again(tmp_path):
    standins.write_image_folder(tmp_path)
    before = ready(ImageFolder(tmp_path)).arrays("train")[0]
    for cache in (tmp_path / CACHE).glob("*.npy"):
        cache.write_bytes(cache.read_bytes()[:500])
    assert torch.equal(ready(ImageFolder(tmp_path)).arrays("train")[0], before)


def test_without_room_for_the_cache_it_goes_on_with_a_warning(tmp_path):
    written = standins.write_image_folder(tmp_path)
    (tmp_path / CACHE).write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match="not cached"):
        assert np.array_equal(ready(ImageFolder(tmp_path)).arrays("test")[0], written["test"][0])


def test_every_colour_mode_becomes_rgb(tmp_path):
    standins.write_image_folder(tmp_path, n_test=1)
    for mode in ("L", "RGBA", "CMYK", "P", "1"):
        suffix = "jpg" if mode == "CMYK" else "png"
        Image.new(mode, (16, 16), 0).save(tmp_path / f"test/cat/{mode}.{suffix}")
    with warnings.catch_warnings(action="error"):
        images, labels = ready(ImageFolder(tmp_path)).arrays("test")
    assert images.shape == (7, 3, 16, 16)
    assert labels.tolist() == [0] * 6 + [1]


def test_other_sizes_are_resized_or_refused(tmp_path):
    standins.write_image_folder(tmp_path)
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    large.save(tmp_path / "train/dog/9999.png")
    with pytest.raises(InputError, match=r"9999\.png is 60x40 pixels where 16x16 was expected; give image_size"):
        ready(ImageFolder(tmp_path))
    data = ready(ImageFolder(tmp_path, image_size=16, val_size=0))
    expected = large.resize((24, 16), Image.Resampling.BILINEAR).crop((4, 0, 20, 16))
    assert np.array_equal(data.arrays("train")[0][-1], np.asarray(expected).transpose(2, 0, 1))


def test_a_damaged_image_is_named(tmp_path):
    standins.write_image_folder(tmp_path, suffix=".jpg")
    path = tmp_path / "train/dog/0015.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"dog/0015\.jpg is missing or damaged .*replace or remove this image"):
        ready(ImageFolder(tmp_path))


def test_files_that_other_systems_leave_behind_are_no_images(tmp_path):
    written = standins.write_image_folder(tmp_path)
    for name in ("._0000.png", ".hidden.jpg", ".DS_Store", "Thumbs.db", "notes.txt"):
        (tmp_path / "test/cat" / name).write_bytes(b"\x00\x05\x16\x07")
    assert np.array_equal(ready(ImageFolder(tmp_path)).arrays("test")[0], written["test"][0])


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".WEBP"])
def test_other_formats_without_loss_are_read_too(tmp_path, suffix):
    written = standins.write_image_folder(tmp_path)
    for path in [*tmp_path.rglob("*.png")]:
        with Image.open(path) as image:
            image.save(path.with_suffix(suffix), lossless=True)
        path.unlink()
    assert np.array_equal(ready(ImageFolder(tmp_path)).arrays("test")[0], written["test"][0])


def test_one_class_is_refused(tmp_path):
    standins.write_image_folder(tmp_path)
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / split / "dog")
    with pytest.raises(InputError, match="train has one class folder, but a classifier tells two or more apart; add"):
        ImageFolder(tmp_path)


def test_folders_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*train; expected .*<class>/<image>\.jpg"):
        ImageFolder(tmp_path)
    standins.write_image_folder(tmp_path)
    with pytest.raises(InputError, match="2 class folders, not num_classes=3; correct"):
        ImageFolder(tmp_path, num_classes=3)
    with pytest.raises(InputError, match=r"take .* GB decoded, more than max_memory_gb=1e-08; use ImageNet"):
        ready(ImageFolder(tmp_path, max_memory_gb=1e-8))
    (tmp_path / "train/fox").mkdir()
    with pytest.raises(InputError, match=r"test and .*train have different classes \(fox in one only\)"):
        ImageFolder(tmp_path)
    (tmp_path / "test/fox").mkdir()
    with pytest.raises(InputError, match=r"train/fox has no .* images; add some or remove the folder"):
        ready(ImageFolder(tmp_path))

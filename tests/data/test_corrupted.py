import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap
from PIL import Image

from energy_at.corruptions import corrupt
from energy_at.data import CIFAR10, CIFAR100, Corrupted, Digits, ImageFolder
from energy_at.data.sampling import generator
from energy_at.types import InputError
from tests.data import standins

ROWS = 50_000


@pytest.fixture
def published(tmp_path):
    """The folder as published; where nothing is written, files are sparse. Each image's first value is its severity."""
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    fog = open_memmap(folder / "fog.npy", "w+", np.uint8, (ROWS, 32, 32, 3))
    fog[:: ROWS // 5, 1, 2] = [3, 4, 5]
    fog[:, 0, 0, 0] = np.repeat(range(1, 6), ROWS // 5)
    np.save(folder / "labels.npy", np.tile(np.arange(ROWS // 5) % 10, 5).astype(np.uint8))
    return folder


@pytest.mark.parametrize("severity", [1, 5])
def test_the_published_rows_of_a_severity_take_the_place_of_the_test_images(published, severity):
    data = CIFAR10(published / "no CIFAR-10", download=False, corruption=Corrupted("fog", severity, files=published))
    data.setup("test")
    images, labels = data.arrays("test")
    assert images.shape == (10_000, 3, 32, 32)
    assert (images[:, 0, 0, 0] == severity).all()
    assert images[0, :, 1, 2].tolist() == [3, 4, 5]
    assert torch.equal(labels, torch.arange(10_000) % 10)
    assert data.title("test") == f"published fog-{severity} test"


def test_the_published_files_of_another_data_set_are_refused(published):
    data = CIFAR100(published, download=False, corruption=Corrupted("fog", files=published))
    with pytest.raises(InputError, match="CIFAR-10-C has images of 10 classes, expected 100; give this data set's own"):
        data.setup("test")


def test_a_corruption_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"corruption is 'fog', expected Corrupted\(kind\)"):
        Digits(corruption="fog")


def test_test_images_are_corrupted_as_a_seed_says_and_no_others(tmp_path):
    standins.write_cifar10(tmp_path)
    with standins.unchecked():
        plain, foggy, other = (
            CIFAR10(tmp_path, download=False, corruption=corruption, eval_batch_size=size)
            for corruption, size in ((None, 20), (Corrupted("fog", 3), 7), (Corrupted("fog", 3, seed=1), 20))
        )
        images, labels = plain.arrays("test")
        found, same_labels = foggy.arrays("test")
        assert np.array_equal(found, corrupt(images.numpy(), "fog", 3, generator(0, 1)))
        assert torch.equal(labels, same_labels)
        assert not torch.equal(found, other.arrays("test")[0])
        for split in ("train", "val"):
            assert torch.equal(plain.arrays(split)[0], foggy.arrays(split)[0])
        batches = torch.cat([x for x, _ in foggy.batches("test")])
        assert torch.equal(batches, found)
    assert (foggy.title("test"), foggy.title("val"), plain.title("test")) == ("fog-3 test", "val", "test")


def test_more_images_than_are_corrupted_at_once_differ_among_each_other():
    images = np.full((1001, 3, 32, 32), 99, np.uint8)
    found = Corrupted("gaussian_noise").of(images)
    assert len(np.unique(found.reshape(1001, -1), axis=0)) == 1001
    assert np.array_equal(found[:600], Corrupted("gaussian_noise").of(images[:600])[:600])


def test_folders_and_digits_take_it_too_and_frost_from_photographs(tmp_path):
    standins.write_image_folder(tmp_path / "images", size=(32, 32))
    Image.fromarray(np.full((200, 200, 3), 200, np.uint8)).save(tmp_path / "ice.png")
    frosty = Corrupted("frost", 1, photographs=tmp_path)
    plain, found = (ImageFolder(tmp_path / "images", corruption=c).arrays("test")[0].int() for c in (None, frosty))
    assert torch.equal(found, (plain + 40).clamp(max=255))  # 1 x + 0.2 * 200
    with pytest.warns(UserWarning, match="published for images of 32x32"):
        bright = Digits(corruption=Corrupted("brightness", 5)).arrays("test")[0].int()
    assert (bright - (Digits().arrays("test")[0] + 76.5).clamp(max=255)).abs().max() <= 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "rain"}, "kind 'rain' is unknown"),
        ({"kind": "fog", "severity": 0}, "severity is 0"),
        ({"kind": "frost"}, "frost is made of photographs"),
        ({"kind": "fog", "photographs": "here"}, "fog takes no photographs"),
    ],
)
def test_what_is_no_corruption_is_refused_where_it_is_set(options, words):
    with pytest.raises(InputError, match=words):
        Corrupted(**options)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:1000])


def damaged(path):
    path.write_bytes(b"no array")


def pickled(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def of_one_severity(path):
    np.save(path, np.zeros((10_000, 32, 32, 3), np.uint8))


def in_floats(path):
    open_memmap(path, "w+", np.float32, (ROWS, 32, 32, 3))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "is missing or damaged .*No such file"),
        (cut_short, "is missing or damaged"),
        (damaged, "is missing or damaged"),
        (pickled, "is missing or damaged"),
        (of_one_severity, r"holds uint8 \[10000, 32, 32, 3\], expected uint8 \[50000, 32, 32, 3\]"),
        (in_floats, "holds float32"),
    ],
)
def test_files_that_are_not_as_published_are_named_with_the_remedy(published, spoil, words):
    spoil(published / "fog.npy")
    with pytest.raises(InputError, match=rf"fog.npy {words}.*; put the published file there, or leave files out"):
        Corrupted("fog", files=published).read()


def test_missing_labels_and_another_data_sets_images_are_named(published):
    with pytest.raises(InputError, match=r"expected \(channels first\) uint8 \[N, 1, 8, 8\]"):
        Digits(corruption=Corrupted("fog", files=published)).arrays("test")
    (published / "labels.npy").unlink()
    with pytest.raises(InputError, match=r"labels.npy is missing"):
        CIFAR100(download=False, corruption=Corrupted("fog", files=published)).arrays("test")

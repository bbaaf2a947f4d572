"""Every data set, from stand-ins in its real format: exact pixels, and a clear sentence for what is wrong."""

import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from energy_at.data import CIFAR10, CIFAR100, SVHN, Digits, FashionMNIST, ImageFolder, TinyImageNet
from energy_at.types import InputError
from tests.data import standins

CASES = {
    CIFAR10: standins.write_cifar10,
    CIFAR100: standins.write_cifar100,
    SVHN: standins.write_svhn,
    FashionMNIST: standins.write_fashion_mnist,
    TinyImageNet: standins.write_tiny_imagenet,
    ImageFolder: standins.write_image_folder,
}


@pytest.fixture(autouse=True)
def _any_sum():
    with standins.unchecked():
        yield


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def whole_training_set(data):
    """Train and held-out images together, as a sorted list of (label, pixels)."""
    images, labels = (torch.cat(parts) for parts in zip(data.arrays("train"), data.arrays("val"), strict=True))
    return sorted((int(y), x.numpy().tobytes()) for x, y in zip(images, labels, strict=True))


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_pixels_and_labels_are_those_in_the_files(kind, tmp_path):
    written = CASES[kind](tmp_path)
    data = ready(kind(tmp_path, batch_size=8, eval_batch_size=7, val_size=0.2))
    if kind is FashionMNIST:
        written = {name: (np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))), y) for name, (x, y) in written.items()}
    images, labels = written["train"]
    assert whole_training_set(data) == sorted((int(y), x.tobytes()) for x, y in zip(images, labels, strict=True))
    assert len(data.arrays("val")[1]) == round(0.2 * len(labels))
    assert np.array_equal(data.arrays("test")[0], written["test"][0])
    assert np.array_equal(data.arrays("test")[1], written["test"][1])
    assert images.shape[1:] == data.image_shape
    assert len(data.mean) == len(data.std) == data.image_shape[0]
    assert len(data.class_names) == data.num_classes


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_test_batches_are_the_arrays_divided_by_255(kind, tmp_path):
    CASES[kind](tmp_path)
    data = ready(kind(tmp_path, batch_size=8, eval_batch_size=7))
    x, y = zip(*(data.on_after_batch_transfer(batch, 0) for batch in data.test_dataloader()), strict=True)
    images, labels = data.arrays("test")
    assert torch.equal(torch.cat(x), images / 255)
    assert torch.equal(torch.cat(y), labels)


def test_fashion_mnist_unframed(tmp_path):
    written = standins.write_fashion_mnist(tmp_path)
    data = FashionMNIST(tmp_path, frame=False)
    assert np.array_equal(data.arrays("test")[0], written["test"][0])
    assert data.image_shape == (1, 28, 28)


def test_svhn_shifts_but_does_not_mirror(tmp_path):
    standins.write_svhn(tmp_path)
    *_, offsets, flips = next(iter(SVHN(tmp_path, batch_size=64).train_dataloader()))
    assert offsets.unique().tolist() == list(range(9))
    assert not flips.any()


def test_digits_are_scikit_learns_grey_levels():
    data = ready(Digits())
    levels = {(np.rint(image * 255 / 16).astype(np.uint8).tobytes()) for image in load_digits().images}
    found = {x.numpy().tobytes() for split in ("train", "val", "test") for x in data.arrays(split)[0]}
    assert found == levels
    assert [len(data.arrays(split)[1]) for split in ("train", "val", "test")] == [1293, 144, 360]


@pytest.mark.parametrize("needless", [{"root": "data"}, {"download": True}], ids=str)
def test_digits_need_no_folder(needless):
    with pytest.raises(InputError, match=f"Digits takes no {next(iter(needless))}: .* with scikit-learn; leave it out"):
        Digits(**needless)


def test_the_held_out_part_does_not_depend_on_the_seed():
    first, second = Digits(seed=0).arrays("val")[0], Digits(seed=1).arrays("val")[0]
    assert torch.equal(first, second)


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_the_first_images_held_out_are_of_all_classes_though_a_folder_lists_one_after_another(kind, tmp_path):
    CASES[kind](tmp_path)
    labels = np.asarray(ready(kind(tmp_path, val_size=0.4)).labels("val"))
    shares = np.bincount(labels) / len(labels)
    for count in range(1, len(labels)):
        assert np.abs(np.bincount(labels[:count], minlength=len(shares)) - shares * count).max() < 1 + 1e-9


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_train_size_keeps_that_many_images_of_every_class_and_the_same_held_out_ones(kind, tmp_path):
    CASES[kind](tmp_path)
    whole, few = ready(kind(tmp_path, val_size=0.2)), ready(kind(tmp_path, val_size=0.2, train_size=10))
    assert torch.equal(few.arrays("val")[0], whole.arrays("val")[0])
    images = {x.numpy().tobytes() for x in whole.arrays("train")[0]}
    assert len(few.labels("train")) == 10
    assert all(x.numpy().tobytes() in images for x in few.arrays("train")[0])
    every, kept = (np.bincount(data.labels("train"), minlength=data.num_classes) for data in (whole, few))
    assert (np.abs(kept - every * 10 / every.sum()) <= 1).all()


def test_more_training_images_than_there_are_are_refused():
    with pytest.raises(InputError, match=r"train_size is 1294, but .* has 1293 training images.*lower it"):
        ready(Digits(train_size=1294))
    with pytest.raises(InputError, match="train_size is 0"):
        Digits(train_size=0)


def test_setup_twice_loads_once():
    data = ready(Digits())
    arrays = data.arrays("train")
    assert ready(data).arrays("train") is arrays


def test_synthetic_images_fill_their_share_of_each_batch(tmp_path):
    standins.write_cifar10(tmp_path)
    extra, _ = standins.write_synthetic(tmp_path / "extra.npz", 30, (3, 32, 32), 10)
    data = ready(CIFAR10(tmp_path, batch_size=20, val_size=0, augment=False, synthetic=tmp_path / "extra.npz"))
    known = {x.tobytes() for x in extra}
    shares = [sum(x.numpy().tobytes() in known for x in images) for images, _ in data.train_dataloader()]
    assert shares == [14] * 5
    assert len(data.arrays("train")[1]) == 100


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((4, 16, 16, 3), np.uint8), "label": np.zeros(4, int)}, "expected .*3, 32, 32"),
        ({"image": np.zeros((4, 32, 32, 3), np.float32), "label": np.zeros(4, int)}, "float32 .*expected .*uint8"),
        ({"image": np.zeros((4, 32, 32, 3), np.uint8), "label": np.full(4, 10)}, "labels from 10 to 10, expected 0 to"),
        ({"image": np.zeros((4, 32, 32, 3), np.uint8), "label": np.zeros(3, int)}, "expected 4 integers"),
        ({"image": np.zeros((4, 32, 32), np.uint8), "label": np.zeros(4, int)}, "give synthetic= an npz"),
        ({"pictures": np.zeros(4)}, "give synthetic= an npz"),
    ],
)
def test_unusable_synthetic_files_are_refused_before_training(tmp_path, arrays, message):
    standins.write_cifar10(tmp_path)
    np.savez(tmp_path / "extra.npz", **arrays)
    with pytest.raises(InputError, match=rf"extra\.npz.*{message}"):
        CIFAR10(tmp_path, synthetic=tmp_path / "extra.npz").setup("fit")


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (CIFAR10, "cifar-10-batches-py"),
        (CIFAR100, "cifar-100-python"),
        (SVHN, "train_32x32.mat"),
        (FashionMNIST, "FashionMNIST/raw/train-images-idx3-ubyte"),
        (TinyImageNet, "tiny-imagenet-200/wnids.txt"),
    ],
)
def test_a_missing_data_set_is_named_with_its_remedy(kind, place, tmp_path):
    data = kind(tmp_path, download=False)
    with pytest.raises(InputError, match=rf"{place} is missing or damaged .*internet access and download=True"):
        ready(data)


@pytest.mark.parametrize("kind", [CIFAR10, SVHN, FashionMNIST, TinyImageNet])
def test_a_failed_download_is_one_sentence(kind, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(InputError, match=rf"{re.escape(str(tmp_path))}.* is missing or damaged .*internet access"):
        kind(tmp_path).prepare_data()


def test_damaged_files_are_named(tmp_path):
    standins.write_cifar10(tmp_path)
    standins.write_svhn(tmp_path)
    for name in ("cifar-10-batches-py/data_batch_3", "train_32x32.mat"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(InputError, match="cifar-10-batches-py is missing or damaged"):
        CIFAR10(tmp_path).setup("fit")
    with pytest.raises(InputError, match=r"train_32x32\.mat is missing or damaged"):
        SVHN(tmp_path).setup("fit")


def test_labels_out_of_range_are_refused(tmp_path):
    standins.write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py/test_batch"
    path.write_bytes(pickle.dumps({**pickle.loads(path.read_bytes()), "labels": [10] * 20}))
    with pytest.raises(InputError, match=r"the test set in .* has labels from 10 to 10, expected 0 to 9; replace"):
        CIFAR10(tmp_path).setup("test")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, but it counts from 1"),
        ({"eval_batch_size": 0}, "eval_batch_size is 0"),
        ({"val_size": 1.5}, "val_size is 1.5, expected a number of images or a fraction"),
        ({"seed": -1}, "seed is -1"),
        ({"synthetic_fraction": 1.1}, "synthetic_fraction is 1.1, expected 0 to 1"),
    ],
)
def test_arguments_are_checked_in_the_constructor(arguments, message):
    with pytest.raises(InputError, match=message):
        CIFAR10(**arguments)


def test_a_validation_part_as_large_as_the_training_set_is_refused():
    with pytest.raises(InputError, match=r"val_size=1437 holds out 1437 of 1437 training images .*lower val_size"):
        Digits(val_size=1437).setup()


def test_tiny_imagenet_refuses_another_number_of_classes(tmp_path):
    standins.write_tiny_imagenet(tmp_path, n_train=1, n_test=1)
    (tmp_path / "tiny-imagenet-200/wnids.txt").write_text("n00000000\n")
    with pytest.raises(InputError, match=r"wnids\.txt lists 1 classes, expected 200; delete it"):
        ready(TinyImageNet(tmp_path))

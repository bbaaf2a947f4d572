"""Data that others have made, damaged, odd or hostile: one sentence that names the file, and nothing of it is run."""

import os
import pickle
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from energy_at.data import CIFAR10, CIFAR100, SVHN, FashionMNIST, ImageFolder, ImageNet, TinyImageNet
from energy_at.generation import FolderInit
from energy_at.types import InputError
from tests.data import standins

NOISE = np.random.default_rng(0).integers(0, 2**16, (16, 16, 4), dtype=np.uint16)
EIGHT = (NOISE >> 8).astype(np.uint8)
PIPED = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n(touched) (w) file closefile\n"


def png_of(width, height):
    """A small file that claims to be a large picture."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def truncated(path):
    Image.fromarray(EIGHT[..., :3]).save(path, quality=100)
    path.write_bytes(path.read_bytes()[:700])


REFUSED = {
    "truncated.jpg": truncated,
    "empty.png": lambda path: path.write_bytes(b""),
    "text.jpg": lambda path: path.write_text("not an image"),
    "program.jpg": lambda path: path.write_text(PIPED),
    "bomb.png": lambda path: path.write_bytes(png_of(60_000, 60_000)),
    "loop.jpg": lambda path: path.symlink_to(path.name),
    "nowhere.jpg": lambda path: path.symlink_to("gone.jpg"),
    "folder.jpg": lambda path: path.mkdir(),
    "pipe.jpg": os.mkfifo,
}
TAKEN = {
    "palette.png": (Image.fromarray(EIGHT[..., :3]).quantize(256), None),
    "cmyk.jpg": (Image.fromarray(EIGHT, "CMYK"), None),
    "grey16.png": (Image.fromarray(NOISE[..., 0]), EIGHT[..., [0, 0, 0]]),
    "rgba.png": (Image.fromarray(EIGHT, "RGBA"), EIGHT[..., :3]),
    "grün 緑.png": (Image.fromarray(EIGHT[..., :3]), EIGHT[..., :3]),
    os.fsdecode(b"\xff.png"): (Image.fromarray(EIGHT[..., :3]), EIGHT[..., :3]),
    "gif named.png": (Image.fromarray(EIGHT[..., 0]), EIGHT[..., [0, 0, 0]]),
}
READERS = {
    "ImageFolder": lambda root: ImageFolder(root, val_size=0),
    "ImageNet": lambda root: ImageNet(
        root, num_classes=2, image_size=16, resize=16, num_workers=0, val_size=0, augment=False, eval_folder="test"
    ),
}


def training_images(data):
    data.prepare_data()
    data.setup("fit")
    return torch.cat([images for images, _ in data.batches("train")])


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_named(name, reader, tmp_path):
    standins.write_image_folder(tmp_path)
    REFUSED[name](tmp_path / "train/dog" / name)
    with pytest.raises(InputError, match=rf"train/dog/{re.escape(name)} .*(replace|remove)"):
        training_images(reader(tmp_path))
    assert not Path("touched").exists()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", TAKEN)
def test_odd_images_are_taken(name, reader, tmp_path):
    image, expected = TAKEN[name]
    standins.write_image_folder(tmp_path)
    path = tmp_path / "train/cat" / name
    image.save(path, "GIF" if name.startswith("gif") else None)
    found = {x.permute(1, 2, 0).numpy().tobytes() for x in training_images(reader(tmp_path))}
    expected = np.asarray(Image.open(path).convert("RGB")) if expected is None else expected
    assert expected.tobytes() in found


def test_a_single_pixel_is_resized_or_refused(tmp_path):
    standins.write_image_folder(tmp_path)
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "train/dog/zz.png")
    with pytest.raises(InputError, match=r"zz\.png is 1x1 pixels where 16x16 was expected; give image_size"):
        training_images(ImageFolder(tmp_path))
    found = training_images(ImageFolder(tmp_path, image_size=8, val_size=0))
    assert found[-1].flatten(1).unique(dim=1).flatten().tolist() == [1, 2, 3]
    data = ImageNet(
        tmp_path, batch_size=21, num_classes=2, image_size=8, resize=8, num_workers=0, val_size=0, eval_folder="test"
    )
    data.setup()
    ((images, _),) = data.train_dataloader()  # each in a random crop
    assert (images[:, 0] == 1).flatten(1).all(1).any()


def test_a_workers_reason_is_one_line(tmp_path):
    standins.write_image_folder(tmp_path)
    truncated(tmp_path / "train/dog/zz.jpg")
    data = ImageNet(tmp_path, num_classes=2, image_size=16, resize=16, num_workers=1, val_size=0, eval_folder="test")
    with pytest.raises(InputError, match=r"^[^\n]*dog/zz\.jpg is missing or damaged [^\n]*$"):
        training_images(data)


def test_a_folder_of_starting_points_is_read_with_the_same_care(tmp_path):
    for name in ("text.jpg", "loop.jpg"):
        REFUSED[name](tmp_path / name)
        with pytest.raises(InputError, match=name):
            FolderInit(str(tmp_path)).fit(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
        (tmp_path / name).unlink()


class Payload:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("touched",)


@pytest.mark.parametrize(
    ("kind", "write", "file"),
    [
        (CIFAR10, standins.write_cifar10, "cifar-10-batches-py/data_batch_3"),
        (CIFAR10, standins.write_cifar10, "cifar-10-batches-py/batches.meta"),
        (CIFAR100, standins.write_cifar100, "cifar-100-python/train"),
    ],
)
def test_a_pickle_of_another_sum_is_never_opened(kind, write, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    (tmp_path / file).write_bytes(pickle.dumps(Payload()))
    reason = (
        rf"{kind.location} is missing or damaged \(not as published: .*{Path(file).name}.*\); delete it and run again"
    )
    with pytest.raises(InputError, match=reason):
        training_images(kind(tmp_path, download=False))
    assert not Path("touched").exists()


def test_arrays_of_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    standins.write_cifar10(tmp_path)
    np.savez("extra.npz", image=np.array([Payload()], dtype=object), label=np.zeros(1, np.int64))
    with standins.unchecked(), pytest.raises(InputError, match=r"extra\.npz is missing or damaged .*Object arrays"):
        CIFAR10(tmp_path, synthetic="extra.npz").setup("fit")
    assert not Path("touched").exists()


@pytest.mark.parametrize("cut", [0, 100, 20_000])
def test_a_truncated_mat_file_is_named(cut, tmp_path):
    standins.write_svhn(tmp_path)
    file = tmp_path / "train_32x32.mat"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"train_32x32\.mat is missing or damaged"):  # by its sum
        SVHN(tmp_path, download=False).setup("fit")
    with standins.unchecked(), pytest.raises(InputError, match=r"train_32x32\.mat is missing or damaged"):
        SVHN(tmp_path, download=False).setup("fit")


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_a_truncated_idx_file_is_named(cut, tmp_path):
    standins.write_fashion_mnist(tmp_path)
    file = tmp_path / "FashionMNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:cut])
    with standins.unchecked(), pytest.raises(InputError, match=r"raw/train-images-idx3-ubyte is missing or damaged"):
        FashionMNIST(tmp_path, download=False).setup("fit")


def test_an_archive_of_another_sum_is_never_unpacked(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    root = tmp_path / "root"
    root.mkdir()
    with zipfile.ZipFile(root / "tiny-imagenet-200.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../outside.txt", "escaped")
        archive.writestr("tiny-imagenet-200/bomb", bytes(10**8))
    with pytest.raises(InputError, match=r"tiny-imagenet-200\.zip is missing or damaged .*; delete it and run again"):
        TinyImageNet(root).prepare_data()
    assert [path.name for path in root.iterdir()] == ["tiny-imagenet-200.zip"]
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_what_an_archive_of_the_right_sum_holds_stays_within_the_root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    with zipfile.ZipFile(root / "tiny-imagenet-200.zip", "w") as archive:
        archive.writestr("../outside.txt", "escaped")
        archive.writestr("tiny-imagenet-200/wnids.txt", "n0\n")
    with standins.unchecked(), pytest.raises(InputError, match=r"wnids\.txt lists 1 classes, expected 200"):
        TinyImageNet(root).prepare_data()
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert not [path for path in root.rglob("*") if path.name == "outside.txt"]

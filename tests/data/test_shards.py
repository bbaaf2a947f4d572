"""Packed images: the same batches as from their files, from plain tar files, and refused where they are not whole."""

import os
import pickle
import sys
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from energy_at.cli import main
from energy_at.data import ImageNet
from energy_at.data.shards import ImageShards
from energy_at.types import InputError
from tests.data import standins


def imagenet(root, **changes):
    arguments = {"num_classes": 3, "image_size": 16, "resize": 20, "num_workers": 0, "val_size": 6, "batch_size": 9}
    data = ImageNet(root, **{**arguments, **changes})
    data.prepare_data()
    data.setup()
    return data


def packed(folder, per_shard=10):
    assert main(["pack", f"--root={folder}", f"--output={folder / 'shards'}", f"--per_shard={per_shard}"]) == 0
    return folder / "shards"


@pytest.fixture
def folder(tmp_path):
    """Images in 3 classes: 24 to train and 12 to test."""
    standins.write_imagenet(tmp_path)
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_files_bit_for_bit(workers, folder):
    shards = packed(folder)
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    for name in loaders:
        from_files = getattr(imagenet(folder), name)()
        from_shards = getattr(imagenet("nowhere", shards=shards, num_workers=workers), name)()
        for (x, y), (other_x, other_y) in zip(from_files, from_shards, strict=True):
            assert torch.equal(x, other_x)
            assert torch.equal(y, other_y)
    assert imagenet("nowhere", shards=shards).class_names == ("n00000000", "n00000001", "n00000002")


def test_a_shard_is_a_tar_of_the_files_as_they_are(folder):
    shards = packed(folder)
    assert sorted(os.listdir(shards)) == [
        *(f"train-0000{k}.tar" for k in range(3)),
        "train.npz",
        *(f"val-0000{k}.tar" for k in range(2)),
        "val.npz",
    ]
    found = {}
    for path in shards.glob("train-*.tar"):
        with tarfile.open(path) as shard:
            found |= {member.name: shard.extractfile(member).read() for member in shard}
    files = {str(path.relative_to(folder / "train")): path.read_bytes() for path in (folder / "train").rglob("*.JPEG")}
    assert found == files


def test_packing_goes_on_where_it_stopped_and_packs_nothing_twice(folder, capsys):
    shards = packed(folder)
    whole = {path: path.read_bytes() for path in shards.iterdir()}
    kept = shards / "train-00000.tar"
    before = kept.stat().st_mtime_ns
    for name in ("train-00002.tar", "train.npz"):
        (shards / name).unlink()
    packed(folder)
    assert {path: path.read_bytes() for path in shards.iterdir()} == whole
    assert kept.stat().st_mtime_ns == before
    Image.new("RGB", (50, 40)).save(folder / "train/n00000000/0000a.JPEG")
    assert main(["pack", f"--root={folder}", f"--output={shards}", "--per_shard=10"]) == 2
    assert "train-00000.tar holds other images than the folder has now" in capsys.readouterr().err


def test_odd_names_are_packed(folder):
    odd = ["grün 緑.JPEG", os.fsdecode(b"\xff.JPEG"), f"{'long' * 50}.JPEG"]
    for name in odd:
        Image.fromarray(np.full((40, 50, 3), 9, np.uint8)).save(folder / "train/n00000002" / name)
    data = imagenet("nowhere", shards=packed(folder), val_size=0, augment=False)
    images = torch.cat([images for images, _ in data.batches("train")])
    assert len(images) == 27
    assert sum(bool((image == 9).all()) for image in images) == 3


def test_what_is_no_image_is_named_when_it_is_packed(folder, capsys):
    (folder / "train/n00000001/0009.JPEG").write_text("not an image")
    assert main(["pack", f"--root={folder}", f"--output={folder / 'shards'}"]) == 2
    assert "train/n00000001/0009.JPEG is missing or damaged" in capsys.readouterr().err.splitlines()[-1]
    assert os.listdir(folder / "shards") == []


def test_a_missing_or_damaged_shard_is_named_before_training(folder, capsys):
    shards = packed(folder)
    path = shards / "train-00001.tar"
    content = path.read_bytes()
    path.write_bytes(content[:2000])
    with pytest.raises(InputError, match=r"train-00001\.tar has 2000 bytes where \d+ were packed; pack the"):
        imagenet("nowhere", shards=shards)
    path.unlink()
    with pytest.raises(InputError, match=r"train-00001\.tar has 0 bytes"):
        imagenet("nowhere", shards=shards)
    path.write_bytes(bytes(len(content)))
    with pytest.raises(InputError, match=r"image 3 of .*train-00001\.tar is missing or damaged"):
        ImageShards(shards, "train").opened(13).__enter__()
    with pytest.raises(InputError, match=r"there is no .*test\.npz; pack the images again"):
        imagenet("nowhere", shards=shards, eval_folder="test")
    path.write_bytes(content[:512])
    assert main(["pack", f"--root={folder}", f"--output={shards}", "--per_shard=10"]) == 2
    assert "train-00001.tar" in capsys.readouterr().err.splitlines()[-1]


def test_a_shard_is_opened_once_by_each_process(folder):
    shards = ImageShards(packed(folder), "train")
    opened = []
    watching = [True]
    sys.addaudithook(lambda event, args: opened.append(args[0]) if watching and event == "open" else None)
    for index in np.random.default_rng(0).permutation(24):
        with shards.opened(int(index)) as image:
            image.load()
    watching.clear()
    assert sorted(str(path) for path in opened) == [str(path) for path in shards.shards]
    copy = pickle.loads(pickle.dumps(shards))
    with copy.opened(3) as image, shards.opened(3) as same:
        assert np.array_equal(image, same)

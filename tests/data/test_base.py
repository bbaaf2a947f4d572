"""Images of a split in a fixed order, as evaluation, analysis and generation take them."""

import numpy as np
import pytest
import torch

from energy_at.data import Digits, ImageFolder, ImageNet
from energy_at.types import InputError
from tests.data.standins import write_image_folder, write_imagenet


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_image_of_a_split_once_and_as_it_is(split):
    data = Digits(eval_batch_size=100)
    images, labels = (torch.cat(parts) for parts in zip(*data.batches(split), strict=True))
    assert torch.equal(images, data.arrays(split)[0])
    assert torch.equal(labels, data.arrays(split)[1])


def test_a_subset_repeats_and_every_class_shares_in_it():
    data = Digits()
    first, again, other = (torch.cat([y for _, y in data.batches("test", 60, seed)]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    share = np.bincount(data.labels("test")) / len(data.labels("test"))
    assert np.abs(np.bincount(first) - 60 * share).max() <= 1
    images = [torch.cat([x for x, _ in data.batches("test", 60, seed)]) for seed in (0, 1)]
    assert not torch.equal(*images)
    assert len(other) == 60


def test_files_are_read_in_the_same_order(tmp_path):
    write_imagenet(tmp_path)
    data = ImageNet(tmp_path, num_classes=3, image_size=32, resize=36, num_workers=0, eval_batch_size=2)
    (x, y), *_ = data.batches("test")
    (x_again, _), *_ = data.batches("test")
    assert x.shape == (2, 3, 32, 32)
    assert torch.equal(x, x_again)
    assert y.tolist() == sorted(y.tolist())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tset",), "split 'tset' is unknown"),
        (("test", 361), "count is 361"),
        (("test", 9, -1), "seed is -1, but it counts from 0"),
    ],
)
def test_what_is_not_there_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        Digits().batches(*arguments)


def test_what_augmentation_does_is_kept_in_words(tmp_path):
    def told(data):
        data.setup("fit")
        data.train_dataloader()
        return data.state_dict()["augmentation"]

    assert (told(Digits(augment=True)), told(Digits())) == ("shifted by up to 1 pixel", "")
    mirrored, few = "half of them mirrored", {"batch_size": 2, "val_size": 2, "num_workers": 0}
    write_image_folder(tmp_path / "few")
    assert told(ImageFolder(tmp_path / "few", **few)) == f"shifted by up to 4 pixels, {mirrored}"
    assert told(ImageFolder(tmp_path / "few", padding=0, **few)) == mirrored
    assert told(ImageFolder(tmp_path / "few", padding=2, flip=False, **few)) == "shifted by up to 2 pixels"
    write_imagenet(tmp_path)
    cropped = told(ImageNet(tmp_path, num_classes=3, image_size=32, resize=36, **few))
    assert cropped == f"random crops of 8 to 100 % of the area, {mirrored}"

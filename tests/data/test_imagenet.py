import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from energy_at.data import ImageNet
from energy_at.data.decoding import resize_crop
from energy_at.types import InputError
from tests.data import standins


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def imagenet(root, **changes):
    arguments = {"num_classes": 3, "image_size": 16, "resize": 20, "num_workers": 0, "val_size": 6, "batch_size": 9}
    return ImageNet(root, **{**arguments, **changes})


def test_imagenet_evaluates_on_the_central_crop(tmp_path):
    written, labels = standins.write_imagenet(tmp_path)["test"]
    data = ready(imagenet(tmp_path))
    (x, y), *rest = [data.on_after_batch_transfer(batch, 0) for batch in data.test_dataloader()]
    crops = [np.asarray(resize_crop(Image.fromarray(image.transpose(1, 2, 0)), 20, 16)) for image in written]
    assert not rest
    assert torch.equal((x * 255).round().byte(), torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))
    assert np.array_equal(y, labels)
    assert data.class_names == ("n00000000", "n00000001", "n00000002")
    assert [
        len(loader.sampler.batches().__next__()) for loader in (data.train_dataloader(), data.val_dataloader())
    ] == [9, 6]


def test_imagenet_crops_depend_on_seed_epoch_and_image_alone(tmp_path):
    standins.write_imagenet(tmp_path)

    def epoch_of(number, **changes):
        loader = ready(imagenet(tmp_path, **changes)).train_dataloader()
        loader.sampler.set_epoch(number)
        return [images for images, _ in loader]

    first = epoch_of(1)
    assert len(first) == 2
    assert all(torch.equal(a, b) for a, b in zip(first, epoch_of(1, num_workers=2), strict=True))
    assert not torch.equal(first[0], epoch_of(2)[0])
    assert not torch.equal(first[0], epoch_of(1, seed=1)[0])
    assert first[0].shape == (9, 3, 16, 16)
    assert first[0].dtype == torch.uint8


def test_imagenet_folders_that_do_not_fit(tmp_path):
    standins.write_imagenet(tmp_path)
    with pytest.raises(InputError, match="3 class folders, not num_classes=1000; correct the number"):
        imagenet(tmp_path, num_classes=1000).setup("fit")
    with pytest.raises(InputError, match="image_size is 30 and resize 20"):
        imagenet(tmp_path, image_size=30)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(InputError, match=r"there is no folder .*val; expected"):
        imagenet(tmp_path).setup("fit")

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from energy_at.data.augment import crop_flip, draw_crop_flip


@pytest.mark.parametrize(("shape", "padding"), [((3, 8, 6), 2), ((1, 5, 5), 0), ((3, 32, 32), 4)])
def test_crop_flip_equals_torchvision_image_by_image(shape, padding):
    images = torch.randint(0, 256, (40, *shape), dtype=torch.uint8)
    offsets, flips = draw_crop_flip(np.random.default_rng(0), 40, padding, flip=True)
    expected = []
    for image, (row, column), flip in zip(images, offsets.tolist(), flips, strict=True):
        crop = TF.crop(TF.pad(image, [padding] * 4), row, column, *shape[1:])
        expected.append(TF.horizontal_flip(crop) if flip else crop)
    assert torch.equal(crop_flip(images, offsets, flips, padding), torch.stack(expected))


def test_the_centre_crop_is_the_image_and_a_second_flip_undoes_the_first():
    images = torch.rand(4, 3, 7, 9)
    centre = torch.full((4, 2), 2)
    assert torch.equal(crop_flip(images, centre, torch.zeros(4, dtype=torch.bool), 2), images)
    mirrored = torch.ones(4, dtype=torch.bool)
    assert torch.equal(crop_flip(crop_flip(images, centre, mirrored, 2), centre, mirrored, 2), images)


def test_every_offset_is_drawn_and_flips_only_when_asked():
    offsets, flips = draw_crop_flip(np.random.default_rng(1), 5000, 4, flip=True)
    assert offsets.unique().tolist() == list(range(9))
    assert 2300 < flips.sum() < 2700
    assert not draw_crop_flip(np.random.default_rng(1), 100, 4, flip=False)[1].any()

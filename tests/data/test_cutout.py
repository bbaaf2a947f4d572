import numpy as np
import pytest
import torch

from energy_at.data import CIFAR10, Digits, ImageFolder, ImageNet
from energy_at.data.cutout import cut_out, draw_centres
from energy_at.data.loaders import MemoryLoader
from energy_at.data.sampling import TrainBatches
from energy_at.types import InputError
from tests.data import standins

MEAN = (0.1, 0.5, 0.9)
COLOUR = torch.tensor([26, 128, 230], dtype=torch.uint8)  # 25.5, 127.5 and 229.5, rounded


@pytest.mark.parametrize("side", [1, 4, 5])
def test_a_square_about_each_centre_and_nothing_else_has_the_mean_colour(side):
    images = torch.randint(0, 256, (30, 3, 8, 6), dtype=torch.uint8)
    centres = draw_centres(np.random.default_rng(0), 30, 8, 6)
    expected = images.clone()
    for image, (row, column) in zip(expected, centres.tolist(), strict=True):
        top, left = row - side // 2, column - side // 2
        image[:, max(0, top) : top + side, max(0, left) : left + side] = COLOUR[:, None, None]
    assert torch.equal(cut_out(images, centres, side, MEAN), expected)


def test_the_colour_is_0_once_normalised_up_to_eight_bits():
    cut = cut_out(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([[2, 2]]), 4, CIFAR10.mean)
    normalised = (cut / 255 - torch.tensor(CIFAR10.mean).view(3, 1, 1)) / torch.tensor(CIFAR10.std).view(3, 1, 1)
    assert normalised.abs().max() < 0.5 / 255 / min(CIFAR10.std)


def test_the_share_that_is_cut_out_is_that_of_squares_that_may_stick_out():
    centres = draw_centres(np.random.default_rng(0), 4000, 32, 32)
    assert centres.flatten().unique().tolist() == list(range(32))
    cut = cut_out(torch.full((4000, 1, 32, 32), 7, dtype=torch.uint8), centres, 16, (0.0,))
    # of 32 centres along a side, 8 lose 8, 7, ..., 1 and 7 lose 1, 2, ..., 7 of 16 pixels
    assert (cut == 0).double().mean() == pytest.approx(((16 - 64 / 32) / 32) ** 2, rel=0.03)


def loader(rank=0, world=1, cutout=True):
    images = torch.arange(100, dtype=torch.uint8)[:, None, None, None].expand(100, 1, 8, 8).contiguous()
    batches = TrainBatches(100, 12 // world, 1, rank, world)
    return MemoryLoader(images, torch.arange(100), batches, padding=2, flip=True, cutout=cutout)


def test_an_image_keeps_its_square_whatever_the_number_of_processes():
    def by_image(some):
        return [
            {int(y): tuple(centre.tolist()) for y, centre in zip(batch[1], batch[4], strict=True)} for batch in some
        ]

    single, (first, second) = by_image(loader()), (by_image(loader(rank, 2)) for rank in range(2))
    assert single == [{**a, **b} for a, b in zip(first, second, strict=True)]
    assert len(set(single[0].values())) > 6


def test_crops_and_flips_are_those_without_cutout():
    for with_squares, without in zip(loader(), loader(cutout=False), strict=True):
        assert len(without) == 4
        assert all(torch.equal(a, b) for a, b in zip(with_squares, without, strict=False))


def folder_of_images(tmp_path, cutout):
    standins.write_image_folder(tmp_path)
    return ImageFolder(tmp_path, batch_size=8, val_size=0, mean=MEAN, cutout=cutout)


def test_a_training_batch_has_squares_of_the_data_sets_mean_and_evaluation_none(tmp_path):
    data = folder_of_images(tmp_path, 6)
    batch = next(iter(data.train_dataloader()))
    x, _ = data.on_after_batch_transfer(batch)
    plain, _ = data.on_after_batch_transfer(batch[:4])
    squares = (x == (COLOUR / 255).view(3, 1, 1)).all(dim=1)
    assert squares.sum(dim=(1, 2)).min() >= 9  # 3 pixels a side, where the centre is in a corner
    assert squares.sum(dim=(1, 2)).max() <= 36
    assert torch.equal(x.permute(0, 2, 3, 1)[~squares], plain.permute(0, 2, 3, 1)[~squares])
    assert len(next(iter(data.test_dataloader()))) == 2


def test_files_decoded_by_workers_have_them_too(tmp_path):
    standins.write_imagenet(tmp_path)
    found = []
    for cutout, workers in ((0, 0), (6, 0), (6, 2)):
        data = ImageNet(
            tmp_path, num_classes=3, image_size=16, resize=20, num_workers=workers, batch_size=9, cutout=cutout
        )
        data.setup()
        found.append(next(iter(data.train_dataloader()))[0])
    plain, cut, again = found
    squares = (cut == (255 * torch.tensor(ImageNet.mean)).round().view(3, 1, 1)).all(dim=1)
    assert torch.equal(cut, again)
    assert 9 <= squares.sum(dim=(1, 2)).min() <= squares.sum(dim=(1, 2)).max() <= 36
    assert torch.equal(cut.permute(0, 2, 3, 1)[~squares], plain.permute(0, 2, 3, 1)[~squares])


def test_a_square_that_cannot_be_cut_out_is_refused(tmp_path):
    with pytest.raises(InputError, match="cutout is -1, expected the side"):
        CIFAR10(tmp_path, cutout=-1)
    with pytest.raises(InputError, match="cutout is 4, but augment is false; set augment: true"):
        Digits(cutout=4)
    with pytest.raises(InputError, match="cutout is 9, but the images have 8 pixels a side; lower it"):
        Digits(cutout=9, augment=True).train_dataloader()

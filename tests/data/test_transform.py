import random

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from energy_at.data import Digits, ImageNet
from energy_at.data.loaders import MemoryLoader
from energy_at.data.sampling import TrainBatches
from energy_at.data.transform import SeededTransform
from energy_at.types import InputError
from tests.data import standins
from tests.data.test_loaders import same


class Noise(nn.Module):
    """Grey levels drawn from all three sources of random numbers."""

    def forward(self, image):
        grey = (torch.randint(0, 80, (1,)), np.random.randint(0, 80), random.randrange(80))  # noqa: NPY002
        return (image // 255 + int(sum(grey))).to(torch.uint8)


def double(image):
    return 2 * image


def loader(transform, seed=1, rank=0, world=1, epoch=0, workers=0):
    images = torch.arange(60, dtype=torch.uint8)[:, None, None, None].expand(60, 1, 8, 8).contiguous()
    batches = TrainBatches(60, 12 // world, 1, rank, world)
    seeded = None if transform is None else SeededTransform(transform, seed)
    made = MemoryLoader(images, torch.arange(60), batches, padding=2, flip=True, transform=seeded, num_workers=workers)
    made.sampler.set_epoch(epoch)
    return made


def levels(*arguments, **changes):
    return torch.cat([batch[0][:, 0, 0, 0] for batch in loader(Noise(), *arguments, **changes)]).tolist()


def test_the_random_numbers_of_an_image_depend_on_seed_epoch_and_image_alone():
    first = levels()
    assert len(set(first)) > 40
    assert first == levels()
    assert first == levels(workers=2)
    assert first != levels(seed=2)
    by_image = [
        {int(y): int(x[0, 0, 0]) for batch in made for x, y in zip(*batch[:2], strict=True)}
        for made in (loader(Noise()), loader(Noise(), epoch=1))
    ]
    assert sum(by_image[0][image] == by_image[1][image] for image in range(60)) < 6


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_restored_in_mid_epoch_goes_on_with_the_same_images(workers):
    whole, resumed = loader(Noise(), epoch=3), loader(Noise(), workers=workers)
    resumed.load_state_dict({"epoch": 3, "step": 2})
    rest = iter(resumed)
    resumed.sampler.set_epoch(3)
    assert same(list(whole)[2:], list(rest))


def test_processes_share_the_images_of_one():
    single, (first, second) = (
        loader(v2.RandomErasing()),
        (loader(v2.RandomErasing(), rank=rank, world=2) for rank in (0, 1)),
    )
    for batch, halves in zip(single, zip(first, second, strict=True), strict=True):
        assert all(torch.equal(batch[0][rank::2], half[0]) for rank, half in enumerate(halves))


def test_it_comes_before_crops_and_flips_which_stay_those_without_it():
    assert same(list(loader(v2.Identity())), list(loader(None)))
    for doubled, plain in zip(loader(v2.Lambda(double), workers=2), loader(None), strict=True):
        assert torch.equal(doubled[0], 2 * plain[0])
        assert same([doubled[1:]], [plain[1:]])


def test_in_the_training_process_other_random_numbers_are_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    list(loader(Noise()))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


def test_what_changes_its_argument_leaves_the_data_set_as_it_is():
    data = Digits(transform=v2.Lambda(lambda image: image.fill_(7)), num_workers=0)
    data.setup("fit")
    kept = data.arrays("train")[0].clone()
    assert all((images == 7).all() for images, *_ in data.train_dataloader())
    assert torch.equal(data.arrays("train")[0], kept)


def inverted(**arguments):
    return {"transform": v2.RandomInvert(p=1.0), "num_workers": 0, "val_size": 6, "augment": False, **arguments}


def test_every_data_set_transforms_its_training_images_and_no_others(tmp_path):
    for kind, arguments in standins.written_data_sets(tmp_path):
        plain, other = (kind(batch_size=8, **inverted(**arguments, **change)) for change in ({"transform": None}, {}))
        with standins.unchecked():
            plain.setup()
            other.setup()
        for before, after in zip(plain.train_dataloader(), other.train_dataloader(), strict=True):
            assert same([(255 - before[0], before[1])], [after])
        for loaders in ("val_dataloader", "test_dataloader"):
            assert same(list(getattr(plain, loaders)()), list(getattr(other, loaders)()))


def test_synthetic_images_are_transformed_too(tmp_path):
    synthetic = tmp_path / "synthetic.npz"
    np.savez(synthetic, image=np.full((4, 8, 8, 1), 200, np.uint8), label=np.zeros(4, int))
    data = Digits(batch_size=8, synthetic=synthetic, synthetic_fraction=1, **inverted())
    data.setup("fit")
    assert all((images == 55).all() for images, *_ in data.train_dataloader())


def test_in_imagenet_a_square_is_cut_out_afterwards(tmp_path):
    standins.write_imagenet(tmp_path)
    folder = {"num_classes": 3, "image_size": 16, "resize": 20, "batch_size": 9}
    data = ImageNet(tmp_path, **inverted(augment=True, cutout=6, transform=v2.Lambda(torch.zeros_like), **folder))
    data.setup()
    images, _ = next(iter(data.train_dataloader()))
    colour = (255 * torch.tensor(ImageNet.mean)).round().byte()
    squares = (images == colour.view(3, 1, 1)).all(dim=1)
    assert 9 <= squares.sum(dim=(1, 2)).min() <= squares.sum(dim=(1, 2)).max() <= 36
    assert (images.permute(0, 2, 3, 1)[~squares] == 0).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_of_another_type_or_size_is_refused(workers):
    for transform, made in (
        (v2.ToDtype(torch.float32, scale=True), r"float32 \[1, 8, 8\]"),
        (v2.Resize((4, 4)), r"uint8 \[1, 4, 4\]"),
        (v2.ToPILImage(), "an Image"),
    ):
        with pytest.raises(InputError, match=rf"^the transform makes {made} of an image of uint8 \[1, 8, 8\]; let it"):
            next(iter(loader(transform, workers=workers)))


def test_what_cannot_transform_is_refused_before_anything_is_read():
    with pytest.raises(InputError, match="transform is the class RandomErasing; give an instance such as torchv"):
        Digits(transform=v2.RandomErasing)
    with pytest.raises(InputError, match="transform is a str; give an instance"):
        Digits(transform="RandomErasing")
    with pytest.raises(InputError, match="transform has Normalize, but the net normalises and images are tensors: le"):
        Digits(transform=v2.Compose([v2.RandomErasing(), v2.Normalize([0.5], [0.5])]))
    with pytest.raises(InputError, match=r"transform has CutMix, which mixes whole batches: give it as data\.mix"):
        Digits(transform=v2.CutMix(num_classes=10))
    with pytest.raises(InputError, match="num_workers is -1, but it counts from 0"):
        Digits(num_workers=-1)


def test_what_cannot_be_sent_to_worker_processes_is_refused_before_they_start():
    data = Digits(transform=v2.Lambda(lambda image: image))
    data.setup("fit")
    with pytest.raises(InputError, match=r"^the transform cannot be sent to worker processes \(.+\); make it a"):
        data.train_dataloader()
    data.num_workers = 0
    assert len(data.train_dataloader()) > 0

import random

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from energy_at.data import Digits
from energy_at.data.mixing import mixed
from energy_at.types import InputError
from tests.data import standins
from tests.data.test_loaders import same

LABELS = torch.arange(8) % 5
FLAT = ((1 + LABELS) / 8).view(-1, 1, 1, 1).expand(8, 3, 16, 12)  # the colour says the class


class Everywhere(nn.Module):
    """Draws from all three sources of random numbers, and shows it in the images."""

    def forward(self, images, labels):
        drawn = torch.rand(1) + np.random.rand() + random.random()  # noqa: NPY002
        return images * 0 + drawn.to(images), labels


def test_the_shares_of_a_cut_image_are_those_of_its_pixels():
    shares_seen = set()
    for seed in range(20):
        images, shares = mixed(v2.CutMix(), FLAT, LABELS, 5, seed)
        for k in range(5):
            pixels = (images[:, 0] == (1 + k) / 8).float().mean(dim=(1, 2))
            torch.testing.assert_close(shares[:, k], pixels, rtol=0, atol=1e-6)
        shares_seen.add(round(float(shares.max(dim=1).values[0]), 4))
    assert len(shares_seen) > 10


def test_the_shares_of_a_blended_image_are_those_of_its_colour():
    images, shares = mixed(v2.MixUp(), FLAT, LABELS, 5, seed=3)
    assert 0.01 < float(shares.max(dim=1).values.min()) < 0.99
    expected = shares @ ((1 + torch.arange(5)) / 8)
    torch.testing.assert_close(images, expected.view(-1, 1, 1, 1).expand_as(FLAT))


def test_a_seed_tells_all_that_is_drawn_and_other_random_numbers_are_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first, again, other = (mixed(Everywhere(), FLAT, LABELS, 5, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


def digits(mix=None, rank=0, epoch=0, seed=0, **options):
    data = Digits(batch_size=64, mix=mix, seed=seed, **options)
    data._rank = lambda: (rank, 2)
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return data, loader


def test_every_step_epoch_process_and_seed_mixes_otherwise():
    def seeds(**changes):
        return [batch[-1] for batch in digits(v2.MixUp(), **changes)[1]]

    first = seeds()
    assert first == seeds()
    drawn = [*first, *seeds(rank=1), *seeds(epoch=1), *seeds(seed=1)]
    assert len(set(drawn)) == len(drawn) == 4 * len(first)


@pytest.mark.parametrize("augment", [True, False])
def test_the_augmented_batch_is_mixed_and_nothing_else_changes(augment):
    (plain, loader), (mixing, mixing_loader) = (digits(mix, augment=augment) for mix in (None, v2.CutMix()))
    changed = 0
    for batch, batch_to_mix in zip(loader, mixing_loader, strict=True):
        *given, seed = batch_to_mix
        assert same([batch], [tuple(given)])
        images, labels = plain.on_after_batch_transfer(batch)
        found = mixing.on_after_batch_transfer(batch_to_mix)
        assert same([found], [mixed(v2.CutMix(), images, labels, 10, seed)])
        changed += not torch.equal(images, found[0])
    assert changed >= len(loader) - 2


def test_a_loader_restored_in_mid_epoch_mixes_the_rest_alike():
    (_, whole), (_, resumed) = digits(v2.CutMix(), epoch=3), digits(v2.CutMix())
    resumed.load_state_dict({"epoch": 3, "step": 2})
    rest = iter(resumed)
    resumed.sampler.set_epoch(3)
    assert [batch[-1] for batch in whole][2:] == [batch[-1] for batch in rest]


class Sees(L.LightningModule):
    """Keeps the batches of each stage."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen = {"train": [], "val": [], "test": []}

    def training_step(self, batch, index):
        self.seen["train"].append(batch)
        return self.weight * 0

    def validation_step(self, batch, index):
        self.seen["val"].append(batch)

    def test_step(self, batch, index):
        self.seen["test"].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_every_data_set_mixes_its_training_batches_and_no_others(tmp_path):
    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    for kind, arguments in standins.written_data_sets(tmp_path):
        data, module = kind(batch_size=4, val_size=6, mix=v2.MixUp(), num_workers=0, **arguments), Sees()
        trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, num_sanity_val_steps=1, **quiet)
        with standins.unchecked():
            trainer.fit(module, data)
            trainer.test(module, data, verbose=False)
        for images, labels in module.seen["train"]:
            assert images.dtype == labels.dtype == torch.float32
            assert labels.shape == (4, data.num_classes)
            torch.testing.assert_close(labels.sum(dim=1), torch.ones(4))
        for stage in ("val", "test"):
            assert {labels.dtype for _, labels in module.seen[stage]} == {torch.int64}


def test_what_cannot_mix_is_refused_before_anything_is_read():
    with pytest.raises(InputError, match="mix is the class CutMix; give an instance such as torchvision"):
        Digits(mix=v2.CutMix)


@pytest.mark.parametrize(
    ("mix", "made"),
    [
        (lambda images, labels: images, r"float32 \[8, 3, 16, 12\] of"),
        (lambda images, labels: (images[:4], labels), r"float32 \[4, 3, 16, 12\] and float32 \[8, 5\] of"),
        (lambda images, labels: (images, labels.argmax(dim=1)), r"float32 \[8, 3, 16, 12\] and int64 \[8\] of"),
        (lambda images, labels: None, "a NoneType of"),
    ],
)
def test_what_mixes_to_something_else_is_refused(mix, made):
    with pytest.raises(InputError, match=rf"^mix makes {made} images and labels float32 .* and float32 \[8, 5\]; let"):
        mixed(mix, FLAT, LABELS, 5, seed=0)

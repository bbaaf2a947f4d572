import lightning as L
import numpy as np
import pytest
import torch

from energy_at.data import Digits
from energy_at.data.loaders import FileLoader, MemoryLoader, worker_count
from energy_at.data.sampling import EvalBatches, TrainBatches


def memory_loader(rank=0, world=1, batch=12, epoch=0):
    images = torch.arange(100, dtype=torch.uint8)[:, None, None, None].expand(100, 1, 8, 8).contiguous()
    loader = MemoryLoader(images, torch.arange(100), TrainBatches(100, batch, 1, rank, world), padding=2, flip=True)
    loader.sampler.set_epoch(epoch)
    return loader


def read(index, epoch):
    return torch.full((1, 2, 2), index, dtype=torch.uint8), 1000 * epoch + index


@pytest.mark.parametrize(("asked", "cores", "started"), [(None, 2, 2), (None, 64, 8), (5, 2, 5), (0, 2, 0)])
def test_unasked_a_loader_takes_no_more_workers_than_there_are_cores(asked, cores, started, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert worker_count(asked, most=8) == started
    monkeypatch.delattr("os.sched_getaffinity")  # as on a Mac
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert worker_count(asked, most=8) == started


def file_loader(num_workers=0):
    return FileLoader(read, TrainBatches(40, 8, 1), num_workers)


def same(batches, others):
    pairs = list(zip(batches, others, strict=True))
    return all(torch.equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


@pytest.mark.parametrize("make", [memory_loader, file_loader])
def test_a_restored_loader_yields_exactly_the_remaining_batches(make):
    reference, interrupted, resumed = make(), make(), make()
    reference.sampler.set_epoch(2)
    interrupted.sampler.set_epoch(2)
    batches = iter(interrupted)
    handed_out = [next(batches) for _ in range(3)]
    resumed.load_state_dict(interrupted.state_dict())
    rest = iter(resumed)  # Lightning makes the iterator before it sets the epoch
    resumed.sampler.set_epoch(2)
    assert same(list(reference), handed_out + list(rest))
    resumed.sampler.set_epoch(3)
    assert len(list(resumed)) == len(resumed)


def test_a_state_saved_at_the_end_of_an_epoch_starts_the_next_one_whole():
    loader, resumed = memory_loader(), memory_loader()
    list(loader)
    resumed.load_state_dict(loader.state_dict())
    resumed.sampler.set_epoch(1)
    assert len(list(resumed)) == len(resumed)


def test_each_image_keeps_its_crop_whatever_the_number_of_processes():
    def by_image(loader):
        return [{int(y): (tuple(o.tolist()), bool(f)) for y, o, f in zip(*batch[1:], strict=True)} for batch in loader]

    single = by_image(memory_loader(epoch=4))
    first, second = (by_image(memory_loader(rank, 2, 6, epoch=4)) for rank in range(2))
    assert single == [{**a, **b} for a, b in zip(first, second, strict=True)]


def test_images_and_labels_stay_together():
    for images, labels, *_ in memory_loader():
        assert torch.equal(images[:, 0, 3, 3].long(), labels)


def test_augmentation_differs_between_steps_and_epochs():
    loader = memory_loader()
    first, second = list(loader)[:2]
    loader.sampler.set_epoch(1)
    later = next(iter(loader))
    assert not torch.equal(first[2], second[2])
    assert not torch.equal(first[2], later[2])


def test_workers_deliver_what_the_process_itself_would():
    alone, workers = file_loader(), file_loader(num_workers=2)
    for epoch in (0, 1):
        for loader in (alone, workers):
            loader.sampler.set_epoch(epoch)
        next(iter(workers))  # an epoch broken off leaves nothing behind
        assert same(list(alone), list(workers))


def test_evaluation_comes_in_order_without_augmentation():
    images = torch.randint(0, 256, (10, 1, 4, 4), dtype=torch.uint8)
    batches = list(MemoryLoader(images, torch.arange(10), EvalBatches(10, 4)))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([x for x, _ in batches]), images)


class Recorder(L.LightningModule):
    """Remembers every training batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated = [], 0

    def training_step(self, batch, _):
        x, y = batch
        self.seen.append((self.current_epoch, x.clone(), y.clone()))
        return self.weight * x.mean()

    def validation_step(self, batch, _):
        self.validated += len(batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(tmp_path, ckpt_path=None, val_size=0.1, **kwargs):
    net = Recorder()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, max_epochs=3, num_sanity_val_steps=0, **kwargs,
    )  # fmt: skip
    trainer.fit(net, datamodule=Digits(batch_size=300, augment=True, val_size=val_size), ckpt_path=ckpt_path)
    return net


@pytest.mark.parametrize("every", [1, 3, 4])
def test_lightning_resumes_in_mid_epoch_with_the_very_same_batches(tmp_path, every):
    saver = L.pytorch.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=every, save_top_k=-1)
    whole = trained(tmp_path, callbacks=[saver])
    assert len(whole.seen) == 12
    start = 2 * every if every < 4 else every
    resumed = trained(tmp_path, tmp_path / f"step={start}.ckpt", enable_checkpointing=False)
    assert len(resumed.seen) == 12 - start
    for (epoch, x, y), (other_epoch, other_x, other_y) in zip(whole.seen[start:], resumed.seen, strict=True):
        assert epoch == other_epoch
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


def test_lightning_validates_on_the_held_out_images_or_not_at_all(tmp_path):
    assert trained(tmp_path, enable_checkpointing=False).validated == 3 * 144
    assert trained(tmp_path, val_size=0, enable_checkpointing=False).validated == 0


def test_overfitting_repeats_its_batches(tmp_path):
    (_, first, _), (_, second, _), _ = trained(tmp_path, enable_checkpointing=False, overfit_batches=1).seen
    assert torch.equal(first, second)


def test_what_the_module_receives(tmp_path):
    net = trained(tmp_path, enable_checkpointing=False, limit_train_batches=1)
    assert len({tuple(y.tolist()) for _, _, y in net.seen}) == 3
    _, x, y = net.seen[0]
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert x.shape == (300, 1, 8, 8)
    assert x.min() == 0
    assert x.max() == 1
    assert np.isin(np.rint(x.numpy() * 255), np.rint(np.arange(17) * 255 / 16)).all()

"""The pictures of a training's samples."""

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from energy_at import (
    PGD,
    ClassPCA,
    Digits,
    DualAT,
    InputError,
    LangevinSampler,
    SampleGrid,
    StandardAT,
    UniformInit,
    sample_seeds,
)
from energy_at.models import SmallNet


class Pictures(L.pytorch.loggers.CSVLogger):
    """Keeps what W&B's logger would be given."""

    given: list

    def log_image(self, key, images):
        self.given.append((key, images))


def fit(folder, module, grid, epochs=2):
    logger = Pictures(folder)
    logger.given = []
    trainer = L.Trainer(
        max_epochs=epochs,
        limit_train_batches=1,
        limit_val_batches=0,
        logger=logger,
        callbacks=[grid],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module, Digits(batch_size=16))
    return logger.given


def net():
    torch.manual_seed(0)
    return SmallNet(width=4)


def test_every_module_draws_every_few_epochs_and_hands_it_to_the_loggers(tmp_path):
    grid = SampleGrid(ClassPCA(), LangevinSampler(steps=2), every_n_epochs=2, columns=3, fit_count=200)
    given = fit(tmp_path, StandardAT(net(), attack=PGD(steps=1)), grid, epochs=4)
    folder = tmp_path / "lightning_logs" / "version_0" / "samples"
    assert sorted(path.name for path in folder.iterdir()) == ["epoch_0001.png", "epoch_0003.png"]
    assert given == [("samples", [str(folder / f"epoch_000{epoch}.png")]) for epoch in (1, 3)]
    assert grid.init["counts"].sum() == 200
    assert np.asarray(Image.open(folder / "epoch_0003.png").convert("L")).std() > 20


def test_dual_training_draws_as_it_trains(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("energy_at.callbacks.sample_grid.to_bytes", lambda x: seen.append(x) or x.mul(255).byte())
    sampler = LangevinSampler(step_size=0.1, noise=0, normalize=True)
    module = DualAT(net(), attack=PGD(eps=0.5, steps=1, norm="L2"), starts=UniformInit(), sampler=sampler, steps=3)
    fit(tmp_path, module, SampleGrid(every_n_epochs=1, columns=2), epochs=1)
    labels, seeds = torch.arange(10).repeat_interleave(2), sample_seeds(0, torch.arange(20))
    expected = sampler.with_steps(3)(module.net, module.starts.sample(labels, seeds), labels, seeds).x
    torch.testing.assert_close(seen[-1], expected)


def test_what_the_module_lacks_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="StandardAT has no starts for SampleGrid to take; give it init and sampler"):
        fit(tmp_path, StandardAT(net(), attack=PGD(steps=1)), SampleGrid())
    with pytest.raises(InputError, match="columns is 0"):
        SampleGrid(columns=0)

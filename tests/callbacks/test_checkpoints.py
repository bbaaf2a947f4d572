"""Which epochs the two checkpoints keep, also across a resumption."""

import lightning as L
import pytest
import torch
from torch import nn

from energy_at.callbacks import BestCheckpoint, LastCheckpoint

SCORES = [0.2, 0.5, 0.3, 0.4, 0.6]


class Scored(L.LightningModule):
    """A module whose accuracy at each epoch is known beforehand."""

    def __init__(self, scores):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.scores = scores

    def training_step(self, batch, batch_idx):
        return self.layer(batch).mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/robust_acc", self.scores[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, epochs, scores=SCORES, ckpt_path=None):
    loader = torch.utils.data.DataLoader(torch.ones(2, 1), batch_size=2)
    best, last = BestCheckpoint(), LastCheckpoint()
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=[best, last],
        logger=L.pytorch.loggers.CSVLogger(folder),
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(Scored(scores), loader, loader, ckpt_path=ckpt_path)
    return best, last


def epoch(callback):
    return torch.load(callback.best_model_path, weights_only=True)["epoch"]


@pytest.mark.parametrize("epochs", [1, 3, 4, 5])
def test_the_best_is_the_most_robust_epoch_and_the_last_is_the_last(tmp_path, epochs):
    best, last = fit(tmp_path, epochs)
    assert epoch(best) == max(range(epochs), key=SCORES.__getitem__)
    assert epoch(last) == epochs - 1
    assert sorted(path.name for path in tmp_path.rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(("later", "expected"), [([0.3, 0.4], 1), ([0.3, 0.6], 3)])
def test_a_resumed_run_has_to_beat_the_best_of_the_one_before(tmp_path, later, expected):
    scores = [0.2, 0.5, *later]
    best, last = fit(tmp_path / "first", 2, scores)
    kept = best.best_model_path
    resumed, _ = fit(tmp_path / "second", 4, scores, ckpt_path=last.best_model_path)
    assert epoch(resumed) == expected
    assert torch.load(kept, weights_only=True)["epoch"] == 1

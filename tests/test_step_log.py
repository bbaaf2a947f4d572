"""Numbers handed over where they are written, against Lightning's own way of handing them over in every step."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch

from energy_at import FGSM, Digits, StandardAT
from energy_at.models import SmallNet
from energy_at.step_log import StepLog, due

QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


class Steps(L.LightningModule):
    """Logs the same numbers both ways."""

    def __init__(self):
        super().__init__()
        self.layer, self.step_log = torch.nn.Linear(1, 1), StepLog()

    def training_step(self, batch, batch_idx):
        value, count = batch[0].float().mean(), len(batch[0])
        self.log("theirs", value, on_step=False, on_epoch=True, batch_size=count)
        self.step_log.add("ours", value, count)
        if due(self.trainer):
            for name, (mean, images) in self.step_log.take().items():
                self.log(name, mean, on_step=False, on_epoch=True, batch_size=images)
        return self.layer(value.view(1, 1)).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"log_every_n_steps": 3},
        {"log_every_n_steps": 1},
        {"max_steps": 5},
        {"limit_train_batches": 4},
        {"accumulate_grad_batches": 2},
        {"fast_dev_run": 3},
    ],
)
def test_an_epochs_mean_is_that_of_every_step(options, tmp_path):
    numbers = torch.randn(45, generator=torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(numbers), batch_size=6)  # the last has 3
    module = Steps()
    trainer = L.Trainer(
        **{"max_epochs": 2, **QUIET, "barebones": False, **options},
        default_root_dir=tmp_path,
    )
    trainer.fit(module, loader)
    metrics = trainer.callback_metrics
    torch.testing.assert_close(metrics["ours"], metrics["theirs"])


def test_means_weigh_every_image_alike_and_are_given_once():
    log = StepLog()
    log.add("a", torch.tensor(1.0, requires_grad=True), 3)
    log.add("a", torch.tensor(5.0), 1)
    log.add("b", torch.tensor(2.0), 4)
    means = log.take()
    assert {name: (float(mean), count) for name, (mean, count) in means.items()} == {"a": (2.0, 4), "b": (2.0, 4)}
    assert not means["a"][0].requires_grad
    assert log.take() == {}


def test_what_a_broken_epoch_left_is_no_part_of_the_next_one(tmp_path):
    class Broken(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.max_epochs == 7 and trainer.global_step == 2:
                raise RuntimeError("broken")

    def fitted(module, epochs):
        trainer = L.Trainer(
            max_epochs=epochs,
            limit_train_batches=4,
            limit_val_batches=0,
            callbacks=[Broken()],
            default_root_dir=tmp_path,
            **QUIET,
        )
        trainer.fit(module, Digits(augment=False))
        return trainer.callback_metrics

    def fresh():
        torch.manual_seed(0)
        return StandardAT(SmallNet(width=4), attack=FGSM(eps=0.1))

    broken = fresh()
    with pytest.raises(RuntimeError, match="broken"):
        fitted(broken, 7)
    broken.net = fresh().net
    torch.testing.assert_close(fitted(broken, 1), fitted(fresh(), 1))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"global_step": 49}, True),
        ({"global_step": 48}, False),
        ({"is_last_batch": True}, True),
        ({"max_steps": 1}, True),
        ({"should_stop": True}, True),
        ({"fast_dev_run": 1}, True),
        ({"log_every_n_steps": 0}, True),
    ],
)
def test_they_are_due_where_something_reads_them(place, expected):
    trainer = {"global_step": 0, "is_last_batch": False, "max_steps": -1, "should_stop": False, "fast_dev_run": False}
    assert due(SimpleNamespace(**{**trainer, "log_every_n_steps": 50, **place})) is expected

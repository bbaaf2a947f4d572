"""The monitor on trainings that really overfit, and on one that does not."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from energy_at import FGSM, PGD, Digits, EnergyLogger, EnergyPlot, InputError, OverfittingMonitor, StandardAT, read_run
from energy_at.callbacks import Recovery
from energy_at.callbacks.overfitting_monitor import remedy
from energy_at.loggers import CSVLogger
from energy_at.models import SmallNet
from energy_at.modules import Cyclic

GOES_ON = "energy-at fit --resume RUN -c parts/recovery.yaml."


def adam(params):
    return torch.optim.Adam(params, lr=0.003)


def trained(attack, epochs, monitor, eps_warmup=0, **options):
    torch.manual_seed(0)
    schedule = Cyclic(peak=0.3)
    module = StandardAT(SmallNet(width=16), attack, optimizer=adam, schedule=schedule, eps_warmup=eps_warmup)
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=[EnergyLogger(histograms=False), monitor],
        logger=options.pop("logger", False),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        **options,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(module, Digits())
    said = [str(w.message) for w in caught if "overfitting" in str(w.message)]
    return trainer, said


def test_catastrophic_overfitting_is_announced_once_logged_and_can_stop_the_training(tmp_path, monkeypatch):
    monitor = OverfittingMonitor(stop=True)
    alerts = []
    logger = CSVLogger(str(tmp_path))
    monkeypatch.setattr(logger, "alert", lambda *said: alerts.append(said), raising=False)
    trainer, said = trained(FGSM(eps=0.35), 60, monitor, logger=logger)
    assert len(said) == 1
    assert alerts == [("Catastrophic overfitting", said[0])]
    assert "Catastrophic overfitting since epoch" in said[0]
    assert said[0].endswith(" Recovery trains out of it, also when the run goes on: " + GOES_ON)
    assert trainer.current_epoch < 60
    assert monitor.catastrophic_epoch == trainer.current_epoch - 2
    assert float(trainer.callback_metrics["overfitting/catastrophic_epoch"]) == monitor.catastrophic_epoch
    newest = monitor.history[-1]
    assert newest.robust_acc < 0.1 * newest.single_step_acc


@pytest.mark.parametrize(
    ("attack", "callbacks", "named"), [(FGSM(), [], True), (FGSM(), [Recovery()], False), (PGD(), [], False)]
)
def test_recovery_is_named_where_it_can_help_and_is_not_there_yet(attack, callbacks, named):
    trainer = SimpleNamespace(callbacks=callbacks)
    assert (GOES_ON in remedy(trainer, StandardAT(SmallNet(width=2), attack))) == named


def test_multi_step_training_raises_no_alarm():
    monitor = OverfittingMonitor(stop=True)
    trainer, said = trained(PGD(eps=0.2, steps=4), 12, monitor)
    assert said == []
    assert trainer.current_epoch == 12
    assert monitor.history[-1].robust_acc > 0.4


class Silent(L.LightningModule):
    """Logs some of what is judged, or all."""

    def __init__(self, *names):
        super().__init__()
        self.net, self.names = SmallNet(width=2), names

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).logsumexp(dim=1).mean()

    def validation_step(self, batch, batch_idx):
        for name in self.names:
            self.log(name, 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


@pytest.mark.parametrize("names", [(), ("val/robust_acc",), ("val/robust_acc", "val/single_step_acc")])
def test_any_module_is_judged_by_what_it_logs_or_told_what_that_is(names, recwarn):
    monitor = OverfittingMonitor()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=3, limit_train_batches=1, callbacks=[monitor], enable_model_summary=False, **quiet)
    trainer.fit(Silent(*names), Digits(batch_size=32))
    told = [str(warning.message) for warning in recwarn if "nothing to judge" in str(warning.message)]
    assert (len(told), len(monitor.history)) == ((0, 3) if len(names) == 2 else (1, 0))


class Broken(Silent):
    """Withstands single steps alone, as its validation tells."""

    def validation_step(self, batch, batch_idx):
        self.log_dict({"val/robust_acc": 0.0, "val/single_step_acc": 0.9})


def test_epochs_without_validation_are_not_judged(tmp_path):
    monitor, plot = OverfittingMonitor(stop=True), EnergyPlot()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(
        max_epochs=9,
        limit_train_batches=1,
        check_val_every_n_epoch=3,
        default_root_dir=tmp_path,
        callbacks=[monitor, plot],
        enable_model_summary=False,
        **quiet,
    )
    trainer.fit(Broken(), Digits(batch_size=32))
    assert monitor.epochs == [2, 5]
    assert (monitor.catastrophic_epoch, trainer.current_epoch) == (2, 6)
    assert [row["epoch"] for row in plot.rows if "val/robust_acc" in row] == [2, 5]
    assert len(plot.rows) == 6


def test_the_warm_up_is_not_judged(tmp_path):
    """The net breaks under an attack that it has not been trained against yet, which is no overfitting."""
    monitor, logger = OverfittingMonitor(), CSVLogger(tmp_path)
    trained(FGSM(eps=0.2), 6, monitor, eps_warmup=4, logger=logger, limit_train_batches=3)
    assert len(monitor.history) == 2
    rows = read_run(Path(logger.log_dir) / "metrics.csv").rows
    assert [row.get("overfitting/warm_up") for row in rows] == [1, 1, 1, 1, None, None]


def test_its_state_is_plain_and_returns():
    monitor = OverfittingMonitor()
    trained(FGSM(eps=0.2), 2, monitor, limit_train_batches=2)
    restored = OverfittingMonitor()
    restored.load_state_dict(monitor.state_dict())
    assert (restored.history, restored.epochs) == (monitor.history, [0, 1])
    assert len(monitor.state_dict()["history"]) == 2


@pytest.mark.parametrize("options", [{"ratio": 0}, {"gap": 1.5}, {"tolerance": -1}, {"patience": 0}])
def test_impossible_values_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"{name} is {value}"):
        OverfittingMonitor(**options)

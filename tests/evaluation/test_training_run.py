"""What a metrics.csv tells: epochs, the monitor's onsets or the rules', phases."""

import csv

import lightning as L
import numpy as np
import pytest

from energy_at import PGD, Digits, EnergyLogger, OverfittingMonitor, StandardAT
from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST
from energy_at.evaluation.training_run import TrainingRun, metrics_beside, read_run
from energy_at.loggers import CSVLogger
from energy_at.models import SmallNet
from energy_at.types import InputError


def written(path, rows):
    """A metrics.csv as CSVLogger writes it: all columns, empty where a row has no value."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for row in rows for key in row}))
        writer.writeheader()
        writer.writerows(rows)
    return path


def collapsing(epochs=8, since=3):
    """Two rows an epoch; accuracy under the multi-step attack is lost from an epoch on."""
    for epoch in range(epochs):
        robust = 0.4 if epoch < since else 0.01
        yield {"epoch": epoch, "step": 9, "lr": 0.1, "train/loss_step": 2.0, "train_step/dE_marginal": 9.0}
        yield {"epoch": epoch, "val/robust_acc": robust, "val/single_step_acc": 0.5, "train/dE_marginal": epoch}
    yield {"epoch": epochs, "test/robust_acc": 0.3}


def test_a_row_an_epoch_remains_without_steps_and_test(tmp_path):
    run = read_run(written(tmp_path / "metrics.csv", list(collapsing())), "fgsm")
    assert run.name == "fgsm"
    assert [row["epoch"] for row in run.rows] == list(range(8))
    assert run.rows[5] == {
        "epoch": 5,
        "lr": 0.1,
        "val/robust_acc": 0.01,
        "val/single_step_acc": 0.5,
        "train/dE_marginal": 5,
    }


def test_onsets_are_the_rules_unless_the_monitor_logged_its_own():
    rows = [row for row in collapsing() if "val/robust_acc" in row]
    assert TrainingRun("", rows).onsets == {CATASTROPHIC: 3}
    rows[-1]["overfitting/robust_epoch"] = 6.0
    assert TrainingRun("", rows).onsets == {ROBUST: 6}
    assert TrainingRun("", [{"epoch": 0, "train/dE_marginal": 1.0}]).onsets == {}


def test_phases_are_of_the_training_delta_where_it_is_known():
    values = [*np.arange(6.0), *(5 - 0.1 * np.arange(6)), *(-3 * np.arange(1, 7))]
    rows = [{"epoch": epoch + 2, "train/dE_marginal": value} for epoch, value in enumerate(values)]
    run = TrainingRun("", [{"epoch": 0}, {"epoch": 1, "train/dE_marginal": float("nan")}, *rows])
    assert [phase.first for phase in run.phases] == [2, 8, 14]
    assert run.unexplained < 1e-10
    short = TrainingRun("", rows[:11])
    assert (short.phases, short.unexplained) == ((), None)


def test_a_run_of_this_package_is_read_as_the_monitor_saw_it(tmp_path):
    logger = CSVLogger(str(tmp_path))
    monitor = OverfittingMonitor(patience=1, gap=0.001, ratio=0.99)  # sees what is not there
    trainer = L.Trainer(
        max_epochs=3,
        limit_train_batches=3,
        log_every_n_steps=1,
        logger=logger,
        callbacks=[EnergyLogger(), monitor],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    module, data = StandardAT(SmallNet(width=4, in_channels=1), attack=PGD(eps=0.1, steps=1)), Digits()
    trainer.fit(module, data)
    checkpoint = tmp_path / "run" / "version_0" / "checkpoints" / "best.ckpt"
    trainer.save_checkpoint(checkpoint)
    trainer.test(module, data, verbose=False)
    run = read_run(metrics_beside(checkpoint))
    assert len(run.rows) == 3
    seen = [(epoch.robust_acc, epoch.train_delta_energy) for epoch in monitor.history]
    told = [(row["val/robust_acc"], row["train/dE_marginal"]) for row in run.rows]
    np.testing.assert_allclose(told, seen)
    epochs = {CATASTROPHIC: monitor.catastrophic_epoch, ROBUST: monitor.robust_epoch}
    assert run.onsets == {name: epoch for name, epoch in epochs.items() if epoch is not None}
    assert read_run(checkpoint.parents[1]).rows == run.rows
    assert metrics_beside(tmp_path / "elsewhere.pt") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        ("", "holds no whole epoch"),
        ("epoch,lr\n0,0.1\n", "holds no whole epoch"),
        ("a,b\n1,2\n", "is no metrics.csv"),
        ("epoch,val/acc\n0,high\n", "is no metrics.csv"),
        ("epoch,val/acc\n0,0.5,7\n", "is no metrics.csv"),
    ],
)
def test_what_is_no_run_is_refused(content, message, tmp_path):
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(path)

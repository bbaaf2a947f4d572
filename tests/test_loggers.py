"""Curves and histograms in files, and W&B whether it can be reached or not."""

import csv
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.utilities import rank_zero_only

from energy_at.loggers import CSVLogger, WandbLogger
from tests.offline_run import records, the_run_in


def test_histograms_are_appended_with_their_range(tmp_path):
    logger = CSVLogger(str(tmp_path), name="run")
    for step in (3, 7):
        logger.log_histogram("train/dE_marginal", np.array([1, 0, 2]), np.array([-1.0, 0.0, 1.0, 2.0]), step)
    rows = list(csv.DictReader((tmp_path / "run" / "version_0" / "histograms.csv").open()))
    assert [row["step"] for row in rows] == ["3", "7"]
    assert rows[0] == {
        "step": "3",
        "name": "train/dE_marginal",
        "low": "-1.0",
        "high": "2.0",
        "bin_0": "1",
        "bin_1": "0",
        "bin_2": "2",
    }


def test_runs_that_start_together_do_not_share_a_folder(tmp_path, monkeypatch):
    jobs = [CSVLogger(str(tmp_path), name="run") for _ in range(3)]
    assert {job._get_next_version() for job in jobs} == {0}
    assert [Path(job.log_dir).name for job in jobs] == ["version_0", "version_1", "version_2"]
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # the other processes of a run are told its folder by the first
    assert not Path(CSVLogger(str(tmp_path), name="run").log_dir).exists()


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")


def test_offline_runs_lie_in_the_folder_with_curves_and_histograms(tmp_path, offline):
    logger = WandbLogger(save_dir=str(tmp_path))
    logger.log_metrics({"train/dE_marginal": 0.5}, step=1)
    logger.log_histogram("train/dE_marginal", np.array([1, 2]), np.array([0.0, 0.5, 1.0]), step=1)
    summary = dict(logger.experiment.summary)
    logger.experiment.finish()
    assert summary["train/dE_marginal"] == 0.5
    assert summary["histograms/train/dE_marginal"]["values"] == [1, 2]
    records(the_run_in(tmp_path / "wandb"))  # a whole file


def test_an_alert_reaches_the_run(tmp_path, offline, monkeypatch):
    logger = WandbLogger(save_dir=str(tmp_path))
    alert, raised = type(logger.experiment).alert, []

    def seen(run, **said):
        raised.append(said)
        return alert(run, **said)

    monkeypatch.setattr(type(logger.experiment), "alert", seen)
    logger.alert("Robust overfitting", "0.5 to 0.4")
    logger.experiment.finish()
    assert raised == [{"title": "Robust overfitting", "text": "0.5 to 0.4"}]


def test_an_unreachable_server_does_not_lose_the_run(tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    init = wandb.init

    def unreachable(*args, mode=None, **kwargs):
        if mode != "offline":
            raise wandb.errors.CommError("Run initialization has timed out after 30.0 sec.")
        return init(*args, mode=mode, **kwargs)

    monkeypatch.setattr(wandb, "init", unreachable)
    logger = WandbLogger(save_dir=str(tmp_path))
    with pytest.warns(UserWarning, match=r"cannot be reached .*timed out.*logging offline.*wandb sync"):
        logger.log_metrics({"loss": 1.0}, step=0)
    logger.experiment.finish()
    assert list((tmp_path / "wandb").glob("offline-run-*"))

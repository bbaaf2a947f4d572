"""A command that is told to end, or whose job is requeued: what it leaves, says and goes on from."""

import csv
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.utilities.exceptions import SIGTERMException

from energy_at.cli import main
from energy_at.cli.endings import EndTogether
from tests.cli.test_app import SMALL

SLURM = {
    "SLURM_JOB_NAME": "at",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "localhost",
}
LOGGED = "--trainer.log_every_n_steps=1"
FATES = "--trainer.callbacks+=tests.cli.test_signals.Fates"
TABLE = """
name: long
title: A long training
runs: {AT: ""}
fit: -c digits_rsfgsm_at.yaml --trainer.max_epochs 1000 --trainer.accelerator cpu
seeds: [0]
"""


class Told(L.Callback):
    """Sends this process a signal after a step."""

    def __init__(self, number: int, step: int) -> None:
        self.number, self.step = number, step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


@contextmanager
def in_a_session(line, folder, env=None):
    """A command of several processes, none of which outlives the test; what they say is in ``said``."""
    with (folder / "said").open("w") as said:
        first = subprocess.Popen(line, cwd=folder, stdout=said, stderr=said, start_new_session=True, env=env)
        try:
            yield first
        finally:
            with suppress(ProcessLookupError):
                os.killpg(first.pid, signal.SIGKILL)


def told(number, step):
    name = "--trainer.callbacks"
    return [f"{name}+=tests.cli.test_signals.Told", f"{name}.number={int(number)}", f"{name}.step={step}"]


def test_a_training_that_is_told_to_end_is_not_taken_for_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *SMALL, *told(signal.SIGTERM, 4)]) == 143
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("energy-at: ended by SIGTERM; energy-at fit --resume /")
    assert said.endswith("version_0 goes on from the last epoch")
    assert torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["epoch"] == 0
    assert not list(tmp_path.rglob("results.json"))


def test_a_requeued_job_goes_on_from_its_own_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    fit = ["fit", *SMALL, LOGGED, FATES, "--trainer.limit_test_batches=0"]
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("FATE", "requeued 4, fails 5")
    with pytest.raises(RuntimeError, match="node failed"):
        main(fit)
    monkeypatch.delenv("FATE")
    assert sorted(path.name for path in Path("runs/slurm/7").rglob("*.*")) == ["hpc_ckpt_1.ckpt", "run.txt"]
    for job in ("7", "8"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        assert main(fit) == 0
    assert_same_runs(tmp_path)
    saved = [yaml.safe_load(path.read_text()) for path in Path("runs/digits_rsfgsm_der").rglob("config.yaml")]
    assert [config["trainer"]["default_root_dir"] for config in saved] == [None, None]  # else a third would share it
    assert [config["ckpt_path"] for config in saved] == [None, None]  # else it would go on with one of them


def test_a_job_whose_node_has_failed_goes_on_from_its_last_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    fit = ["fit", *SMALL, LOGGED, FATES, "--trainer.limit_test_batches=0", "--trainer.max_epochs=4"]
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for fate in ("requeued 2, fails 3", "fails 7"):  # in its first epoch, and in its third
        monkeypatch.setenv("FATE", fate)
        with pytest.raises(RuntimeError, match="node failed"):
            main(fit)
    monkeypatch.delenv("FATE")
    steps = [torch.load(path, weights_only=True)["global_step"] for path in (next(Path("runs").rglob("hpc*.ckpt")),)]
    assert steps == [2]
    assert torch.load(next(Path("runs").rglob("last.ckpt")), weights_only=True)["global_step"] == 6
    assert main(fit) == 0
    assert [path.name for path in Path("runs/slurm/7").rglob("*.*")] == ["run.txt"]
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert main(fit) == 0
    assert_same_runs(tmp_path)


def assert_same_runs(folder):
    """Two runs with the same weights and, step by step, losses; means of an epoch are those since its job began."""
    runs = sorted((folder / "runs/digits_rsfgsm_der").iterdir())
    assert [run.name for run in runs] == ["version_0", "version_1"]
    one, other = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in runs)
    assert all(torch.equal(one["state_dict"][name], other["state_dict"][name]) for name in one["state_dict"])
    losses, other_losses = ([(row["step"], row["train/loss_step"]) for row in rows_of(run)] for run in runs)
    assert [pair for pair in losses if pair[1]] == [pair for pair in other_losses if pair[1]]


def rows_of(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Fates(L.Callback):
    """What befalls a job after which steps, by an environment variable, so that the config stays the same."""

    def on_train_batch_end(self, trainer, *_):
        fates = os.environ.get("FATE", "").split(", ")
        if f"requeued {trainer.global_step}" in fates:
            os.kill(os.getpid(), signal.SIGUSR1)
        if f"fails {trainer.global_step}" in fates:
            raise RuntimeError("node failed")


def test_a_job_of_several_trainings_takes_each_for_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in (SLURM | {"SLURM_JOB_ID": "7"}).items():
        monkeypatch.setenv(name, value)
    fit = ["fit", *SMALL, "--trainer.limit_test_batches=0"]
    for seed in (1, 2):
        assert main([*fit, f"--seed_everything={seed}"]) == 0
    assert len(list(Path("runs/slurm/7").iterdir())) == len(list(Path("runs/digits_rsfgsm_der").iterdir())) == 2


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="asks Linux which processes run")
def test_a_table_that_is_told_to_end_takes_its_training_with_it(tmp_path):
    (tmp_path / "long.yaml").write_text(TABLE)
    line = [sys.executable, "-m", "energy_at", "reproduce", "long.yaml"]
    with (tmp_path / "said").open("w") as said:
        table = subprocess.Popen(line, cwd=tmp_path, stdout=said, stderr=said)
        training = tmp_path / "runs" / "reproduce" / "long" / "AT" / "seed0"
        _wait_for(lambda: list(training.rglob("last.ckpt")))
        assert _running(tmp_path)
        table.terminate()
        assert table.wait(timeout=60) == 2
    assert not _running(tmp_path)
    assert "interrupted; the same command goes on where it stopped" in (tmp_path / "said").read_text()
    assert not list(training.rglob("fit.json"))


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="asks Linux which processes run")
@pytest.mark.parametrize("whom", ["all of them", "the second alone"])
def test_two_processes_end_together_however_often_and_whichever_is_told(whom, tmp_path):
    long = ["-c=digits_rsfgsm_at.yaml", "-c=parts/ddp.yaml", "--trainer.max_epochs=1000"]
    line = [sys.executable, "-m", "energy_at", "fit", *long, "--trainer.accelerator=cpu", "--trainer.devices=2"]
    with in_a_session(line, tmp_path) as first:
        _wait_for(lambda: list(tmp_path.rglob("last.ckpt")))
        told = [process for process in _running(tmp_path) if whom == "all of them" or int(process) != first.pid]
        for number in [*told, *told]:
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGTERM)
        assert first.wait(timeout=60) == 143
        _wait_for(lambda: not _running(tmp_path), seconds=30)
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("energy-at: ended by SIGTERM; energy-at fit --resume /")
    run = tmp_path / "runs/digits_rsfgsm_at/version_0"
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] >= 0
    assert not [path for path in run.rglob(".*") if path.is_file()]


def test_a_signal_that_comes_while_the_processes_agree_is_not_lost():
    def reduce(notes, reduce_op):
        if not reduced:
            os.kill(os.getpid(), signal.SIGTERM)
        reduced.append(notes.tolist())
        return notes

    reduced, ending = [], EndTogether()
    strategy = SimpleNamespace(reduce=reduce, root_device=torch.device("cpu"), cluster_environment=None)
    trainer = SimpleNamespace(world_size=2, strategy=strategy)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ending.on_train_start(trainer, None)
        ending.on_train_batch_end(trainer)
        with pytest.raises(SIGTERMException):
            ending.on_train_batch_end(trainer)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert reduced == [[0.0], [1.0]]


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_ctrl_c_is_one_line_and_not_a_traceback(command, tmp_path, monkeypatch, capsys):
    def pressed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("energy_at.data.digits.Digits._read", pressed)
    args = SMALL if command == "fit" else ["-c=eval_digits.yaml", "--net=SmallNet"]
    before = signal.getsignal(signal.SIGINT)
    assert main([command, *args]) == 130
    signal.signal(signal.SIGINT, before)  # which Lightning takes no notice of from then on
    assert capsys.readouterr().err.splitlines()[-1].startswith("energy-at: interrupted; ")


def _running(folder):
    """Trainings that work in this folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").resolve() == folder.resolve():
                found.append(process.name)
        except OSError:  # ended meanwhile
            continue
    return found


def _wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)

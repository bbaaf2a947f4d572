"""Several processes of a training: what one of them has to say is said once, and none is left behind."""

import os
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest

from energy_at.cli import main
from energy_at.cli.processes import warn_of_idle
from energy_at.types import InputError
from tests.cli.test_app import SMALL
from tests.cli.test_signals import _running, _wait_for, in_a_session

REPOSITORY = Path(__file__).parents[2]
LINE = (
    *(sys.executable, "-m", "energy_at", "fit", "-c=digits_rsfgsm_at.yaml", "--trainer.accelerator=cpu"),
    *("--trainer.devices=2", "--trainer.strategy=lightning.pytorch.strategies.DDPStrategy"),
    *("--trainer.strategy.timeout=0:00:10", "--trainer.callbacks+=tests.cli.test_processes.Fails"),
)


class Fails(L.Callback):
    """The second process fails after a step, or does not go on."""

    def __init__(self, hangs: bool = False) -> None:
        self.hangs = hangs

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_rank == 1 and trainer.global_step == 4:
            if self.hangs:
                time.sleep(10_000)
            raise InputError("7.jpg is damaged; remove it")


@pytest.mark.parametrize("hangs", [False, True])
def test_a_process_that_fails_says_why_and_one_that_hangs_is_ended(hangs, tmp_path):
    env, line = os.environ | {"PYTHONPATH": str(REPOSITORY)}, [*LINE, f"--trainer.callbacks.hangs={hangs}"]
    with in_a_session(line, tmp_path, env) as first:
        assert first.wait(timeout=100) == 1
        _wait_for(lambda: not _running(tmp_path), seconds=10)
    said = (tmp_path / "said").read_text()
    lines = [line for line in said.splitlines() if line.startswith("energy-at: ")]
    echo = "energy-at: ended, because another process has ended or does not answer; it says why, unless it hangs"
    assert sorted(lines) == ([echo] if hangs else [echo, "energy-at: process 1: 7.jpg is damaged; remove it"])
    assert "Traceback" not in said


def test_a_training_goes_on_with_its_own_global_batch_or_not_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["fit", *SMALL])
    again = ["fit", "--resume", "runs/digits_rsfgsm_der/version_0", "--trainer.max_epochs=3"]
    assert main([*again, "--trainer.devices=2"]) == 2
    reason = "energy-at: this training's batch is 64 images, but 2 processes with batch_size 64 make it 128;"
    assert capsys.readouterr().err.splitlines()[-1] == f"{reason} give --data.batch_size 32"
    assert main([*again, "--data.batch_size=100"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("batch_size 100 make it 100; give --data.batch_size 64")
    assert main([*again, "--data.val_size=200"]) == 2
    said = "this training held out 144 images and was trained on others that would be among the 200 now; give --data"
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert main([*again, "--data.val_size=100"]) == 0
    tested = ["test", *SMALL, "--ckpt_path=runs/digits_rsfgsm_der/version_0/checkpoints/last.ckpt"]
    assert main([*tested, "--data.val_size=200"]) == 0


@pytest.mark.parametrize(
    ("batches", "processes", "rank", "told"), [(1, 2, 0, True), (1, 2, 1, False), (2, 2, 0, False), (1, 1, 0, False)]
)
def test_processes_without_a_batch_are_told_of_with_a_size_that_gives_them_one(batches, processes, rank, told):
    fabric = SimpleNamespace(world_size=processes, is_global_zero=rank == 0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_of_idle([360 // batches] * batches, fabric)
    assert [str(warning.message) for warning in seen] == told * [
        "of 2 processes only 1 has images; write --data.eval_batch_size 180, with which attacks draw other noise"
    ]

"""Every training has a folder of its own, in which no other one writes."""

import os

import pytest
from jsonargparse import Namespace

from energy_at.cli.run_folder import place_run
from energy_at.files import file_sha256
from energy_at.types import InputError
from tests.cli.test_app import SMALL, code_of


def placed(logger, trains=True, root=None):
    config = Namespace(trainer=Namespace(logger=logger, default_root_dir=root), config=["parts/ema.yaml", "mine.yaml"])
    place_run(config, trains)
    return config.trainer.logger


def a_logger(kind, **arguments):
    return Namespace(class_path=f"energy_at.loggers.{kind}", init_args=Namespace(**arguments))


def told(logger):
    return logger.class_path.rpartition(".")[2], logger.init_args.get("save_dir"), logger.init_args.get("name")


@pytest.mark.parametrize("given", [None, True, a_logger("WandbLogger", save_dir="runs", name="a")])
def test_where_no_logger_has_the_runs_folder_one_is_put_in_front(given):
    first, *others = placed(given)
    assert told(first) == ("CSVLogger", "runs", "mine")
    assert [told(logger) for logger in others] == (
        [("WandbLogger", "runs", "a")] if isinstance(given, Namespace) else []
    )


def test_a_logger_that_has_it_is_kept_and_named_and_moved_with_the_root():
    own, wandb = a_logger("CSVLogger", save_dir="runs", name=None), a_logger("WandbLogger", save_dir="runs", name=None)
    assert [told(logger) for logger in placed([wandb, own], root="there")] == [
        ("WandbLogger", "there", None),
        ("CSVLogger", "there", "mine"),
    ]
    named = a_logger("CSVLogger", save_dir="logs", name="yours")
    assert told(placed(named, root="there")) == ("CSVLogger", "logs", "yours")


def test_a_training_without_logger_is_refused_and_a_test_is_not():
    with pytest.raises(InputError, match=r"trainer\.logger false leaves a training without a folder of its own; leave"):
        placed(False)
    assert placed(False, trains=False) is False


def test_no_training_writes_over_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = ["fit", *SMALL, "--trainer.max_epochs=1", "--trainer.logger.version=mine"]
    assert code_of(args) == 0
    run = tmp_path / "runs/digits_rsfgsm_der/mine"
    before = {path: file_sha256(path) for path in run.rglob("*") if path.is_file()}
    assert code_of([*args, "--seed_everything=1"]) == 2
    assert (
        f"energy-at: {run} holds a training already; go on with it by energy-at fit --resume" in capsys.readouterr().err
    )
    assert {path: file_sha256(path) for path in run.rglob("*") if path.is_file()} == before
    assert code_of(["fit", f"--resume={run}", "--trainer.max_epochs=2"]) == 0
    assert os.listdir(run.parent) == ["mine"]

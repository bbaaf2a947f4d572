"""``energy-at reproduce`` as a user runs it, on the digits: its table, going on where it stopped, its mistakes."""

import csv
import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
import yaml

from energy_at.cli import main, trials
from energy_at.cli.trials import Trial
from energy_at.types import InputError
from tests.cli.test_lock import another

FIT = [
    "--config=digits_rsfgsm_der.yaml",
    "--trainer.limit_train_batches=3",
    "--trainer.limit_test_batches=0",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--model.net.width=2",
    "--model.schedule=null",
]
EVALUATE = "-c eval_digits.yaml --only [fgsm] --count 20 --accelerator cpu --devices 1"
TABLE = f"""
name: small
title: Two methods
runs:
  RS-FGSM: --model.weight=0
  RS-FGSM + DER: --model.weight=1
fit: {" ".join(FIT)} --trainer.max_epochs=1
evaluate: "{EVALUATE}"
judged: [best, last]
seeds: [3]
jobs: 2
"""


FORKING = threading.Lock()


def forked(line, log, env):
    """``run_process`` in a fork of this process, which has imported everything; tests/cli/test_signals.py spawns."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with FORKING:  # filelock refuses two at a time
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with log.open("w", buffering=1) as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        sys.stdout = sys.stderr = said
        try:
            code = main(line[3:])  # after python -m energy_at
        except BaseException as error:
            print(repr(error))
            code = 70
        said.flush()
        os._exit(code)


@pytest.fixture(autouse=True)
def forks(monkeypatch):
    monkeypatch.setattr(trials, "run_process", forked)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    (folder / "small.yaml").write_text(TABLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(trials, "run_process", forked)
        assert main(["reproduce", "small.yaml"]) == 0
    return folder


def lines_of(table):
    with (table / "runs" / "reproduce" / "small" / "small.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_table_has_a_line_a_training_with_what_evaluation_and_log_say(table):
    lines = lines_of(table)
    assert [(line["method"], line["seed"], line["epochs"]) for line in lines] == [
        ("RS-FGSM", "3", "1"),
        ("RS-FGSM + DER", "3", "1"),
    ]
    run = table / "runs" / "reproduce" / "small" / "RS-FGSM_+_DER" / "seed3"
    judged = json.loads((run / "last" / "evaluation.json").read_text())["results"]
    assert float(lines[1]["last: fgsm"]) == judged[1]["accuracy"]
    with (run / "part0" / "metrics.csv").open() as file:
        robust = [row["val/robust_acc"] for row in csv.DictReader(file) if row["val/robust_acc"]]
    assert [round(float(value), 6) for value in robust] == [float(lines[1]["val_last"])]
    assert (run.parents[1] / "small.png").read_bytes().startswith(b"\x89PNG")
    assert (run.parents[1] / "small.md").read_text().count("\n") == 4


def test_trainings_of_one_slurm_job_do_not_share_the_folder_from_which_they_are_requeued(table):
    configs = list((table / "runs" / "reproduce" / "small").glob("*/seed3/part0/config.yaml"))
    roots = [Path(yaml.safe_load(path.read_text())["trainer"]["default_root_dir"]) for path in configs]
    assert [table / root for root in roots] == [path.parents[1] for path in configs]
    assert len(set(roots)) == 2


def test_what_is_finished_is_not_done_again(table, monkeypatch, capsys):
    monkeypatch.chdir(table)
    before = {path: path.stat().st_mtime_ns for path in table.rglob("*.ckpt")}
    assert main(["reproduce", "small.yaml"]) == 0
    assert "2 of 2 trainings are done already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in table.rglob("*.ckpt")}


def test_another_training_is_not_taken_for_this_one(table, monkeypatch, capsys):
    monkeypatch.chdir(table)
    assert main(["reproduce", "small.yaml", "--fit=--trainer.max_epochs=2"]) == 2
    assert "holds a training with other arguments; remove it, or write to another output" in capsys.readouterr().err


def test_an_evaluation_that_wants_more_goes_on_from_what_is_there(table, monkeypatch):
    monkeypatch.chdir(table)
    run = table / "runs" / "reproduce" / "small" / "RS-FGSM" / "seed3"
    kept = {path: path.stat().st_mtime_ns for path in (run / "last" / "batches").rglob("*") if path.is_file()}
    before = lines_of(table)
    more = EVALUATE.replace("[fgsm]", "[fgsm,pgd-20]")
    assert kept
    assert main(["reproduce", "small.yaml", f"--evaluate={more}"]) == 0
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in (run / "last" / "batches").rglob("*")}.items()
    for line, earlier in zip(lines_of(table), before, strict=True):
        assert line["last: fgsm"] == earlier["last: fgsm"]
        assert 0 <= float(line["last: pgd-20"]) <= float(line["last: clean"])


def test_an_attack_that_is_spared_broken_images_counts_all_of_them(table, monkeypatch):
    monkeypatch.chdir(table)
    before = lines_of(table)
    assert main(["reproduce", "small.yaml", f"--evaluate={EVALUATE} --worst_case_only true"]) == 0
    run = table / "runs" / "reproduce" / "small" / "RS-FGSM" / "seed3"
    judged = json.loads((run / "last" / "evaluation.json").read_text())["results"]
    assert judged[1]["images"] == judged[0]["correct"] < judged[0]["images"]
    for line, earlier in zip(lines_of(table), before, strict=True):
        assert line["last: fgsm"] == earlier["last: fgsm"]


def trial(folder, epochs):
    return Trial("DER", 0, [*FIT, f"--trainer.max_epochs={epochs}"], (), (), folder, 1)


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path):
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    trial(interrupted, 1).run()
    (trial(interrupted, 1).folder / "part0" / "fit.json").unlink()
    assert not trial(interrupted, 2).trained
    trial(interrupted, 2).run()
    trial(whole, 2).run()
    resumed, uninterrupted = (trial(folder, 2).result().run.rows for folder in (interrupted, whole))
    assert [row["epoch"] for row in resumed] == [0, 1]
    assert resumed == uninterrupted


def test_a_training_that_was_killed_after_its_last_epoch_is_finished(tmp_path):
    killed = trial(tmp_path, 1)
    killed.run()
    rows = killed.result().run.rows
    part = killed.folder / "part0"
    (part / "fit.json").unlink()
    with another(part):
        with pytest.raises(InputError, match="is at work in"):  # as long as the training lives without its command
            killed.run()
        assert not (killed.folder / "part1").exists()
    (part / f".energies.png.{socket.gethostname()}.99999999.0.tmp").touch()
    killed.run()
    assert killed.result().run.rows == rows
    assert killed.result().minutes_per_epoch is None
    assert not [path for path in killed.folder.rglob(".*") if path.is_file()]


def test_a_failure_is_told_with_its_log_and_leaves_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(TABLE)
    args = ["reproduce", "small.yaml", "--runs.bad=--model.weight=-1", "--evaluate=", "--only=[RS-FGSM,bad]"]
    assert main(args) == 2
    said = capsys.readouterr().err
    assert said.startswith("energy-at: bad, seed 3: energy-at fit ended with code 2 (energy-at: weight is -1")
    assert said.rstrip().endswith("fit-part0.log")
    assert [line["method"] for line in lines_of(tmp_path)] == ["RS-FGSM"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["co-digit"], "there is no config reproduce/co-digit.yaml; give reproduce/co-digits.yaml"),
        (["co-digits", "--only=[FGMS]"], "only 'FGMS' is unknown; use FGSM"),
        (["co-digits", "--jobs=0"], "jobs is 0, but it counts from 1"),
    ],
)
def test_a_mistake_is_answered_in_one_line(args, words, capsys):
    assert main(["reproduce", *args]) == 2
    assert capsys.readouterr().err.startswith(f"energy-at: {words}")


def test_a_judgement_without_a_worst_case_keeps_its_last_row(tmp_path):
    rows = [{"name": "clean", "images": 4, "correct": 3}, {"name": "fog", "images": 4, "correct": 2}]
    (tmp_path / "evaluation.json").write_text(json.dumps({"results": rows}))
    assert trials._accuracies(tmp_path / "evaluation.json") == {"clean": 0.75, "fog": 0.5}


def test_a_checkpoint_that_no_training_left_is_missed(tmp_path):
    judging = Trial("AT", 0, [], ["-c", "eval_digits.yaml"], ["best"], tmp_path)
    part = judging.folder / "part0"
    part.mkdir(parents=True)
    (part / "fit.json").write_text('{"fit": [], "seconds": 1, "epochs": 1}')
    with pytest.raises(InputError, match=r"has left no best.ckpt in .*; judge another checkpoint"):
        judging.run()

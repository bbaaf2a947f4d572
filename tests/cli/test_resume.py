"""A training that goes on, as users expect it: one run, one folder, one curve."""

import csv
import os
import signal

import pytest
import torch

from energy_at.cli import main
from energy_at.loggers import CSVLogger
from tests.cli.test_app import SMALL, code_of
from tests.cli.test_signals import told

RUN = "runs/digits_rsfgsm_der/version_0"
EPOCHS = "--trainer.max_epochs={}"
LOGGED = "--trainer.log_every_n_steps=1"


def trained(run):
    """Epochs of which there is a row, in their order."""
    return [row["epoch"] for row in logged(run / "metrics.csv") if "train/loss_epoch" in row]


def logged(path):
    """All that a file of curves holds, whatever the order of its columns."""
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_an_interrupted_run_goes_on_in_its_folder_with_the_curves_of_one_that_was_not(
    number, tmp_path, monkeypatch, capsys
):
    if number == signal.SIGINT:
        signal.signal(number, signal.default_int_handler)  # which a shell has its background jobs ignore
    for name in ("straight", "interrupted"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "straight")
    main(["fit", *SMALL, EPOCHS.format(4), LOGGED])
    monkeypatch.chdir(tmp_path / "interrupted")
    code = main(["fit", *SMALL, EPOCHS.format(4), LOGGED, *told(number, 8)])
    assert code == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"energy-at fit --resume {tmp_path / 'interrupted' / RUN} goes on from the last epoch")
    assert main(["fit", "--resume", RUN, "--trainer.callbacks=null"]) == 0
    assert os.listdir("runs/digits_rsfgsm_der") == ["version_0"]
    for file in ("metrics.csv", "histograms.csv"):
        whole, joined = (logged(tmp_path / name / RUN / file) for name in ("straight", "interrupted"))
        assert joined == whole, file
    one, other = (
        torch.load(tmp_path / name / RUN / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("straight", "interrupted")
    )
    assert all(torch.equal(value, other["state_dict"][key]) for key, value in one["state_dict"].items())


def test_a_run_that_was_ended_before_it_was_judged_is_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["fit", *SMALL])
    run = tmp_path / RUN
    left = {path: path.read_bytes() for path in run.rglob("*") if path.suffix in (".csv", ".json", ".png", ".ckpt")}
    (run / "results.json").unlink()
    *_, newest = (run / "histograms.csv").read_text().splitlines()
    assert ",test/" in newest
    with (run / "histograms.csv").open("a") as file:
        file.write(newest[:-7])  # killed while it wrote
    assert main(["fit", "--resume", str(run)]) == 0
    assert {path: path.read_bytes() for path in left} == left
    assert len(left) == 6


def test_recovery_can_join_a_run_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["fit", *SMALL, EPOCHS.format(1)])
    assert main(["fit", "--resume", RUN, "-c", "parts/recovery.yaml", EPOCHS.format(2)]) == 0
    rows = logged(tmp_path / RUN / "metrics.csv")
    assert [row["epoch"] for row in rows if "overfitting/recovery" in row] == ["1"]
    assert trained(tmp_path / RUN) == ["0", "1"]
    assert "energy_at.callbacks.Recovery" in (tmp_path / RUN / "config.yaml").read_text()


def test_a_finished_run_says_so_and_goes_on_when_more_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["fit", *SMALL])
    before = (tmp_path / RUN / "metrics.csv").read_text()
    capsys.readouterr()
    assert main(["fit", f"--resume={RUN}"]) == 0
    assert "is finished: 2 of 2 epochs are trained; ask for more with --trainer.max_epochs 4" in capsys.readouterr().out
    assert (tmp_path / RUN / "metrics.csv").read_text() == before
    assert main(["fit", *SMALL, f"--ckpt_path={RUN}/checkpoints/last.ckpt", EPOCHS.format(3)]) == 0
    assert os.listdir("runs/digits_rsfgsm_der") == ["version_0"]
    assert trained(tmp_path / RUN) == ["0", "1", "2"]
    assert main(["fit", f"--resume={RUN}", EPOCHS.format(4), "--resume_in=new"]) == 0
    assert sorted(os.listdir("runs/digits_rsfgsm_der")) == ["version_0", "version_1"]
    assert trained(tmp_path / "runs/digits_rsfgsm_der/version_1") == ["3"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--resume", "nothing"], "nothing cannot be resumed: there is no nothing/config.yaml; give a folder"),
        (["--resume"], "RUN cannot be resumed"),
    ],
)
def test_what_is_no_run_is_refused(args, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *args]) == 2
    assert message in capsys.readouterr().err


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize("command", ["fit", "test"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}, "x": Harmful()}, "holds pickled objects"),
        ({"a": torch.zeros(1)}, "holds weights, but no training; begin with them by --start_from"),
    ],
)
def test_a_file_that_no_training_has_written_is_refused_in_one_line(
    command, content, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "net.ckpt")
    assert code_of([command, *SMALL, "--ckpt_path=net.ckpt"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """Runs a training of two epochs, and goes on with it for a third; gives the learning rate of each step."""
    monkeypatch.chdir(tmp_path)

    def run(first, *flags):
        assert main(["fit", *SMALL, *first, LOGGED, "--trainer.limit_test_batches=0"]) == 0
        code = main(["fit", f"--resume={RUN}", EPOCHS.format(3), *flags])
        return code, {
            int(row["step"]): float(row["lr"]) for row in logged(tmp_path / RUN / "metrics.csv") if "lr" in row
        }

    return run


def optimizer_in(tmp_path):
    content = torch.load(tmp_path / RUN / "checkpoints" / "last.ckpt", weights_only=True)
    return content["optimizer_states"][0]["param_groups"][0]


CYCLIC = {step: min(step / 4.5, (9 - step) / 4.5) for step in range(9)}  # three steps an epoch, peak in the middle


def test_a_changed_learning_rate_takes_effect_and_a_schedule_keeps_its_shape(finished):
    code, rates = finished(["--model.schedule.peak=0.5"], "--model.optimizer.lr=0.02")
    assert code == 0
    assert rates[2] == pytest.approx(0.1 * 2 / 3)
    for step in (7, 8):
        assert rates[step] == pytest.approx(0.02 * CYCLIC[step])


def test_other_changed_options_take_effect_and_unchanged_ones_change_nothing(finished, tmp_path):
    code, rates = finished(["--model.schedule=null"], "--model.optimizer.weight_decay=0.25")
    assert code == 0
    assert optimizer_in(tmp_path)["weight_decay"] == 0.25
    assert optimizer_in(tmp_path)["momentum"] == 0.9
    assert list(rates.values()) == pytest.approx([0.1] * 9)


def test_without_a_schedule_the_highest_rate_is_taken_up_again(finished):
    code, rates = finished(["--model.schedule=OneCycle"], "--model.schedule=null")
    assert code == 0
    assert rates[5] < 0.01
    assert [rates[step] for step in (6, 7, 8)] == pytest.approx([0.1] * 3)


def test_a_one_cycle_training_takes_more_epochs_on_the_longer_cycle(finished):
    code, rates = finished(["--model.schedule=OneCycle"])
    assert code == 0
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10, pct_start=0.25)
    expected = []
    for _ in range(9):
        expected.append(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step()
    assert [rates[step] for step in (6, 7, 8)] == pytest.approx(expected[6:])


@pytest.mark.parametrize(
    ("first", "flags", "words"),
    [
        ([], ["--model.optimizer=AdamW"], "this training's optimizer is SGD, and AdamW cannot take its state; leave"),
        ([], ["--model.schedule=OneCycle"], "OneCycle cannot take the state of this training's schedule; leave"),
        (["--model.schedule=OneCycle"], ["--model.schedule=Cyclic"], "Cyclic cannot take the state"),
        ([], ["--model.net.width=8"], "last.ckpt is of another net or method (it has width 4); leave"),
        ([], ["--model=ELLE", "--model.adaptive=true"], "last.ckpt is of another net or method; leave"),
    ],
)
def test_what_cannot_take_the_trainings_state_is_refused(first, flags, words, finished, tmp_path, capsys):
    code, rates = finished(first, *flags)
    assert code == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert f"{words}" in line
    assert "--start_from" in line
    assert max(rates) == 5
    assert os.listdir(tmp_path / "runs/digits_rsfgsm_der") == ["version_0"]


def test_a_checkpoint_of_another_net_is_not_judged(finished, capsys):
    finished([], EPOCHS.format(2))
    assert main(["test", *SMALL, "--model.net.width=8", f"--ckpt_path={RUN}/checkpoints/last.ckpt"]) == 2
    assert "last.ckpt is of another net or method (it has width 4)" in capsys.readouterr().err


def test_a_row_that_a_kill_has_cut_off_is_left_out(tmp_path):
    run = tmp_path / "name" / "version_0"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("a,epoch,step\n1,0,2\n2,1,5\n3,1,")
    logger = CSVLogger(tmp_path / "elsewhere")
    logger.go_on(run, 6)
    logger.log_metrics({"a": 4.0, "b": 1.0}, 8)
    logger.save()
    assert (run / "metrics.csv").read_text().splitlines() == ["a,b,epoch,step", "1,,0,2", "2,,1,5", "4.0,1.0,,8"]
    assert logger.log_dir == str(run)


UNREADABLE = ["--data=CIFAR10", "--data.root=absent", "--data.download=false"]


@pytest.mark.parametrize("flags", [UNREADABLE, ["--data.batch_size=5000"]], ids=["data", "batch_size"])
def test_a_training_that_fails_before_its_first_step_leaves_no_folder(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert code_of(["fit", *SMALL, *flags]) == 2
    assert os.listdir("runs/digits_rsfgsm_der") == []


@pytest.mark.parametrize("name", ["config.yaml", "notes.txt"])
def test_what_lay_in_its_folder_before_stays_when_a_training_fails(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "runs/digits_rsfgsm_der/mine" / name
    kept.parent.mkdir(parents=True)
    kept.write_text("of the user")
    assert code_of(["fit", *SMALL, *UNREADABLE, "--trainer.logger.version=mine"]) == 2
    assert kept.read_text() == "of the user"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert code_of(["fit", *SMALL, "--trainer.logger.save_dir=file", "--trainer.logger.version=1"]) == 1
    assert "file/digits_rsfgsm_der/version_1 cannot be written" in capsys.readouterr().err


def test_a_training_that_fails_after_a_step_leaves_its_config(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert code_of(["fit", *SMALL, *told(signal.SIGTERM, 1)]) == 143
    assert (tmp_path / RUN / "config.yaml").is_file()

"""The command line as a user runs it, on the digits, and what it says to mistakes."""

import csv
import json
import os
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from io import BytesIO, TextIOWrapper

import pytest
import torch
import wandb
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import callbacks as lightnings

from energy_at.cli import main
from energy_at.cli.messages import plain_warnings
from energy_at.cli.trainer_options import NOT_HERE
from energy_at.metrics import QUANTITIES
from tests.offline_run import records, the_run_in, values

SMALL = [
    "--config=digits_rsfgsm_der.yaml",
    "--trainer.max_epochs=2",
    "--trainer.limit_train_batches=3",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu",
    "--model.net.width=4",
]
LEFT = {
    "metrics.csv",
    "histograms.csv",
    "config.yaml",
    "checkpoints/last.ckpt",
    "checkpoints/best.ckpt",
    "energies.png",
    "results.json",
}


OWN_METRIC = """
import lightning as L

class Mine(L.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val_acc", 0.5)
"""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", *SMALL]) == 0
    return folder / "runs" / "digits_rsfgsm_der" / "version_0"


def code_of(args):
    """Of a command that may leave through ``sys.exit``, as the parser does."""
    try:
        return main(args)
    except SystemExit as leaving:
        return leaving.code


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_curves_config_checkpoints_picture_and_results(run_folder):
    assert files_in(run_folder) == LEFT
    header = next(csv.reader((run_folder / "metrics.csv").open()))
    for stage in ("train", "val", "test"):
        assert {f"{stage}/{e}" for e in ("E_marginal", "E_marginal_adv", "dE_marginal", "dE_joint")} <= set(header)
    results = json.loads((run_folder / "results.json").read_text())
    assert [row["checkpoint"] for row in results["results"]] == ["best", "last"]
    assert results["attack"]["init_args"]["steps"] == 20
    assert results["results"][1]["epoch"] == 1


def test_two_processes_share_a_run_and_its_folder(tmp_path):
    parts = ["--config=parts/ddp.yaml", "--config=parts/ema.yaml"]
    flags = [*SMALL, *parts, "--trainer.accelerator=cpu", "--trainer.devices=2", "--plot.seconds=0"]
    line = [sys.executable, "-m", "energy_at", "fit", *flags]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(line, cwd=tmp_path, stdout=said, stderr=said, start_new_session=True)
        try:
            code = process.wait(timeout=200)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # one process waits for ever where the other is gone
    said = (tmp_path / "said").read_text()
    assert code == 0, said
    assert "sync_dist" not in said
    (log,) = tmp_path.rglob("metrics.csv")
    assert files_in(log.parent) == LEFT


def test_all_that_a_training_leaves_is_in_the_folder_that_is_named_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = [*SMALL, "--trainer.max_epochs=1", "--trainer.limit_test_batches=0"]
    assert main(["fit", *short, "--trainer.default_root_dir=there"]) == 0
    assert main(["fit", *short, "--trainer.default_root_dir=there", "--trainer.logger.save_dir=logs"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"there", "logs"}
    for folder in ("there", "logs"):
        assert (tmp_path / folder / "digits_rsfgsm_der" / "version_0" / "checkpoints" / "last.ckpt").is_file()


def test_the_saved_config_repeats_the_run(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(run_folder / "config.yaml")]) == 0
    again = tmp_path / "runs" / "digits_rsfgsm_der" / "version_0"
    one, other = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True) for f in (run_folder, again))
    assert all(torch.equal(one["state_dict"][name], other["state_dict"][name]) for name in one["state_dict"])


def test_a_checkpoint_is_judged_with_the_attack_that_flags_ask_for(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    checkpoint = str(run_folder / "checkpoints" / "last.ckpt")
    attack = ["--model.test_attack=PGD", "--model.test_attack.eps=0.1", "--model.test_attack.steps=3"]
    assert main(["test", *SMALL, "--ckpt_path", checkpoint, *attack]) == 0
    assert "PGD-3, Linf eps 0.1" in capsys.readouterr().out
    (judged,) = json.loads(next(tmp_path.rglob("results.json")).read_text())["results"]
    trained = json.loads((run_folder / "results.json").read_text())["results"][1]
    assert judged["clean_acc"] == trained["clean_acc"]
    assert judged["checkpoint"] == "last"
    assert main(["validate", *SMALL, "--ckpt_path", checkpoint]) == 0


def test_a_run_resumes_from_its_last_checkpoint(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = str(run_folder / "checkpoints" / "last.ckpt")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The dirpath has changed")
        assert main(["fit", *SMALL, "--trainer.max_epochs=3", "--ckpt_path", checkpoint, "--resume_in=new"]) == 0
    assert torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["epoch"] == 2


def test_a_run_without_validation_and_test_images_keeps_its_last_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *SMALL, "--data.val_size=0", "--trainer.limit_test_batches=0"]) == 0
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["last.ckpt"]
    assert not list(tmp_path.rglob("results.json"))


def test_an_offline_run_of_wandb_holds_every_curve_histogram_number_picture_and_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert main(["fit", *SMALL, "--config=parts/wandb.yaml", "--trainer.callbacks.every_n_epochs=2"]) == 0
    wandb.run.finish()
    run = tmp_path / "runs" / "digits_rsfgsm_der" / "version_0"
    file = the_run_in(tmp_path / "runs" / "wandb")
    kept = records(file)
    logged = [values(record.history.item) for record in kept if record.HasField("history")]
    with (run / "metrics.csv").open() as curves:
        names = {name for name in next(csv.reader(curves)) if name not in ("epoch", "step")}
    assert names <= set().union(*logged)  # every curve of metrics.csv, the test's too
    assert {f"val/{quantity}" for quantity in QUANTITIES} <= names
    with (run / "histograms.csv").open() as histograms:
        drawn = {f"histograms/{row['name']}" for row in csv.DictReader(histograms)}
    assert drawn <= set().union(*logged)
    config = values(item for record in kept if record.HasField("run") for item in record.run.config.update)
    config |= values(item for record in kept if record.HasField("config") for item in record.config.update)
    assert json.loads(config["model"])["class_path"] == "energy_at.DER"
    summary = values(item for record in kept if record.HasField("summary") for item in record.summary.update)
    summary |= values(i for record in kept if record.HasField("run") for i in record.run.summary.update)
    for row in json.loads((run / "results.json").read_text())["results"]:
        for name in ("clean_acc", "robust_acc", "dE_marginal", "dE_joint"):
            assert json.loads(summary[f"{row['checkpoint']}/{name}"]) == row[name]
    assert any("energies" in step for step in logged)
    (table,) = file.parent.rglob("examples*.table.json")
    table = json.loads(table.read_text())
    assert len(table["data"]) == 16
    first = dict(zip(table["columns"], table["data"][0], strict=True))
    assert first["dE(x)"] == pytest.approx(first["E(x)"] - first["E(x*)"], abs=1e-5)
    assert list((run / "examples").iterdir()) == [run / "examples" / "epoch_0001.png"]


def test_print_config_shows_everything(capsys):
    assert code_of(["fit", *SMALL, "--print_config"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["init_args"]["net"]["init_args"]["width"] == 4
    assert shown["model"]["init_args"]["penalty"] == "squared"
    assert shown["model"]["init_args"]["attack"]["init_args"]["eps"] == 0.3
    assert {"energies", "overfitting", "plot", "best", "last"} <= shown.keys()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model.wieght=1"], "there is no option wieght; did you mean weight? --print_config shows"),
        (["--model.attack.esp=1"], "there is no option esp; did you mean eps? --print_config shows"),
        (["--model.xylophone=1"], "there is no option xylophone; --print_config shows"),
        (["--model.eps=1"], "there is no option eps at this place, but of AutoAttack, CarliniWagner, "),
        (["--data.resize=2"], "there is no option resize at this place, but of ImageNet; --print_config"),
        (["--trainer.foo=1"], "there is no option --trainer.foo=1; --print_config shows"),
        (
            ["--data.transform=torchvision.transforms.v2.RandomRotation"],
            "RandomRotation needs degrees; write it into init_args",
        ),
        (["--trainer.callbacks+=GradientAccumulationScheduler"], "GradientAccumulationScheduler needs scheduling"),
        (
            ["--trainer.strategy=ddp_fork"],
            "trainer.strategy ddp_fork is for notebooks, its processes end before the test",
        ),
        (["--trainer.strategy=ddp_spawn_find_unused_parameters_true"], "trainer.strategy ddp_spawn_find_unused_para"),
        (
            ["--trainer.strategy=DDPStrategy", "--trainer.strategy.start_method=spawn"],
            "trainer.strategy spawn is for notebooks, its processes end before the test; write ddp",
        ),
        (
            ["--trainer.accumulate_grad_batches=0"],
            "trainer.accumulate_grad_batches is 0, but it counts from 1; write for example trainer.accumulate_grad_bat",
        ),
        (["--trainer.max_steps=0"], "with trainer.max_steps 0 nothing is trained; write at least 1, or leave it out"),
        (["--trainer.limit_train_batches=0.0"], "with trainer.limit_train_batches 0 nothing is trained; write at"),
        (
            ["--trainer.max_epochs=-1", "--trainer.max_time=00:00:00:01"],
            "a schedule has to know how long is trained; write trainer.max_epochs or max_steps, or model.schedule",
        ),
        (
            ["-c", "parts/ema.yaml", "-c", "parts/swa.yaml"],
            "EMAWeightAveraging and SWA each average the weights, and spoil each other's; leave one out",
        ),
        (
            ["--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.1"],
            "StochasticWeightAveraging averages after the last checkpoint, so that nothing judges the average; write",
        ),
        (["--data.transform=RandomErasing"], "transform: several classes are called RandomErasing; write torchvision"),
        (["--model.attack.eps=-0.1"], "eps is -0.1, but a radius is"),
        (["--model.attack.eps=8/x"], "eps: '8/x' is not a number; write 0.03 or 8/255"),
        (["--model.attack=PGD", "--model.attack.steps=0"], "steps is 0, but it counts from 1"),
        (["--model.attack=PDG"], "attack: there is no class PDG; did you mean PGD?"),
        (["--model=DERR"], "model: there is no class DERR; did you mean DER?"),
        (["--model.schedule=Steps"], "schedule: there is no class Steps; write Cosine, Cyclic, OneCycle or Piecewise,"),
        (
            ["--model.net=resnet18"],
            "net: there is no class resnet18; write DMPreActResNet, DMWideResNet, PreActResNet,",
        ),
        (["--model.net=torchvision.models.resnet18"], "net: that is a function, expected a class; for a net of torc"),
        (
            ["--model.net=ResNet"],
            "net: several classes are called ResNet; write energy_at.ResNet",
        ),
        (["--trainer.logger=Tensor"], "trainer.logger: there is no class Tensor; write CSVLogger or WandbLogger, or a"),
        (
            ["--model.attack.eps=8"],
            "eps is 8 in Linf, but images lie in [0, 1]; for grey levels write for example eps: 8/",
        ),
        (["--trainer.precision=bf16-true"], "weights in half precision lose an attack's steps; write precision: bf16"),
        (["--trainer.enable_checkpointing=false"], "trainer.enable_checkpointing leaves out the checkpoints, which"),
        (
            ["--trainer.barebones=true"],
            "trainer.barebones leaves out the checkpoints, which a training ends by judging",
        ),
        (["--model.net=energy_at.models.ResNett"], "net: module 'energy_at.models' has no attribute 'ResNett'"),
        (["--model.weight=-1"], "weight is -1.0, but a penalty's weight is finite and at least 0"),
        (["--model.terms=none"], "terms is none, expected one of marginal, joint, both"),
        (["--data=CIFAR12"], "data: there is no class CIFAR12; did you mean CIFAR10"),
        (["--data.batch_size=0"], "batch_size is 0, but it counts from 1"),
        (["--data.batch_size=5000"], "1293 training images do not fill one batch of 5000; lower batch_size"),
        (
            ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val_acc"],
            "EarlyStopping monitors val_acc, which is not logged; write one such as val/robust_acc, val/single_step",
        ),
        (["--best.monitor=val/acc"], "BestCheckpoint monitors val/acc, which is not logged; write one such as val/r"),
        (
            ["--trainer.callbacks=BatchSizeFinder"],
            "BatchSizeFinder tries batches until memory is full; keep data.bat",
        ),
        (
            ["--trainer.callbacks=Timer", "--trainer.callbacks.duration=00:01:00:00"],
            "Timer is what trainer.max_time sets; write --trainer.max_time",
        ),
        (["--trainer.callbacks=LearningRateFinder"], "LearningRateFinder sets an attribute of the module, but here"),
        (["--trainer.val_check_interval=100"], "`val_check_interval` (100) must be less than or equal to the number"),
        (["--trainer.overfit_batches=0.1"], "You requested to check 0.1 of the `val_dataloader` but"),
        (["--trainer.accelerator=tpu"], "Requirement 'torch_xla"),
        (["--trainer.max_epochs=many"], "trainer.max_epochs is many, expected int"),
        (["--model.optimizer.lr=-1"], "the optimizer refuses its arguments: Invalid learning rate: -1.0"),
        (["-c=parts/ema.yaml", "-c=parts/ema.yaml"], "trainer.callbacks has EMAWeightAveraging twice; leave out one"),
        (["--data=ImageFolder", "--data.root=absent"], "there is no folder absent/train; expected"),
    ],
)
def test_a_mistake_is_answered_in_one_line_that_names_it(flags, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert code_of(["fit", *SMALL, *flags]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("energy-at: ")]
    assert len(error) == 1
    assert error[0].startswith(f"energy-at: {words}")
    assert len(error[0]) < 300


def test_the_callbacks_that_are_refused_are_lightnings():
    assert set(lightnings.__all__) >= NOT_HERE.keys()


def test_an_argument_that_a_class_needs_is_asked_for_by_the_flag_of_the_class(capsys, monkeypatch):
    args = ["fit", *SMALL, "--trainer.callbacks+", "GradientAccumulationScheduler"]
    monkeypatch.setattr("sys.argv", ["energy-at", *args])
    assert code_of(args) == 2
    assert "needs scheduling; write --trainer.callbacks.scheduling\n" in capsys.readouterr().err


def test_what_a_run_logs_can_be_monitored_and_every_checkpoint_with_a_file_is_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callbacks = [
        {"class_path": "EarlyStopping", "init_args": {"monitor": "val/dE_joint_std", "mode": "max"}},
        {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val/clean_acc", "filename": "clean"}},
        {"class_path": "OnExceptionCheckpoint", "init_args": {"dirpath": "."}},  # has no file where nothing goes wrong
    ]
    (tmp_path / "callbacks.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks}}))
    assert main(["fit", *SMALL, "--config=callbacks.yaml", "--trainer.limit_test_batches=1"]) == 0
    results = json.loads((tmp_path / "runs/digits_rsfgsm_der/version_0/results.json").read_text())["results"]
    assert {row["checkpoint"] for row in results} == {"clean", "best", "last"}


def test_a_metric_of_ones_own_can_be_monitored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_metric.py").write_text(OWN_METRIC)
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--trainer.callbacks=own_metric.Mine", "--best.monitor=val_acc", "--trainer.limit_test_batches=1"]
    assert main(["fit", *SMALL, *own]) == 0


def test_what_lightning_refuses_of_a_users_own_code_keeps_its_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_fault.py").write_text(OWN_METRIC.replace("on_validation_epoch_end", "on_fit_end"))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MisconfigurationException, match="log"):
        main(["fit", *SMALL, "--trainer.callbacks=own_fault.Mine"])


def test_a_warning_of_the_package_is_one_line(tmp_path):
    # the last flag ends the command after the warning
    flags = ["-c=digits_pgd_trades.yaml", "--model.attack.loss=cross_entropy", "--data.batch_size=5000"]
    command = [sys.executable, "-m", "energy_at", "fit", *SMALL, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if "is that meant?" in line]
    assert told == ["energy-at: warning: TRADES attacks kl, but attack.loss is cross_entropy; is that meant?"]
    assert "rank_zero_warn" not in done.stderr


def test_a_locale_without_the_bars_characters_ends_no_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with TextIOWrapper(BytesIO(), encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["fit", *SMALL, "--trainer.enable_progress_bar=true"]) == 0
        terminal.flush()
        assert b" ? " in terminal.buffer.getvalue()


def test_warnings_of_others_are_shown_as_they_are_and_all_are_after_the_command():
    before = warnings.formatwarning
    foreign = ("text", UserWarning, os.__file__, 1)
    with plain_warnings():
        assert warnings.formatwarning(*foreign) == before(*foreign)
        assert warnings.formatwarning("some\ntext", UserWarning, main.__code__.co_filename, 1) == (
            "energy-at: warning: some text\n"
        )
    assert warnings.formatwarning is before


POLICY = """
import os, sys
{first}
print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("first", "given", "told"),
    [
        ("from energy_at.cli import main; main(['--version'])", {}, "PASSIVE False"),
        ("from energy_at.cli import main; main(['--version'])", {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE False"),
        ("import energy_at, energy_at.cli", {}, "None False"),
    ],
)
def test_the_command_alone_lets_waiting_threads_yield_before_torch_is_loaded(first, given, told):
    env = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | given
    done = subprocess.run([sys.executable, "-c", POLICY.format(first=first)], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == told


WORKER = """
import multiprocessing, sys
from energy_at.cli import main
if __name__ == "__main__":
    main(["--version"])
    with multiprocessing.get_context("forkserver").Pool(1) as workers:
        print("torch" in sys.modules, workers.apply(eval, ("'torch' in __import__('sys').modules",)))
"""


def test_workers_are_forked_from_a_process_that_has_imported_what_they_need(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    done = subprocess.run([sys.executable, tmp_path / "worker.py"], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False True"


A_MAC = """
from energy_at.cli import main
main(["--version"])
import platform, torch
from lightning.pytorch.accelerators import MPSAccelerator
torch.backends.mps.is_available, platform.processor = lambda: True, lambda: "arm"
print(MPSAccelerator.is_available())
"""


@pytest.mark.parametrize(("given", "taken"), [({}, "False"), ({"DISABLE_MPS": "0"}, "True")])
def test_on_a_mac_the_command_takes_the_cpu_unless_its_gpu_is_asked_for(given, taken):
    env = {key: value for key, value in os.environ.items() if key != "DISABLE_MPS"} | given
    done = subprocess.run([sys.executable, "-c", A_MAC], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == taken


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--trainer.max_epoch=3"], "there is no option --trainer.max_epoch; did you mean --trainer.max_epochs?"),
        (["--energies.every_n=3"], "there is no option --energies.every_n; did you mean --energies.every_n_steps?"),
        (["--model=Digits"], "model: Digits is a class of another kind; --print_config shows every option"),
        (["--trainer.max_epochs=" + 5000 * "x"], f"trainer.max_epochs is {60 * 'x'}..., expected int"),
    ],
)
def test_a_mistake_is_answered_in_one_short_line(args, message, capsys):
    assert code_of(["fit", *SMALL, *args]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == f"energy-at: {message}"


def test_what_stands_beside_a_class_path_is_named_with_its_place(tmp_path, capsys):
    config = tmp_path / "mine.yaml"
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}, "momentum": 0.9}
    config.write_text(yaml.safe_dump({"model": {"class_path": "DER", "init_args": {"optimizer": optimizer}}}))
    assert code_of(["fit", *SMALL, f"--config={config}"]) == 2
    place = "model.init_args.optimizer"
    message = f"{config} has {place}.momentum beside class_path; write it into {place}.init_args"
    assert capsys.readouterr().err.strip() == f"energy-at: {message}"


def test_a_training_begins_with_three_lines_and_without_advertisement(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["fit", *SMALL, "--trainer.max_epochs=1"])
    said = capsys.readouterr()
    what, on, where = said.out.splitlines()[:3]
    net = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["state_dict"]
    count = sum(value.numel() for name, value in net.items() if "running" not in name and "num_" not in name)
    assert what == f"DER: SmallNet, {count - 2:,} parameters; attack RSFGSM, Linf eps 0.3"
    assert on == "Digits: 1,293 images for training, 144 for validation; 1 epoch of 3 steps of 64 images"
    assert where == f"Results: {tmp_path / 'runs/digits_rsfgsm_der/version_0'}"
    assert "litlogger" not in said.err + said.out
    assert "FLOPs" not in said.err + said.out


def test_where_few_images_are_held_out_the_training_says_what_rests_on_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="best checkpoint and OverfittingMonitor rest on 20 validation images; raise"):
        assert main(["fit", *SMALL, "--trainer.max_epochs=1", "--data.val_size=20"]) == 0

"""``energy-at analyze`` as a user runs it, on the digits: its numbers, its files, its mistakes."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from energy_at import FGSM, PGD, Digits, EnergyDescent, unlabelled_images
from energy_at.cli import main
from energy_at.cli.analyze import FigureName, analyze
from energy_at.cli.commands import command_parser
from energy_at.cli.config_files import packaged_configs
from energy_at.evaluation.analysis import measure
from energy_at.evaluation.analysis.means import mean_rows
from energy_at.evaluation.analysis.report import PLATES
from energy_at.files import file_sha256
from energy_at.hub.sources import best_of
from tests.cli.test_evaluate import NET, a_net, code_of
from tests.data.standins import unchecked, write_cifar10, write_cifar100, write_image_folder, write_svhn

CONFIG = """
data: {class_path: Digits, init_args: {eval_batch_size: 50}}
accelerator: cpu
devices: 1
smoothness: {images: 9, factors: [0.5, 1], multiples: [-1, 0, 1]}
attacks:
  fgsm: {class_path: FGSM, init_args: {eps: 0.1}}
  pgd: {class_path: PGD, init_args: {eps: 0.1, steps: 3}}
"""
METRICS = "epoch,step,val/robust_acc,val/single_step_acc,train/dE_marginal\n" + "".join(
    f"{epoch},9,{0.4 if epoch < 2 else 0.0},0.5,{0.1 * epoch}\n" for epoch in range(5)
)


def write_three(root):
    write_cifar10(root)
    write_cifar100(root)
    write_svhn(root)


WRITERS = {
    "cifar10": write_cifar10,
    "cifar10_ood": write_three,
    "cifar10jpeg": write_image_folder,
    "digits": None,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a config, a foreign state_dict, and a run whose checkpoint is another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "analyze.yaml").write_text(CONFIG)
    weights = a_net().state_dict()
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}, "net.pth")
    checkpoint = tmp_path / "logs" / "digits_fgsm_at" / "version_0" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({name: 1.5 * tensor for name, tensor in weights.items()}, checkpoint)
    (checkpoint.parents[1] / "metrics.csv").write_text(METRICS)
    return tmp_path


RUN = "logs/digits_fgsm_at/version_0/checkpoints/best.ckpt"
START = ["analyze", "-c", "analyze.yaml", *NET]


def means_in(folder):
    with (folder / "means.csv").open(newline="") as file:
        return {(row["net"], row["case"]): row for row in csv.DictReader(file)}


def test_it_writes_the_librarys_numbers_beside_the_checkpoint(folder, capsys):
    assert main([*START, "--ckpt_path=net.pth"]) == 0
    printed = capsys.readouterr()
    found = means_in(folder / "net-analysis")
    batches = Digits(eval_batch_size=50).batches("test")
    expected = mean_rows([measure.analyze(a_net(), batches, {"fgsm": FGSM(0.1), "pgd": PGD(0.1, steps=3)})])
    for row in expected:
        told = found["net", row["case"]]
        for key in ("accuracy", "E_marginal", "E_joint", "confidence"):
            assert float(told[key]) == pytest.approx(row[key], abs=1e-5)
    assert found["net", "pgd"]["images"] == "360"
    assert "net-analysis/report.html" in printed.out
    assert f"{expected[2]['dE_joint']:+.3f}" in printed.out
    (bar,) = [line for line in printed.err.split("\n") if "img/s" in line]  # one, redrawn
    for word in ("net: 100%", "1080/1080", "dE(x)"):
        assert word in bar
    conditions = json.loads((folder / "net-analysis" / "conditions.json").read_text())["nets"]["net"]
    wanted = {"data", "split", "split_images", "seed", "dtype", "torch", "checkpoint_sha256", "data_sha256"}
    assert wanted <= conditions.keys()
    names = {path.stem for path in (folder / "net-analysis").glob("*.png")}
    assert names == {plate.name for plate in PLATES} - {"ood"}


def test_several_nets_stand_side_by_side_with_the_runs_found_beside_them(folder):
    nets = f"--nets={{plain: net.pth, fast: {RUN}}}"
    assert main([*START, nets, "--count=60", "--figures=[deltas,training]"]) == 0
    out = folder / "runs" / "plain-fast-analysis"
    assert {path.name for path in out.glob("*.png")} == {"deltas.png", "training-fast.png"}
    found = means_in(out)
    assert [key[0] for key in found] == ["plain"] * 3 + ["fast"] * 3
    assert found["plain", "natural"]["E_marginal"] != found["fast", "natural"]["E_marginal"]
    assert "catastrophic overfitting (epoch 2)" in (out / "report.html").read_text()
    tables = [np.genfromtxt(out / f"{name}.images.csv", delimiter=",", names=True) for name in ("plain", "fast")]
    labels = [table["label"] for table in tables]
    assert len(labels[0]) == 60
    np.testing.assert_array_equal(*labels)


def test_a_checkpoint_in_a_run_bears_the_runs_name_and_other_runs_can_be_given(folder):
    assert main([*START, f"--ckpt_path={RUN}", "--count=20", "--figures=[kl]"]) == 0
    out = (folder / RUN).with_name("best-analysis")
    assert {key[0] for key in means_in(out)} == {"digits_fgsm_at"}
    assert {path.name for path in out.glob("*.png")} == {"kl.png"}
    metrics = folder / "logs" / "digits_fgsm_at" / "version_0" / "metrics.csv"
    args = ["--ckpt_path=net.pth", "--count=20", "--figures=[training]", f"--runs.mine={metrics}", "--output=here"]
    assert main([*START, *args]) == 0
    assert {path.name for path in (folder / "here").glob("*.png")} == {"training-mine.png"}


def test_the_folder_of_a_run_stands_for_its_best_checkpoint(folder):
    run = Path(RUN).parents[1]
    assert main([*START, f"--ckpt_path={run}", "--count=20", "--figures=[kl,training]"]) == 0
    out = (folder / RUN).with_name("best-analysis")
    assert {key[0] for key in means_in(out)} == {"digits_fgsm_at"}
    assert {path.name for path in out.glob("*.png")} == {"kl.png", "training-digits_fgsm_at.png"}
    told = json.loads((out / "conditions.json").read_text())["nets"]["digits_fgsm_at"]
    assert told["checkpoint_sha256"] == file_sha256(Path(RUN))


def test_where_no_image_was_held_out_it_stands_for_the_last(tmp_path):
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    assert best_of(tmp_path) == last
    last.with_name("best.ckpt").touch()
    assert best_of(str(tmp_path)) == last.with_name("best.ckpt")
    assert best_of("hf://USER/NAME") == Path("hf://USER/NAME")


def test_one_pass_is_made_whatever_figures_are_asked(folder, monkeypatch):
    calls = []
    original = PGD.perturb
    monkeypatch.setattr(PGD, "perturb", lambda self, *args: calls.append(self.steps) or original(self, *args))
    few = ["--ckpt_path=net.pth", "--count=100"]
    assert main([*START, *few, "--figures=[kl]", "--output=few"]) == 0
    assert calls == [1, 3] * 2
    every = "--figures=[distributions,deltas,confidence,kl,classes,training]"
    assert main([*START, *few, every, "--output=many"]) == 0
    assert calls == [1, 3] * 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "there is neither a checkpoint nor a net; give one of them"),
        (["--ckpt_path=absent.ckpt"], "there is no file absent.ckpt"),
        (["--ckpt_path=net.pth", "--nets={a: net.pth}", *NET], "there are ckpt_path and nets; give one net"),
        (["--nets={a: net.pth, b: absent.pth}", *NET], "there is no file absent.pth"),
        (["--ckpt_path=net.pth", *NET, "--figures=[heat]"], "heat"),
        (["--ckpt_path=net.pth", *NET, "--runs.a=absent.csv"], "there is no file absent.csv"),
        (["--ckpt_path=net.pth", *NET, "--runs.a=analyze.yaml"], "analyze.yaml is no metrics.csv"),
        (["--ckpt_path=net.pth", *NET, "--smoothness.images=0"], "images is 0, but it counts from 1"),
        (["--ckpt_path=net.pth", *NET, "--attacks.natural", "FGSM"], "an attack is called 'natural'"),
        (["--ckpt_path=net.pth", *NET, "--count=400"], "count is 400, but the test images are 360"),
        (["--ckpt_path=net.pth", *NET, "--figures=[ood]"], "the figure ood needs other images; give --ood.NAME"),
        (["--ckpt_path=net.pth", *NET, "--ood_attacks.pgd", "PGD"], "there are ood_attacks, but no ood"),
        (["--ckpt_path=net.pth", *NET, "--ood.colour", "CIFAR10"], "the images of ood 'colour' are 3x32x32 and those"),
        (["--ckpt_path=net.pth", *NET, "--ood.noise=absent"], "absent holds no .jpg"),
        (["--nets={a/b: net.pth, a_b: net.pth}", *NET], "two analyses would be written to a_b.images.csv; name a net"),
        (["--ckpt_path=net.pth", *NET, "--ood.drawn=absent.npz"], "absent.npz is missing or damaged"),
    ],
)
def test_a_mistake_is_answered_in_one_line(folder, args, words, capsys):
    assert code_of(["analyze", "-c", "analyze.yaml", *args]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("energy-at: ")]
    assert len(error) == 1
    assert words in error[0]
    assert len(error[0]) < 300
    assert not list(folder.rglob("report.html"))


def files(folder):
    """All results but the page, which holds the same."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".csv", ".json")}


def test_a_killed_run_goes_on_with_the_same_numbers(folder):
    args = [*START, "--ckpt_path=net.pth", "--data.eval_batch_size=10", "--attacks.pgd.steps=30", "--count=100"]
    assert main([*args, "--output=whole"]) == 0
    command = [sys.executable, "-c", "from energy_at.cli import main; raise SystemExit(main())", *args]
    process = subprocess.Popen([*command, "--output=killed"], stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list((folder / "killed").rglob("*.npz"))) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (folder / "killed").rglob("*.npz")}
    assert not (folder / "killed" / "report.html").exists()
    assert main([*args, "--output=killed"]) == 0
    assert files(folder / "killed") == files(folder / "whole")
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept)


def test_two_processes_share_the_images(folder):
    args = [*START, "--ckpt_path=net.pth", "--count=110", "--ood.same=Digits", "--ood_attacks.fgsm=FGSM"]
    assert main([*args, "--output=one"]) == 0
    script = folder / "main.py"  # Lightning starts the second process from the file of the first
    script.write_text("from energy_at.cli import main\nraise SystemExit(main())\n")
    run = [sys.executable, str(script), *args, "--devices=2", "--output=two"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert files(folder / "two") == files(folder / "one")
    assert done.stdout.count("Report: ") == 1


def test_images_of_other_data_sets_are_told_from_the_own(folder, capsys):
    loss = "--ood_attacks.lower.loss=lower_marginal_energy"
    attack = ["--ood_attacks.lower=PGD", loss, "--ood_attacks.lower.eps=0.1"]
    args = [*START, "--ckpt_path=net.pth", "--ood.same=Digits", *attack, "--figures=[ood]"]
    assert main([*args, "--output=one"]) == 0
    printed = capsys.readouterr().out
    with (folder / "one" / "ood.csv").open(newline="") as file:
        rows = {(row["case"], row["score"]): row for row in csv.DictReader(file) if row["score"]}
    assert float(rows["natural", "energy"]["auroc"]) == 0.5
    assert float(rows["lower", "energy"]["auroc"]) < 0.5
    assert f"{float(rows['lower', 'max_logit']['fpr95']):.3f}" in printed
    conditions = json.loads((folder / "one" / "conditions.json").read_text())["nets"]["net"]["ood"]["same"]
    assert (conditions["data"], conditions["images"]) == ("Digits", 360)
    assert conditions["attacks"]["lower"]["loss"] == "lower_marginal_energy"


def test_a_folder_of_images_is_out_of_distribution_too(folder):
    written = write_image_folder("others/deep")["test"][0]
    assert main([*START, "--ckpt_path=net.pth", "--ood.noise=others/deep/test", "--figures=[ood]"]) == 0
    out = folder / "net-analysis"
    told = json.loads((out / "conditions.json").read_text())["nets"]["net"]["ood"]["noise"]
    assert (told["data"], told["root"], told["images"]) == ("images", "others/deep/test", len(written))
    table = np.genfromtxt(out / "net.noise.images.csv", delimiter=",", names=True)
    expected = measure.analyze(a_net(), unlabelled_images("others/deep/test", (1, 8, 8)), {}, labelled=False).natural
    np.testing.assert_allclose(table["E_marginal"], expected["E_marginal"], atol=1e-4)


def test_every_figure_can_be_named():
    assert get_args(FigureName) == (*(plate.name for plate in PLATES), "training")


@pytest.mark.parametrize("name", sorted(path.name for path in packaged_configs().glob("analyze_*.yaml")))
def test_a_packaged_config_runs_on_data_in_its_real_format(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (packaged_configs() / name).read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 25
    write = WRITERS[name.removesuffix(".yaml").removeprefix("analyze_")]
    root = [] if write is None else ["--data.root=data"]
    if write is not None:
        write(Path("data"))
    parser = command_parser(analyze)
    args = ["--config", name, *root, "--data.eval_batch_size=3", "--net=energy_at.models.SmallNet", "--net.width=2"]
    with unchecked():
        arguments = parser.instantiate(parser.parse_args([*args, "--smoothness.images=2", "--count=6"]))
        del arguments["config"]
        assert len({float(attack.eps) for attack in arguments.attacks.values() if attack.eps is not None}) == 1
        for attack in (*arguments.attacks.values(), *(arguments.ood_attacks or {}).values()):
            few = {"steps": 2, "iterations": 2, "binary_search_steps": 2}
            for owner in (attack, getattr(attack, "attack", attack)):
                vars(owner).update({option: least for option, least in few.items() if option in vars(owner)})
        analyze(**{**vars(arguments), "accelerator": "cpu", "output": "here"})
    assert {case for _, case in means_in(Path("here"))} == {"natural", *arguments.attacks}
    assert (Path("here") / "report.html").is_file()


def test_a_defense_stands_before_the_nets(folder):
    with pytest.warns(UserWarning, match="can hide gradients"):
        assert main([*START, "--ckpt_path=net.pth", "--figures=[deltas]", "--count=60", "--defense=EnergyDescent"]) == 0
    batches, attacks = Digits(eval_batch_size=50).batches("test", 60), {"fgsm": FGSM(0.1), "pgd": PGD(0.1, steps=3)}
    expected = mean_rows([measure.analyze(EnergyDescent(a_net()), batches, attacks)])
    found = means_in(folder / "net-analysis")
    for row in expected:
        assert float(found["net", row["case"]]["E_marginal"]) == pytest.approx(row["E_marginal"], abs=1e-4)

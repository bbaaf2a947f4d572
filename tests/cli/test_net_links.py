"""What a net learns from the data set, and what it was told."""

import pytest
import torch
import yaml

from energy_at.cli import main
from energy_at.data import Digits
from tests.cli.test_start_from import SMALL as FEW_STEPS

SMALL = [*FEW_STEPS, "--model.net.width=4"]


def fitted(*args):
    assert main(["fit", *args]) == 0


def net_in(run):
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    statistics = [content["state_dict"][f"net.normalize.{name}"].item() for name in ("mean", "std")]
    return statistics, content["hyper_parameters"]["net"]["init_args"], content["epoch"]


def told_in(run):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    return settings["model"]["init_args"]["net"]["init_args"]


def test_the_data_sets_statistics_are_learnt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted(*SMALL, "--trainer.max_epochs=1")
    run = tmp_path / "runs" / "digits_pgd_at" / "version_0"
    statistics, arguments, _ = net_in(run)
    assert statistics == pytest.approx([Digits.mean[0], Digits.std[0]])
    assert (arguments["num_classes"], arguments["in_channels"]) == (10, 1)
    assert not {"mean", "std", "num_classes", "in_channels"} & told_in(run).keys()


def test_statistics_that_were_told_are_taken_kept_and_taken_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    told = ["--model.net.mean=[0.4]", "--model.net.std=0.5"]
    fitted(*SMALL, *told, "--trainer.max_epochs=1")
    run = tmp_path / "runs" / "digits_pgd_at" / "version_0"
    assert net_in(run)[0] == pytest.approx([0.4, 0.5])
    assert {name: told_in(run)[name] for name in ("mean", "std")} == {"mean": [0.4], "std": 0.5}

    fitted(f"--resume={run}", "--trainer.max_epochs=2")  # built from config.yaml, then from the checkpoint
    assert net_in(run)[0] == pytest.approx([0.4, 0.5])
    assert (net_in(run)[1]["mean"], net_in(run)[2]) == ([0.4], 1)

    fitted(f"--config={run / 'config.yaml'}", "--trainer.max_epochs=1", "--trainer.logger.name=again")
    assert net_in(tmp_path / "runs" / "again" / "version_0")[0] == pytest.approx([0.4, 0.5])


def test_images_as_they_are_are_not_mixed_with_the_datas_deviation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted(*SMALL, "--model.net.mean=none", "--trainer.max_epochs=1")
    assert net_in(tmp_path / "runs" / "digits_pgd_at" / "version_0")[0] == [0, 1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--model.net.num_classes=12"], "the net's num_classes is 12, but the data have 10; leave num_classes out"),
        (["--model.net.in_channels=4"], "the net's in_channels is 4, but the data have 1; leave in_channels out"),
        (["--model.net.mean=0.4"], "the normalisation lacks its std; give mean and std, or mean: none"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(args, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *SMALL, *args]) == 2
    assert f"energy-at: {words}" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_net_to_be_judged_learns_its_classes_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    net = ["--net=energy_at.models.SmallNet", "--net.num_classes=12"]
    assert main(["evaluate", "--config=eval_digits.yaml", *net]) == 2
    assert "the net's num_classes is 12, but the data have 10" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--model.seed=3", "--data.init_args.seed=3"])
def test_a_seed_that_would_be_overwritten_is_refused(flag, capsys):
    assert main(["fit", *SMALL, flag]) == 2
    name = flag.removesuffix("=3")
    assert f"{name} would be overwritten, for all seeds follow one; set seed_everything" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"seed": 3}, {"class_path": "Digits", "init_args": {"seed": 3}}])
def test_a_seed_in_a_config_that_would_be_overwritten_is_refused(options, tmp_path, capsys):
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"data": options}))
    assert main(["fit", *SMALL, f"--config={config}"]) == 2
    assert f"data.seed in {config} would be overwritten" in capsys.readouterr().err

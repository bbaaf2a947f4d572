"""Every shipped config resolves as recorded, agrees with its recipe, and takes a step on data in its real format.

After a deliberate change, record anew what the configs resolve to: ``python -m tests.test_configs``.
"""

import json
from pathlib import Path

import pytest
import torch
import yaml

from energy_at.cli.app import EnergyCLI, parser_options
from energy_at.cli.config_files import packaged_configs
from energy_at.modules import AdversarialTraining
from tests.data.standins import (
    unchecked,
    write_cifar10,
    write_cifar100,
    write_fashion_mnist,
    write_image_folder,
    write_imagenet,
    write_svhn,
    write_synthetic,
    write_tiny_imagenet,
)

CONFIGS = sorted(path.name for path in packaged_configs().glob("*.yaml"))
GOLDEN = Path(__file__).with_name("golden") / "configs.json"
DATA = {
    "cifar10": ("CIFAR10", write_cifar10),
    "cifar100": ("CIFAR100", write_cifar100),
    "svhn": ("SVHN", write_svhn),
    "tinyimagenet": ("TinyImageNet", write_tiny_imagenet),
    "imagenet": ("ImageNet", write_imagenet),
    "fashionmnist": ("FashionMNIST", write_fashion_mnist),
    "cifar10jpeg": ("ImageFolder", write_image_folder),
    "digits": ("Digits", None),
}
ATTACKS = {"fgsm": "FGSM", "rsfgsm": "RSFGSM", "nfgsm": "NFGSM", "pgd": "PGD"}
OBJECTIVES = {"at": "StandardAT", "trades": "TRADES", "weat": "WEAT", "der": "DER"}
SMALL_NETS = {
    "PreActResNet": ["--model.net.width=2"],
    "ResNet": ["--model.net.width=2"],
    "SmallNet": ["--model.net.width=2"],
    "WideResNet": ["--model.net.depth=10", "--model.net.widen_factor=1"],
    "TorchvisionNet": ["--model.net.name=resnet18"],
}


class OnlyParsing(EnergyCLI):
    """Resolves the arguments and builds nothing."""

    def instantiate_classes(self):
        """See above."""

    def _run_subcommand(self, subcommand):
        """See above."""


def resolved(*args):
    """What the command line understands, as plain values."""
    cli = OnlyParsing(**parser_options(), args=["fit", *args])
    return yaml.safe_load(cli.parser.dump(cli.config, skip_none=False))["fit"]


def init_args(config, *path):
    for name in path:
        config = config[name]["init_args"]
    return config


def short(config):
    return config["class_path"].rsplit(".", 1)[-1]


def key_values(config):
    """The parts of a resolved config that make the recipe."""
    model = config["model"]["init_args"]
    parts = {name: model[name] for name in ("net", "attack", "optimizer", "schedule", "test_attack")}
    plain = {name: value for name, value in model.items() if not isinstance(value, dict)}
    trainer = {name: config["trainer"][name] for name in ("max_epochs", "precision", "callbacks")}
    return {"model": config["model"]["class_path"], **plain, **parts, "data": config["data"], "trainer": trainer}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, (_, write) in DATA.items():
        if write is not None:
            write(folder / name)
    write_synthetic(folder / "synthetic.npz", 30, (3, 32, 32), 10)
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_short_and_its_name_says_what_it_is(name):
    text = (packaged_configs() / name).read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 25
    data, attack, objective = name.removesuffix(".yaml").split("_")[:3]
    config = yaml.safe_load(text)
    assert config["data"]["class_path"] == DATA[data][0]
    assert config["model"]["init_args"]["attack"]["class_path"] == ATTACKS[attack]
    assert config["model"]["class_path"] == OBJECTIVES[objective]


def test_the_four_objectives_are_there_for_every_data_set():
    for data in ("cifar10", "cifar100", "svhn", "tinyimagenet", "imagenet"):
        for combination in ("rsfgsm_at", "pgd_at", "rsfgsm_der", "pgd_der", "pgd_trades", "pgd_weat", "fgsm_at"):
            assert f"{data}_{combination}.yaml" in CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_it_resolves_as_recorded(name):
    assert key_values(resolved("--config", name)) == json.loads(GOLDEN.read_text())[name]


# from the papers and their code, by hand: attack, epochs, lr, schedule
RECIPES = [
    ("cifar10_rsfgsm_at", {"eps": "8/255", "alpha": None}, 30, 0.2, {"peak": 0.5}),
    ("cifar100_nfgsm_at", {"eps": "8/255", "noise": 2.0}, 30, 0.2, {"peak": 0.5}),
    ("svhn_fgsm_at", {"eps": "8/255", "alpha": None}, 30, 0.05, {"peak": 0.4}),
    (
        "cifar10_pgd_at",
        {"steps": 10, "alpha": "2/255", "start": "uniform"},
        200,
        0.1,
        {"drops": ["100/200", "150/200"]},
    ),
    ("svhn_pgd_at", {"steps": 10, "alpha": "2/255"}, 200, 0.01, {"gamma": 0.1}),
    ("cifar10_pgd_trades", {"eps": 0.031, "alpha": 0.007, "loss": "kl"}, 76, 0.1, {"drops": ["75/76"]}),
    ("cifar100_pgd_weat", {"steps": 10, "start": "gaussian", "loss": "kl"}, 100, 0.1, {"pct_start": 0.25}),
    ("cifar10_pgd_trades_synthetic", {"steps": 10, "loss": "kl"}, 400, 0.2, {"pct_start": 0.025}),
    ("imagenet_pgd_at", {"eps": "4/255", "steps": 3}, 90, 0.1, {}),
]


@pytest.mark.parametrize(("name", "attack", "epochs", "lr", "schedule"), RECIPES)
def test_it_is_its_recipe(name, attack, epochs, lr, schedule):
    config = resolved("--config", f"{name}.yaml")
    model = config["model"]["init_args"]
    assert attack.items() <= model["attack"]["init_args"].items()
    assert config["trainer"]["max_epochs"] == epochs
    assert model["optimizer"]["init_args"]["lr"] == lr
    assert schedule.items() <= model["schedule"]["init_args"].items()
    assert model["attack_mode"] == ("eval" if "trades" in name else model["attack_mode"])


@pytest.mark.parametrize("objective", ["trades", "weat"])
def test_trades_and_weat_attack_in_evaluation_mode(objective):
    config = resolved("--config", f"cifar10_pgd_{objective}.yaml")
    assert config["model"]["init_args"]["attack_mode"] == "eval"


@pytest.mark.parametrize("name", CONFIGS)
def test_it_takes_a_step_on_data_in_its_real_format(name, roots, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((packaged_configs() / name).read_text())
    data = name.split("_")[0]
    args = ["--config", name, "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu", "--data.batch_size=8"]
    args += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--data.eval_batch_size=4"]
    args += SMALL_NETS[short(init_args(config, "model")["net"])]
    if DATA[data][1] is not None:
        args += ["--data.root", str(roots / data)]
    if data == "imagenet":
        args += ["--data.image_size=32", "--data.resize=36", "--data.num_classes=3", "--data.num_workers=0"]
    if "synthetic" in init_args(config, "data"):
        args += ["--data.synthetic", str(roots / "synthetic.npz")]
    gradients = []

    def record(module, optimizer):
        gradients.extend(parameter.grad.detach().clone() for parameter in module.net.parameters())

    monkeypatch.setattr(AdversarialTraining, "on_before_optimizer_step", record)
    with unchecked():
        cli = EnergyCLI(**parser_options(), args=["fit", *args])
    assert cli.trainer.global_step == 1
    assert cli.trainer.callback_metrics["train/loss_epoch"].isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def test_parts_merge_and_keep_what_they_do_not_name():
    plain = resolved("-c", "cifar10_pgd_der.yaml")
    fast = resolved("-c", "digits_pgd_der.yaml", "-c", "parts/fast.yaml")
    assert fast["model"]["init_args"]["channels_last"]
    assert fast["trainer"]["precision"] == "bf16-mixed"
    assert fast["model"]["init_args"]["attack"]["init_args"]["eps"] == 0.3
    averaged = resolved("-c", "cifar10_pgd_der.yaml", "-c", "parts/ema.yaml", "-c", "parts/wandb.yaml")
    assert averaged["model"] == plain["model"]
    assert [short(callback) for callback in averaged["trainer"]["callbacks"]] == ["EMAWeightAveraging"]
    assert [short(logger) for logger in averaged["trainer"]["logger"]] == ["CSVLogger", "WandbLogger"]
    assert resolved("-c", "cifar10_pgd_at.yaml", "-c", "parts/ddp.yaml")["trainer"]["strategy"] == "ddp"


def test_a_flag_that_switches_a_class_leaves_the_old_ones_arguments_behind():
    switched = resolved("-c", "digits_rsfgsm_der.yaml", "--model", "StandardAT", "--model.attack", "PGD")
    assert short(switched["model"]) == "StandardAT"
    assert "weight" not in switched["model"]["init_args"]
    assert switched["model"]["init_args"]["attack"]["init_args"]["eps"] == 0.3
    assert switched["model"]["init_args"]["attack"]["init_args"]["steps"] == 10
    assert switched["model"]["init_args"]["net"]["init_args"]["width"] == 32


def test_averaged_weights_are_what_is_judged_and_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["-c", "digits_rsfgsm_at.yaml", "-c", "parts/ema.yaml", "--trainer.max_epochs=1", "--model.net.width=2"]
    args += ["--trainer.limit_train_batches=4", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    args += ["--model.schedule", "Cosine"]
    EnergyCLI(**parser_options(), args=["fit", *args])
    content = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    raw, averaged = content["current_model_state"], content["state_dict"]
    assert any(not torch.equal(raw[name], averaged[name]) for name in averaged)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    content = {name: key_values(resolved("--config", name)) for name in CONFIGS}
    GOLDEN.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")

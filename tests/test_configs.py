"""Every shipped config resolves as recorded, agrees with its recipe, and takes a step on data in its real format.

After a deliberate change, record anew what the configs resolve to: ``python -m tests.test_configs``.
"""

import json
import shlex
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml

from energy_at import AutoAttack
from energy_at.cli.app import EnergyCLI, parser_options
from energy_at.cli.commands import command_parser
from energy_at.cli.config_files import packaged_configs
from energy_at.cli.evaluate import chosen, evaluate
from energy_at.cli.first_look import configs_first
from energy_at.corruptions import BENCHMARK
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

EVERY = sorted(path.name for path in packaged_configs().glob("*.yaml"))
JUDGING = [name for name in EVERY if name.startswith("eval_")]
OTHERS = [name for name in EVERY if name.split("_")[0] in ("analyze", "generate")]  # tested beside their commands
CONFIGS = [name for name in EVERY if name not in JUDGING + OTHERS]
GOLDEN = Path(__file__).with_name("golden") / "configs.json"
TABLES = sorted(packaged_configs().glob("reproduce/*.yaml"))
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
OBJECTIVES = {"at": "StandardAT", "trades": "TRADES", "weat": "WEAT", "der": "DER", "linearder": "LinearDER"} | {
    "gradalign": "GradAlign",
    "elle": "ELLE",
    "aaer": "AAER",
    "mart": "MART",
    "pgi": "PGI",
    "dualat": "DualAT",
}
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


@cache
def resolved(*args):
    """What the command line understands, as plain values."""
    cli = OnlyParsing(**parser_options(), args=["fit", *args])
    return yaml.safe_load(cli.parser.dump(cli.config, skip_unset=False))["fit"]


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
    trainer = {name: config["trainer"][name] for name in ("max_epochs", "precision")}
    trainer["callbacks"] = [short(callback) for callback in config["trainer"]["callbacks"] or []]
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
        assert data == "imagenet" or f"{data}_rsfgsm_linearder.yaml" in CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_it_resolves_as_recorded(name):
    assert key_values(resolved("--config", name)) == json.loads(GOLDEN.read_text())[name]


# from the papers and their code, by hand: families of configs, and what each member changes
SGD = {"optimizer": "SGD", "optimizer.momentum": 0.9, "optimizer.weight_decay": 5e-4, "data.batch_size": 128}
STEPS = {"attack": "PGD", "attack.steps": 10, "attack.eps": "8/255", "attack.alpha": "2/255"}
KL = {**SGD, **STEPS, "attack.loss": "kl", "attack.start": "gaussian", "attack_mode": "eval"}
FAST = (
    SGD
    | {"trainer.max_epochs": 30, "net": "PreActResNet", "net.blocks": [2, 2, 2, 2], "net.width": 64}
    | {"attack.eps": "8/255", "attack.alpha": None, "attack_mode": "train", "eps_warmup": 0.0}
    | {"schedule": "Cyclic", "schedule.peak": 0.5, "optimizer.lr": 0.2}
)
FAST_SVHN = {**FAST, "schedule.peak": 0.4, "optimizer.lr": 0.05, "eps_warmup": 5.0}
MULTI_STEP = (
    SGD
    | {**STEPS, "attack.alpha": None}  # 2.5 eps / steps, which is 2/255
    | {"trainer.max_epochs": 200, "net": "PreActResNet", "optimizer.lr": 0.1}
    | {"attack.start": "uniform", "attack.loss": "cross_entropy", "attack_mode": "train", "eps_warmup": 0.0}
    | {"schedule": "Piecewise", "schedule.drops": ["100/200", "150/200"], "schedule.gamma": 0.1}
)
ENERGY = (
    KL
    | {"trainer.max_epochs": 100, "net": "ResNet", "optimizer.lr": 0.1}
    | {"schedule": "OneCycle", "schedule.pct_start": 0.25}
)
WRN_TRADES = (
    KL
    | {"trainer.max_epochs": 76, "net": "WideResNet", "net.depth": 34, "net.widen_factor": 10, "beta": 6.0}
    | {"attack.eps": 0.031, "attack.alpha": 0.007, "optimizer.lr": 0.1, "optimizer.weight_decay": 2e-4}
    | {"schedule": "Piecewise", "schedule.drops": ["75/76"], "schedule.gamma": 0.1}
)
SYNTHETIC = (
    KL
    | {"trainer.max_epochs": 400, "net": "WideResNet", "net.depth": 28, "net.widen_factor": 10, "beta": 5.0}
    | {"net.activation": "silu", "optimizer.lr": 0.2, "optimizer.nesterov": True, "label_smoothing": 0.1}
    | {"schedule": "OneCycle", "schedule.pct_start": 0.025, "data.batch_size": 512, "data.synthetic_fraction": 0.7}
)
PENALTY = {"weight": 4.0, "terms": "marginal", "penalty": "squared", "reference": "start", "detach": "none"}
BOTH = {**PENALTY, "terms": "both"}  # what held off robust overfitting: docs/results.md
LINEAR = {"weight": 30.0, "terms": "both", "share": 0.25}
CURES = {
    "fgsm_gradalign": {"attack": "FGSM", "weight": 0.2},
    "fgsm_elle": {"attack": "FGSM", "weight": 1000.0, "adaptive": False},
    "rsfgsm_aaer": {"attack": "RSFGSM", "lambda1": 1.0, "lambda2": 2.5, "lambda3": 1.5},
}
MART = {**MULTI_STEP, "attack_mode": "eval", "beta": 5.0}
DUAL = (
    {"trainer.precision": "bf16-mixed", "net": "WideResNet", "net.depth": 34, "net.widen_factor": 10, "weight": 0.5}
    | {"attack": "PGD", "attack.norm": "L2", "attack.eps": 0.5, "attack.alpha": 0.1, "attack.start": "zero"}
    | {"optimizer.lr": 0.001, "optimizer.weight_decay": 5e-4, "optimizer.nesterov": True, "schedule": None}
    | {"steps": 0, "max_steps": 50, "grow_at": 0.8, "window": 1000, "freeze_batch_norm": True, "attack_mode": "eval"}
    | {"sampler.step_size": 0.1, "sampler.noise": 0.0, "sampler.normalize": True, "sampler.energy": "joint"}
)
IMAGENET = {"net": "TorchvisionNet", "net.name": "resnet50", "attack.eps": "4/255", "optimizer.weight_decay": 1e-4}
RECIPES = {
    **{f"cifar10_{attack}_at": FAST for attack in ("fgsm", "rsfgsm")},
    **{f"{data}_nfgsm_at": {**FAST, "attack.noise": 2.0} for data in ("cifar10", "cifar100", "tinyimagenet")},
    **{f"{data}_{attack}_at": FAST for data in ("cifar100", "tinyimagenet") for attack in ("fgsm", "rsfgsm")},
    **{f"{data}_rsfgsm_der": {**FAST, **PENALTY} for data in ("cifar10", "cifar100", "tinyimagenet")},
    **{f"svhn_{attack}_at": FAST_SVHN for attack in ("fgsm", "rsfgsm", "nfgsm")},
    "svhn_rsfgsm_der": {**FAST_SVHN, **PENALTY},
    **{f"{data}_rsfgsm_linearder": {**FAST, **LINEAR} for data in ("cifar10", "cifar100", "tinyimagenet")},
    "svhn_rsfgsm_linearder": {**FAST_SVHN, **LINEAR},
    **{f"cifar10_{name}": FAST | cure for name, cure in CURES.items()},
    **{f"cifar100_{name}": FAST | cure for name, cure in CURES.items()},
    **{
        f"{data}_fgsm_gradalign": FAST | CURES["fgsm_gradalign"] | {"optimizer.lr": 0.3, "schedule.peak": 0.4}
        for data in ("cifar10", "cifar100")
    },
    "cifar100_rsfgsm_aaer": FAST | CURES["rsfgsm_aaer"] | {"lambda2": 3.5},
    **{f"svhn_{name}": FAST_SVHN | cure for name, cure in CURES.items()},
    "svhn_fgsm_gradalign": FAST_SVHN | {"attack": "FGSM", "weight": 2.5, "trainer.max_epochs": 15},
    **{f"{data}_pgd_mart": MART for data in ("cifar10", "cifar100")},
    "cifar10_pgd_dualat": DUAL,
    "cifar100_pgd_dualat": {**DUAL, "optimizer.lr": 0.01},
    "svhn_pgd_mart": {**MART, "optimizer.lr": 0.01},
    **{f"{data}_pgd_at": MULTI_STEP for data in ("cifar10", "cifar100", "tinyimagenet")},
    **{f"{data}_pgd_der": {**MULTI_STEP, **BOTH} for data in ("cifar10", "cifar100", "tinyimagenet")},
    "svhn_pgd_at": {**MULTI_STEP, "optimizer.lr": 0.01},
    "svhn_pgd_der": {**MULTI_STEP, **BOTH, "optimizer.lr": 0.01},
    "cifar10_pgd_trades": WRN_TRADES,
    "cifar10_pgd_trades_synthetic": SYNTHETIC,
    **{f"{data}_pgd_trades": {**ENERGY, "beta": 6.0} for data in ("cifar100", "svhn")},
    **{f"{data}_pgd_weat": {**ENERGY, "variant": "adv", "beta": None} for data in ("cifar10", "cifar100", "svhn")},
    "tinyimagenet_pgd_trades": {**ENERGY, "net": "PreActResNet", "beta": 6.0},
    "tinyimagenet_pgd_weat": {**ENERGY, "net": "PreActResNet", "variant": "adv", "beta": None},
    **{f"imagenet_{attack}_at": {**IMAGENET, "attack.alpha": None} for attack in ("fgsm", "rsfgsm")},
    "imagenet_rsfgsm_der": {**IMAGENET, **PENALTY, "attack.alpha": None},
    "imagenet_pgd_at": {**IMAGENET, "attack.steps": 3, "attack.start": "uniform"},
    "imagenet_pgd_der": {**IMAGENET, **BOTH, "attack.steps": 3},
    "imagenet_pgd_trades": {**IMAGENET, "attack.steps": 3, "attack.loss": "kl", "beta": 6.0},
    "imagenet_pgd_weat": {**IMAGENET, "attack.steps": 3, "attack.loss": "kl", "beta": None},
}


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_its_recipe(name):
    config, expected = resolved("--config", f"{name}.yaml"), RECIPES[name]
    assert {path: value_at(config, path) for path in expected} == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_its_first_line_names_the_recipe_or_says_that_there_is_none(name):
    comment = (packaged_configs() / name).read_text().splitlines()[0]
    assert ("arXiv" in comment and name.removesuffix(".yaml") in RECIPES) or "our choice" in comment


def value_at(config, path):
    """The value (or the class's name) at a path such as "optimizer.lr" of the model, or "trainer.max_epochs"."""
    first, *rest = path.split(".")
    value = config[first] if first in ("trainer", "data") else config["model"]["init_args"][first]
    for name in rest:
        value = value.get("init_args", value)[name]
    return short(value) if isinstance(value, dict) else value


@pytest.mark.parametrize("name", CONFIGS)
def test_it_trains_on_data_in_its_real_format(name, roots, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((packaged_configs() / name).read_text())
    data = name.split("_")[0]
    args = ["--config", name, "--trainer.fast_dev_run=2", "--trainer.accelerator=cpu", "--data.batch_size=8"]
    args += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--data.eval_batch_size=4"]
    args += SMALL_NETS[short(init_args(config, "model")["net"])]
    if DATA[data][1] is not None:
        args += ["--data.root", str(roots / data)]
    if data == "imagenet":
        args += ["--data.image_size=32", "--data.resize=36", "--data.num_classes=3", "--data.num_workers=0"]
    if "dualat" in name:
        args += ["--model.starts=UniformInit"]  # others are fitted to more images of a class than these data have
    if "synthetic" in init_args(config, "data"):
        args += ["--data.synthetic", str(roots / "synthetic.npz")]
    before, gradients = {}, []

    def record(module, optimizer):
        before.update({n: p.detach().clone() for n, p in module.net.named_parameters() if n not in before})
        gradients.extend(parameter.grad.detach().clone() for parameter in module.net.parameters())

    monkeypatch.setattr(AdversarialTraining, "on_before_optimizer_step", record)
    with unchecked():
        cli = EnergyCLI(**parser_options(), args=["fit", *args])
    # two steps, because a schedule or a warm-up may begin at 0
    assert cli.trainer.global_step == 2
    assert cli.trainer.callback_metrics["train/loss_epoch"].isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    after = dict(cli.model.net.named_parameters())
    assert all(parameter.isfinite().all() for parameter in after.values())
    assert any(not torch.equal(before[n], after[n]) for n in before)


def test_parts_merge_and_keep_what_they_do_not_name():
    plain = resolved("-c", "cifar10_pgd_der.yaml")
    fast = resolved("-c", "digits_pgd_der.yaml", "-c", "parts/fast.yaml")
    assert fast["model"]["init_args"]["channels_last"]
    assert fast["trainer"]["precision"] == "bf16-mixed"
    assert fast["model"]["init_args"]["attack"]["init_args"]["eps"] == 0.3
    averaged = resolved("-c", "cifar10_pgd_der.yaml", "-c", "parts/ema.yaml", "-c", "parts/wandb.yaml")
    assert averaged["model"] == plain["model"]
    assert [short(callback) for callback in averaged["trainer"]["callbacks"]] == [
        "EMAWeightAveraging",
        "AdversarialExamples",
    ]
    assert [short(logger) for logger in averaged["trainer"]["logger"]] == ["CSVLogger", "WandbLogger"]
    assert resolved("-c", "cifar10_pgd_at.yaml", "-c", "parts/ddp.yaml")["trainer"]["strategy"] == "ddp"


def test_a_flag_that_switches_a_class_leaves_the_old_ones_arguments_behind():
    switched = resolved("-c", "digits_rsfgsm_der.yaml", "--model", "StandardAT", "--model.attack", "PGD")
    assert short(switched["model"]) == "StandardAT"
    assert "weight" not in switched["model"]["init_args"]
    assert switched["model"]["init_args"]["attack"]["init_args"]["eps"] == 0.3
    assert switched["model"]["init_args"]["attack"]["init_args"]["steps"] == 10
    assert switched["model"]["init_args"]["net"]["init_args"]["width"] == 32


def test_callbacks_are_added_to_those_of_a_part_and_the_built_in_ones_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monitor = "lightning.pytorch.callbacks.LearningRateMonitor"
    args = ["-c", "digits_rsfgsm_at.yaml", "-c", "parts/ema.yaml", f"--trainer.callbacks+={monitor}"]
    args += ["--trainer.max_epochs=1", "--model.net.width=2", "--trainer.limit_train_batches=1"]
    args += ["--trainer.limit_val_batches=1", "--trainer.limit_test_batches=0", "--trainer.accelerator=cpu"]
    cli = EnergyCLI(**parser_options(), args=["fit", *args, "--trainer.enable_progress_bar=false"])
    names = {type(callback).__name__ for callback in cli.trainer.callbacks}
    assert {"EMAWeightAveraging", "LearningRateMonitor"} <= names
    assert {"EnergyLogger", "EnergyPlot", "OverfittingMonitor", "BestCheckpoint", "LastCheckpoint"} <= names


def test_the_later_config_wins_and_a_flag_wins_over_both(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "trainer: {max_epochs: 3}\nmodel: {init_args: {attack: {init_args: {eps: 4/255}}}}\n"
    )
    args = ["-c", "cifar10_rsfgsm_at.yaml", "-c", str(tmp_path / "mine.yaml")]
    assert value_at(resolved(*args), "attack.eps") == "4/255"
    assert value_at(resolved(*args), "attack") == "RSFGSM"
    assert value_at(resolved(*args), "trainer.max_epochs") == 3
    assert value_at(resolved("-c", "parts/fast.yaml", *args[:2]), "trainer.max_epochs") == 30
    assert value_at(resolved(*args, "-c", "cifar10_rsfgsm_der.yaml"), "attack.eps") == "8/255"
    assert value_at(resolved(*args, "--model.attack.eps=2/255"), "attack.eps") == "2/255"


def test_an_argument_of_the_class_that_was_switched_away_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_info:
        resolved("-c", "digits_rsfgsm_der.yaml", "--model", "StandardAT", "--model.weight=1")
    assert exit_info.value.code == 2
    assert "there is no option weight" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["ema", "swa"])
def test_averaged_weights_are_what_is_judged_and_kept(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["-c", "digits_rsfgsm_at.yaml", "-c", f"parts/{part}.yaml", "--trainer.max_epochs=4", "--model.net.width=2"]
    args += ["--trainer.limit_train_batches=4", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    args += ["--model.schedule", "Cosine"]
    cli = EnergyCLI(**parser_options(), args=["fit", *args])
    content = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    raw, averaged = content["current_model_state"], content["state_dict"]
    assert any(not torch.equal(raw[name], averaged[name]) for name in averaged)
    tested = cli.model.state_dict()  # of the last checkpoint, which was judged last
    assert all(torch.equal(tested[name], averaged[name]) for name in averaged)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_tables_trainings_and_evaluation_are_understood(path):
    table = yaml.safe_load(path.read_text())
    assert table["name"] == path.stem
    fits = [shlex.split(table["fit"]) + shlex.split(args) for args in table["runs"].values()]
    configs = [json.dumps(resolved(*configs_first(fit))) for fit in fits]
    assert len(set(configs)) == len(configs)  # no method is another one under a second name
    if "evaluate" in table:
        options = command_parser(evaluate).parse_args(shlex.split(table["evaluate"]))
        assert set(options.only) <= set(options.attacks)


def judging_arguments(name, *args):
    """The arguments of ``energy-at evaluate``, built."""
    parser = command_parser(evaluate)
    arguments = parser.instantiate(parser.parse_args(["--config", name, *args]))
    del arguments["config"]
    return arguments


@pytest.mark.parametrize("name", JUDGING)
def test_an_evaluation_runs_on_data_in_its_real_format(name, roots, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = name.removesuffix(".yaml").split("_")[1]
    args = [] if DATA[data][1] is None else ["--data.root", str(roots / data)]
    if data == "imagenet":
        args += ["--data.image_size=32", "--data.resize=36", "--data.num_classes=3", "--data.num_workers=0"]
    args += ["--data.eval_batch_size=3", "--net=energy_at.models.SmallNet", "--net.width=2"]
    arguments = judging_arguments(name, *args)
    eps = {float(attack.eps) for attack in arguments.attacks.values() if attack.adversarial}
    assert len(eps) <= 1, "a worst case over several balls says nothing"
    for attack in arguments.attacks.values():
        few = {"steps": 2, "restarts": 2, "queries": 3, "iterations": 2, "binary_search_steps": 2}
        for owner in (attack, getattr(attack, "attack", attack)):
            vars(owner).update({option: least for option, least in few.items() if option in vars(owner)})
            if isinstance(owner, AutoAttack) and (arguments.net.num_classes < 4 or owner is not attack):
                owner.version, owner.attacks = "custom", ["apgd-ce", "square"]
    with unchecked():
        evaluate(**{**vars(arguments), "count": 6, "accelerator": "cpu", "output": "here"})
    results = json.loads(Path("here/evaluation.json").read_text())["results"]
    rows = chosen(arguments.attacks, None, arguments.severities)
    assert [row["name"] for row in results] == ["clean", *rows, *(["worst case"] if eps else [])]
    assert all(row["images"] == 6 for row in results)


def test_the_published_protocols_are_what_the_papers_say():
    attacks = judging_arguments("eval_cifar10.yaml").attacks
    fast = attacks["pgd-50-10"]
    assert (str(fast.eps), str(fast.alpha), fast.steps, fast.restarts) == ("8/255", "2/255", 50, 10)
    assert (attacks["trades-kl-20"].loss, attacks["trades-kl-20"].start) == ("kl", "gaussian")
    assert (attacks["autoattack"].version, attacks["autoattack"].queries) == ("standard", None)


def test_the_corruptions_are_those_of_the_benchmark_but_frost_at_every_severity():
    arguments = judging_arguments("eval_cifar10_corruptions.yaml")
    assert [attack.kind for attack in arguments.attacks.values()] == [kind for kind in BENCHMARK if kind != "frost"]
    assert [name for name, attack in arguments.attacks.items() if attack.kind != name] == []
    assert arguments.severities == [1, 2, 3, 4, 5]


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    content = {name: key_values(resolved("--config", name)) for name in CONFIGS}
    GOLDEN.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")

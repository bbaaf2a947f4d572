"""Sharing a net and taking it from there, with the real client against a hub on the loopback address."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

import energy_at.modules
from energy_at import Digits, InputError, SmallNet, load_net
from energy_at.cli import main
from energy_at.evaluation.checkpoints import read_checkpoint
from energy_at.hub.card import escaped, model_card
from energy_at.hub.facts import Accuracy, Facts, evaluation_of, facts_of
from energy_at.hub.recipe import recipe_of
from energy_at.hub.sources import SHELF
from energy_at.modules import AdversarialTraining
from tests.hub.server import TOKEN, running

FIT = ["fit", "-c", "digits_rsfgsm_der.yaml", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
FIT += ["--trainer.enable_progress_bar=false", "--model.net.init_args.width=4", "--data.train_size=200"]
EVALUATE = ["evaluate", "-c", "eval_digits.yaml", "--accelerator=cpu", "--devices=1", "--count=20", "--only=[fgsm]"]
UNUSUAL = "<script>alert(1)</script> [x](http://y) | `z` *b*"
FACTS = Facts(
    net={"class_path": "energy_at.models.resnet.SmallNet", "init_args": {"width": 4, "mean": [0.3]}},
    method="TRADES",
    attack={"class_path": "energy_at.attacks.pgd.PGD", "init_args": {"norm": "Linf", "eps": "8/255", "steps": 10}},
    data="ImageFolder",
    class_names=("cat", UNUSUAL),
    epochs=3,
    accuracies=(Accuracy("clean", "", 0.9), Accuracy("pgd-20", "Linf 8/255", 0.456, 250)),
    protocol="a protocol",
)
CLASSES = [getattr(energy_at.modules, name) for name in energy_at.modules.__all__]
METHODS = [
    each.__name__ for each in CLASSES if issubclass(each, AdversarialTraining) and each is not AdversarialTraining
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training, whose best checkpoint is evaluated."""
    folder = tmp_path_factory.mktemp("run")
    where = Path.cwd()
    os.chdir(folder)
    try:
        assert main(FIT) == 0
        best = "runs/digits_rsfgsm_der/version_0/checkpoints/best.ckpt"
        assert main([*EVALUATE, f"--ckpt_path={best}"]) == 0
    finally:
        os.chdir(where)
    return folder / "runs" / "digits_rsfgsm_der" / "version_0"


@pytest.fixture
def hub():
    with running() as server:
        yield server


def command(hub, tmp_path, *args, token=TOKEN):
    """The command in its own process, as huggingface_hub reads its settings once."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}
    env |= {"HF_TOKEN": token} if token else {}
    return subprocess.run(
        [sys.executable, "-m", "energy_at", *map(str, args)], env=env, cwd=tmp_path, capture_output=True, text=True
    )


def shared(run, tmp_path, *flags):
    assert main(["push", str(run), f"--output={tmp_path / 'shared'}", *flags]) == 0
    return tmp_path / "shared"


def same_weights(net, run):
    wanted = load_net(run / "checkpoints" / "best.ckpt").state_dict()
    assert net.state_dict().keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in net.state_dict().items())


def test_a_net_goes_to_the_hub_and_is_evaluated_from_there(run, hub, tmp_path):
    told = command(hub, tmp_path, "push", run, "--repo=someone/digits", "--license=mit")
    assert told.returncode == 0, told.stderr
    assert "--ckpt_path hf://someone/digits" in told.stdout
    files = hub.repos["someone/digits"]["main"]
    assert files.keys() == {
        *("README.md", "config.json", "energies.png", "evaluation.json", "metrics.csv", "model.safetensors"),
        "results.json",
    }
    assert files["energies.png"] == (run / "energies.png").read_bytes()
    told = command(hub, tmp_path, *EVALUATE, "--ckpt_path=hf://someone/digits", token=None)
    assert told.returncode == 0, told.stderr
    ours = json.loads((run / "checkpoints/best-evaluation/evaluation.json").read_text())
    theirs = json.loads((tmp_path / "runs/someone-digits-evaluation/evaluation.json").read_text())
    assert theirs["results"] == ours["results"]
    assert theirs["conditions"]["weights_sha256"] == ours["conditions"]["weights_sha256"]
    fetched = {path.rpartition("/")[2] for verb, path in hub.asked if verb == "GET" and "/resolve/" in path}
    assert fetched == {"model.safetensors", "config.json"}


def test_a_branch_and_a_private_repository_on_request(run, hub, tmp_path):
    told = command(hub, tmp_path, "push", run, "--repo=someone/digits", "--revision=v2", "--private=true")
    assert told.returncode == 0, told.stderr
    assert hub.repos["someone/digits"]["main"] == {}
    assert hub.private == {"someone/digits"}
    told = command(hub, tmp_path, *EVALUATE, "--ckpt_path=hf://someone/digits@v2")
    assert told.returncode == 0, told.stderr
    told = command(hub, tmp_path, *EVALUATE, "--ckpt_path=hf://someone/digits")
    assert (told.returncode, "holds no model.safetensors" in told.stderr) == (2, True)


def test_whoever_is_refused_reads_one_sentence(run, hub, tmp_path):
    for token in ("hf_wrong", None):
        told = command(hub, tmp_path, "push", run, "--repo=someone/digits", token=token)
        assert (told.returncode, told.stderr.count("\n")) == (2, 1), told.stderr
        assert "log in with hf auth login" in told.stderr
    for source in ("hf://someone/nothing", "hf://someone/nothing@v3"):
        told = command(hub, tmp_path, *EVALUATE, f"--ckpt_path={source}")
        assert (told.returncode, "the hub has no such name or revision" in told.stderr) == (2, True), told.stderr
    hub.shutdown()
    hub.server_close()
    with socket.socket() as nobody:  # or the port could be somebody else's by now
        nobody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        nobody.bind(hub.server_address)
        told = command(hub, tmp_path, *EVALUATE, "--ckpt_path=hf://someone/digits")
    assert (told.returncode, "cannot be reached" in told.stderr) == (2, True), told.stderr


def test_a_folder_holds_the_same_weights_and_a_net_that_computes_the_same(run, tmp_path):
    folder = shared(run, tmp_path)
    net = load_net(folder)
    same_weights(net, run)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(net(x), load_net(run / "checkpoints" / "best.ckpt")(x))
    same_weights(load_net(folder / "model.safetensors"), run)
    assert load_file(folder / "model.safetensors").keys() == net.state_dict().keys()  # as any other tool reads it


def test_its_description_is_plain_and_names_classes_and_method(run, tmp_path):
    content = json.loads((shared(run, tmp_path) / "config.json").read_text())
    assert content["net"]["class_path"] == "energy_at.models.resnet.SmallNet"
    assert content["class_names"] == list(Digits.class_names)
    assert content["training"]["method"] == "DER"
    assert content["training"]["attack"]["init_args"]["eps"] == 0.3


def test_nothing_that_is_shared_names_a_path_of_this_machine(run, tmp_path):
    for path in shared(run, tmp_path).iterdir():
        if path.suffix in (".json", ".md", ".csv"):
            assert str(run.parents[2]) not in path.read_text(), path.name


def test_the_card_has_the_evaluations_numbers_only_where_they_are_of_these_weights(run, tmp_path):
    report = json.loads((run / "checkpoints/best-evaluation/evaluation.json").read_text())
    clean = f"| clean |  | {100 * report['results'][0]['correct'] / 20:.2f} % |"
    card = (shared(run, tmp_path) / "README.md").read_text()
    assert clean in card
    assert "20 of 360 test images, float32, seed 0" in card
    last = (shared(run, tmp_path, "--checkpoint=last") / "README.md").read_text()  # which was only tested
    assert "the test at the end of the training, test images, float32" in last
    tested = next(
        row for row in json.loads((run / "results.json").read_text())["results"] if row["checkpoint"] == "last"
    )
    assert f"{100 * tested['robust_acc']:.2f} %" in last
    other = tmp_path / "other"
    (other / "best-evaluation").mkdir(parents=True)
    content = read_checkpoint(run / "checkpoints" / "best.ckpt")
    torch.save(content | {"epoch": 7}, other / "best.ckpt")
    (other / "best-evaluation" / "evaluation.json").write_text(json.dumps(report))
    facts = facts_of(
        other / "best.ckpt", read_checkpoint(other / "best.ckpt"), None, evaluation_of(other / "best.ckpt")
    )
    assert (facts.accuracies, facts.data) == ((), "")
    assert "Not measured" in model_card(facts, None, None, False)


def test_the_hub_reads_the_cards_front_matter():
    card = ModelCard(model_card(FACTS, "someone/net", "cc-by-4.0", True))
    assert (card.data.license, card.data.library_name) == ("cc-by-4.0", "energy_at")
    assert {(r.metric_name, r.metric_value) for r in card.data.eval_results} == {
        ("clean", 0.9),
        ("pgd-20 Linf 8/255", 0.456),
    }
    assert "arXiv:1901.08573" in card.text
    assert "hf://someone/net" in card.text
    assert "(energies.png)" in card.text


def run_from(source, tmp_path, **arguments):
    """Facts of a training that began with these weights."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": {"class_path": "Digits"}, "start_from": source}))
    described = {"_class_path": "energy_at.modules.DER", "net": FACTS.net, **arguments}
    return facts_of(tmp_path / "last.ckpt", {"hyper_parameters": described, "epoch": 4}, tmp_path)


@pytest.mark.parametrize(
    ("source", "named", "base"),
    [
        ("hf://someone/net@v2", "hf://someone/net@v2", "someone/net"),
        ("pretrained:digits", "pretrained:digits", None),
        ("/home/someone/best.ckpt", "weights of an earlier training", None),
        (None, None, None),
    ],
)
def test_a_card_says_what_the_training_began_with_and_no_path(source, named, base, tmp_path):
    facts = run_from(source, tmp_path)
    card = ModelCard(model_card(facts, "someone/other", None, False))
    assert card.data.to_dict().get("base_model") == base
    assert ("| begun with |" in card.text) == (named is not None)
    assert named is None or f"| begun with | {escaped(named)} |" in card.text
    assert facts.as_config()["training"].get("begun_with") == named
    assert "/home/someone" not in card.text


def test_a_card_says_how_the_net_was_trained(tmp_path):
    flags = ["-c", "parts/ema.yaml", "-c", "parts/awp.yaml", "--data.mix=CutMix", "--data.augment=true"]
    flags += ["--model.label_smoothing=0.1", "--model.schedule=Piecewise", "--model.schedule.drops=[0.5, 0.75]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main([*FIT, *flags]) == 0
        assert main(["push", "runs/digits_rsfgsm_der/version_0", "--output=shared"]) == 0
    recipe = json.loads((tmp_path / "shared" / "config.json").read_text())["training"]
    assert recipe["objective"].startswith("weight 4.0, terms marginal, penalty squared, reference start")
    assert recipe["objective"].endswith("attack_mode train, label_smoothing 0.1, awp AWP(gamma 0.005, warmup 10)")
    batches = "200 of them, batches of 64 a process, shifted by up to 1 pixel"
    assert recipe["images"] == f"{batches}, mix CutMix(alpha 1.0)"
    sgd = "SGD(lr 0.1, momentum 0.9, weight_decay 0.0005)"
    assert recipe["optimizer"] == f"{sgd}, Piecewise(drops [0.5, 0.75], gamma 0.1)"
    assert recipe["callbacks"] == "EMAWeightAveraging(use_buffers True, decay 0.995, update_every_n_steps 1)"
    card = (tmp_path / "shared" / "README.md").read_text()
    for name in ("objective", "images", "optimizer", "callbacks"):
        assert f"| {name} | {escaped(recipe[name])} |" in card


def test_a_recipe_says_nothing_of_what_is_off_and_no_path():
    arguments = {"net": {}, "classifier": "first.ckpt", "weight": 0.5, "awp": None, "mine": "/home/someone/x", "n": 0}
    folder = {"class_path": "mine.Folder", "init_args": {"root": "/home/someone", "share": 0.5}}
    config = {
        "data": {"class_path": "Digits", "init_args": {"synthetic": "/home/someone/a.npz", "synthetic_fraction": 0.3}},
        "model": {"class_path": "DER", "init_args": {"optimizer": folder}},
        "trainer": {"precision": "bf16-mixed", "callbacks": [{"class_path": "energy_at.callbacks.Recovery"}]},
    }
    assert recipe_of(arguments, config) == {
        "objective": "weight 0.5",
        "images": "synthetic ones beside them, a share of 0.3",
        "optimizer": "Folder(share 0.5), bf16-mixed",
        "callbacks": "Recovery()",
    }
    assert recipe_of({"weight": 0}, {}) == {}


def test_the_first_stage_of_dual_training_is_named_too(tmp_path):
    assert run_from(None, tmp_path, classifier="first.ckpt").begun_with == "weights of an earlier training"


@pytest.mark.parametrize("method", [*METHODS, "Mine"])
def test_every_method_has_a_card_that_cites_what_it_rests_on(method):
    text = model_card(dataclasses.replace(FACTS, method=method), None, None, False)
    cited = text.partition("Please cite ")[2].strip()
    assert cited.endswith("arXiv:2407.06315, arXiv:2505.22486.") or method == "DER"
    assert (f"{method}'s paper" in cited) == (method not in {"LinearDER", "Mine"})
    assert ("arXiv:2401.11618" in cited) == (method in {"ELLE", "LinearDER"})


def test_a_card_cites_what_was_used_beside_the_method():
    recipe = {"objective": "beta 6.0, awp AWP(gamma 0.005)", "images": "cutout 16", "callbacks": "Recovery()"}
    text = model_card(dataclasses.replace(FACTS, recipe=recipe), None, None, False)
    others = "arXiv:2006.03089, arXiv:2004.05884, arXiv:1708.04552"
    whose = "TRADES's paper, those of what was used with it and of its energies"
    assert f"Please cite {whose}: arXiv:1901.08573, {others}, arXiv:2407.06315, arXiv:2505.22486." in text


def test_what_users_have_named_is_text_in_a_card():
    text = model_card(FACTS, None, UNUSUAL, False)
    body = text.split("---\n", 2)[2]  # behind the metadata, which no page renders
    assert "<script" not in body
    assert "](http://y)" not in body
    row = next(line for line in text.splitlines() if line.startswith("| classes"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "energy_at"
    assert escaped("a\n# b") == "a \\# b"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["push", "RUN"], "give --repo USER/NAME, --output FOLDER or both"),
        (["push", "RUN", "--repo=digits"], "digits is no USER/NAME"),
        (["push", "nowhere", "--output=x"], "there is no file nowhere/checkpoints/best.ckpt"),
        (["push", "weights.pth", "--output=x"], "does not say of which net it is"),
        (["push", "RUN", "--output=mine"], "has a README.md of its own"),
        (["push", "RUN", "--output=x", "--robustbench=Doe2026Net"], "use CIFAR10, CIFAR100 or ImageNet"),
        (["push", "RUN", "--repo=a/b", "--robustbench=Doe2026Net"], "give --output FOLDER too"),
        (
            ["test", "-c", "digits_rsfgsm_der.yaml", "--ckpt_path=hf://a/b"],
            "begin with it by --start_from, or evaluate it",
        ),
        ([*EVALUATE, "--ckpt_path=hf://a"], "write hf://USER/NAME or hf://USER/NAME@REVISION"),
        ([*EVALUATE, "--ckpt_path=pretrained:nothing"], "there is no pretrained net 'nothing'; this package has "),
        ([*EVALUATE, "--ckpt_path=cut.safetensors"], "cut.safetensors is missing or damaged"),
        ([*EVALUATE, "--ckpt_path=alone.safetensors"], "does not say of which net; give the net too"),
        ([*EVALUATE, "--ckpt_path=hostile"], "os.system, which is no torch.nn.Module"),
    ],
)
def test_a_mistake_is_answered_in_one_line(args, words, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(SmallNet(width=4).state_dict(), "weights.pth")
    save_file(SmallNet(width=4).state_dict(), "alone.safetensors")
    Path("cut.safetensors").write_bytes(Path("alone.safetensors").read_bytes()[:100])
    for folder in ("mine", "hostile"):
        Path(folder).mkdir()
    Path("mine/README.md").write_text("my project")
    save_file(SmallNet(width=4).state_dict(), "hostile/model.safetensors")
    Path("hostile/config.json").write_text(
        '{"net": {"class_path": "os.system", "init_args": {"command": "touch run"}}}'
    )
    assert main([str(run) if arg == "RUN" else arg for arg in args]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in said
    assert Path("mine/README.md").read_text() == "my project"
    assert not Path("run").exists()
    assert not list(Path("x").rglob("*.*"))


def test_a_damaged_description_is_named(tmp_path):
    save_file(SmallNet(width=4).state_dict(), tmp_path / "model.safetensors")
    for damaged in ("{", "[1]"):
        (tmp_path / "config.json").write_text(damaged)
        with pytest.raises(InputError, match=r"config\.json"):
            load_net(tmp_path)


@pytest.mark.parametrize("name", sorted(path.name for path in SHELF.iterdir() if path.is_dir()))
def test_a_pretrained_net_is_small_and_classifies(name):
    folder = SHELF / name
    assert (folder / "model.safetensors").stat().st_size < 300_000
    net, data = load_net(f"pretrained:{name}"), Digits(eval_batch_size=360)
    x, y = next(iter(data.batches("test")))
    clean = (net(x / 255).argmax(1) == y).float().mean().item()
    card = (folder / "README.md").read_text()
    assert f"| clean |  | {100 * clean:.2f} % |" in card
    assert "autoattack" in card

"""A training that begins with weights which exist already."""

from pathlib import Path

import pytest
import torch

from energy_at.cli import main
from energy_at.data import Digits
from energy_at.evaluation.checkpoints import load_net
from energy_at.models import SmallNet

SMALL = [
    "--config=digits_pgd_at.yaml",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=0",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
]
STILL = ["--trainer.max_epochs=1", "--model.optimizer.lr=0"]  # batch norm's statistics alone move


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fit(*args):
    return main(["fit", *SMALL, *args])


def weights_after(version=0):
    content = torch.load(f"runs/digits_pgd_at/version_{version}/checkpoints/last.ckpt", weights_only=True)
    return {name.removeprefix("net."): tensor for name, tensor in content["state_dict"].items()}


def a_file(num_classes=10, **options):
    torch.manual_seed(3)
    net = SmallNet(num_classes=num_classes, in_channels=1, width=4, **options)
    state = {name: tensor for name, tensor in net.state_dict().items() if "normalize" not in name}
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, "theirs.pth")
    return net


def test_a_nets_weights_are_what_the_training_begins_with():
    given = load_net("pretrained:digits")
    assert fit("--start_from=pretrained:digits", "--model.net.width=15", *STILL) == 0
    after = weights_after()
    for name, parameter in given.named_parameters():
        assert torch.equal(after[name], parameter), name
    moved = [name for name, buffer in given.named_buffers() if not torch.equal(after[name], buffer)]
    assert moved, "batch norm was in evaluation mode"
    assert not [name for name in moved if name.startswith("normalize")]


def test_a_training_begins_with_the_best_weights_of_another():
    a_file()
    assert fit("--start_from=theirs.pth", "--model.net.width=4", "--model.net.mean=none", "--trainer.max_epochs=1") == 0
    best = load_net("runs/digits_pgd_at/version_0/checkpoints/best.ckpt")
    assert fit("--start_from=runs/digits_pgd_at/version_0", "--model.net.width=4", *STILL) == 0
    after = weights_after(version=1)
    for name, parameter in best.named_parameters():
        assert torch.equal(after[name], parameter), name


def test_a_training_that_goes_on_does_not_begin_again():
    a_file()
    told = ["--start_from=theirs.pth", "--model.net.width=4", "--model.net.mean=none"]
    assert fit(*told, "--trainer.max_epochs=1") == 0
    Path("theirs.pth").unlink()
    first = weights_after()
    assert main(["fit", "--resume=runs/digits_pgd_at/version_0", "--trainer.max_epochs=2"]) == 0
    assert not torch.equal(weights_after()["conv1.weight"], first["conv1.weight"])


def test_for_another_number_of_classes_the_last_layer_begins_anew():
    given = a_file(num_classes=7)
    with pytest.warns(UserWarning, match="theirs.pth has 7 classes and the net 10, so its last layer begins anew"):
        assert fit("--start_from=theirs.pth", "--model.net.width=4", "--model.net.mean=none", *STILL) == 0
    after = weights_after()
    *below, weight, bias = given.named_parameters()
    for name, parameter in below:
        assert torch.equal(after[name], parameter), name
    assert (after[weight[0]].shape[0], after[bias[0]].shape[0]) == (10, 10)


def test_who_says_nothing_of_normalisation_is_asked_and_the_datas_is_not_taken(capsys):
    a_file()
    told = ["--start_from=theirs.pth", "--model.net.width=4"]
    assert fit(*told) == 2
    assert "theirs.pth does not say how its images are normalised; give" in capsys.readouterr().err
    assert fit(*told, "--model.net.mean=0.2", "--model.net.std=0.4", *STILL) == 0
    assert weights_after()["normalize.mean"].item() == pytest.approx(0.2)


def test_the_files_normalisation_is_taken_without_a_word(capsys):
    torch.save(SmallNet(width=4, in_channels=1, mean=0.2, std=0.4).state_dict(), "theirs.pth")
    assert fit("--start_from=theirs.pth", "--model.net.width=4", *STILL) == 0
    assert "normalisation" not in capsys.readouterr().err
    assert weights_after()["normalize.mean"].item() == pytest.approx(0.2) != Digits.mean[0]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("absent.pth", "there is no file absent.pth; give the path"),
        (
            "pretrained:digits",
            "[15, 1, 3, 3], but [32, 1, 3, 3] there; give its own net (it has width 15)\n",
        ),
        (
            "pretrained:digits --model.net=energy_at.ResNet",
            "that it was saved from (it is of energy_at.models.resnet.SmallNet)",
        ),
        ("pretrained:letters", "there is no pretrained net 'letters'"),
    ],
)
def test_what_cannot_be_begun_with_is_refused(source, words, capsys):
    assert fit(*f"--start_from={source}".split()) == 2
    assert words in capsys.readouterr().err


def test_the_weights_that_a_training_would_begin_with_are_judged(capsys):
    args = ["--trainer.limit_test_batches=1", "--trainer.enable_progress_bar=false", "--model.net.width=15"]
    assert main(["test", "--config=digits_pgd_at.yaml", "--start_from=pretrained:digits", *args]) == 0
    row = capsys.readouterr().out.split("pretrained:digits")[1].split()
    assert row[0] == "0"
    assert float(row[1]) > 0.9

"""Nets as RobustBench keeps them: its names, and what its loader and ours read back."""

import json
from dataclasses import replace

import pytest
import torch

from energy_at import DMWideResNet, InputError, PreActResNet, ResNet, load_net
from energy_at.hub.robustbench import robustbench_claim, write_robustbench
from tests.hub.test_hub import FACTS

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
AUTOATTACK = {"class": "AutoAttack", "version": "standard"}
EVALUATION = {
    "conditions": {"split": "test", "split_images": 200},
    "results": [
        {"name": "clean", "images": 200, "correct": 150, "accuracy": 0.75, "settings": {}},
        {
            "name": "apgd",
            "images": 200,
            "correct": 120,
            "accuracy": 0.6,
            "settings": AUTOATTACK | {"version": "custom"},
        },
        {"name": "aa", "images": 150, "correct": 99, "accuracy": 0.66, "settings": AUTOATTACK},
    ],
}


def facts(net, data="CIFAR10"):
    return replace(FACTS, net={"class_path": f"energy_at.models.{type(net).__name__}", "init_args": {}}, data=data)


def filled(net):
    torch.manual_seed(0)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9)
    return net


def test_a_normalised_net_has_the_names_and_buffers_of_theirs(tmp_path):
    net = PreActResNet(width=4, mean=MEAN, std=STD)
    path = write_robustbench(tmp_path, "Doe2026Net", net.state_dict(), facts(net), None)
    assert path == tmp_path / "models" / "cifar10" / "Linf" / "Doe2026Net.pt"
    state = torch.load(path, weights_only=True)
    assert {"mu", "sigma", "conv1.weight", "layer1.0.bn1.weight", "linear.weight"} <= state.keys()
    assert state["mu"].shape == state["sigma"].shape == (1, 3, 1, 1)
    assert state["sigma"].flatten().tolist() == pytest.approx(STD)
    assert not any(name.startswith("normalize") for name in state)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda **said: PreActResNet(width=4, **said), {"mean": MEAN, "std": STD}),
        (lambda **said: ResNet(width=4, **said), {"mean": "none"}),
        (lambda **said: DMWideResNet(depth=10, width=1, **said), {"mean": MEAN, "std": STD}),
    ],
)
def test_what_is_written_is_read_back_as_the_same_net(make, said, tmp_path):
    net = filled(make(**said)) if said["mean"] == "none" else make(**said)
    if said["mean"] == "none":
        net.normalize.load_state_dict(make(**said).normalize.state_dict())
    path = write_robustbench(tmp_path, "Doe2026Net", net.state_dict(), facts(net), None)
    x = torch.rand(2, 3, 32, 32)
    torch.manual_seed(7)
    assert torch.equal(load_net(path, make(**said))(x), net.eval()(x))


def test_the_claim_has_their_fields_and_percent_of_all_images():
    claim = robustbench_claim(facts(ResNet(width=4)), EVALUATION)
    fields = "link name authors additional_data number_forward_passes dataset venue architecture eps clean_acc reported"
    assert claim.keys() == {*fields.split(), "autoattack_acc"}
    assert (claim["clean_acc"], claim["autoattack_acc"], claim["eps"]) == ("75.00", "49.50", "8/255")
    assert robustbench_claim(facts(ResNet(width=4)), None)["autoattack_acc"] == ""
    part = EVALUATION | {"conditions": {"split": "test", "split_images": 10_000}}
    assert robustbench_claim(facts(ResNet(width=4)), part)["clean_acc"] == ""
    foggy = EVALUATION | {"conditions": {"split": "fog-3 test", "split_images": 200}}
    assert robustbench_claim(facts(ResNet(width=4)), foggy)["clean_acc"] == ""


def test_what_robustbench_does_not_have_is_refused(tmp_path):
    net = ResNet(width=4)
    for name, data, words in (
        ("../x", "CIFAR10", "is no name"),
        ("Doe2026Net", "Digits", "Digits"),
        ("Doe2026Net", "CIFAR10", "SmallNet"),
    ):
        told = facts(net, data) if words != "SmallNet" else replace(FACTS, data=data)
        with pytest.raises(InputError, match=words):
            write_robustbench(tmp_path, name, net.state_dict(), told, None)
    assert not list(tmp_path.rglob("*.*"))


def test_the_claim_is_written_beside_the_weights(tmp_path):
    net = ResNet(width=4, mean="none")
    write_robustbench(tmp_path, "Doe2026Net", net.state_dict(), facts(net), EVALUATION)
    written = json.loads((tmp_path / "model_info/cifar10/Linf/Doe2026Net.json").read_text())
    assert (written["dataset"], written["architecture"]) == ("cifar10", "ResNet")

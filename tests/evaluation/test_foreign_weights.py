"""Files of other repositories: their nets' logits are ours, with their key names, containers and normalisations."""

import warnings
from functools import partial

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from energy_at.evaluation.checkpoints import load_net
from energy_at.evaluation.weights import stripped
from energy_at.models import (
    DMPreActResNet,
    DMWideResNet,
    PreActResNet,
    ResNet,
    TimmNet,
    TorchvisionNet,
    WideResNet,
)
from energy_at.types import InputError
from tests.evaluation import others
from tests.evaluation.others import Normalised, Residual

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
SOURCES = {
    "ResNet18 of WEAT and RobustBench": (
        partial(Residual, others.PostBlock, first=True),
        partial(ResNet, width=8),
    ),
    "ResNet50 of Engstrom2019Robustness": (
        partial(Residual, others.PostBottleneck, first=True, factor=4),
        partial(ResNet, width=8, blocks=(2, 2, 2, 2), bottleneck=True),
    ),
    "PreActResNet18 of robust_overfitting": (
        partial(Residual, others.PreBlock, "out", last=True),
        partial(PreActResNet, width=8),
    ),
    "PreActResNet18 of fast_adversarial and N-FGSM": (
        partial(Residual, others.PreBlock, "x", last=True),
        partial(PreActResNet, width=8, shortcut="input"),
    ),
    "PreActResNet18 of Wong2020Fast": (
        partial(Residual, others.PreBlock, "x"),
        partial(PreActResNet, width=8, shortcut="input", final_norm=False),
    ),
    "WideResNet of TRADES": (others.Wide, partial(WideResNet, depth=10, widen_factor=1)),
    "WideResNet of Wu2020Adversarial": (
        partial(others.Wide, sub_block=False, factor=2),
        partial(WideResNet, depth=10, widen_factor=2),
    ),
    "DMWideResNet of Gowal2020Uncovering": (others.DMWide, partial(DMWideResNet, depth=10, width=2)),
    "DMPreActResNet of Rade2021Helper": (others.DMPreAct, partial(DMPreActResNet, width=8)),
    "resnet18 of torchvision": (
        partial(models.resnet18, num_classes=10),
        partial(TorchvisionNet, "resnet18", num_classes=10),
    ),
    "test_resnet of timm": (
        partial(timm.create_model, "test_resnet", num_classes=10),
        partial(TimmNet, "test_resnet", num_classes=10),
    ),
}
X = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def random(net, seed=0):
    """All parameters and statistics random, so that no term drops out."""
    source = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=source)
            value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.5) / max(1, value[0].numel() ** 0.5))
    return net.eval()


def saved(path, content):
    torch.save(content, path)
    return path


def loaded(path, net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_net(path, net)


@pytest.mark.parametrize("name", SOURCES)
def test_logits_are_those_of_the_source(name, tmp_path):
    theirs, ours = SOURCES[name]
    net = random(theirs())
    path = saved(tmp_path / "net.pt", net.state_dict())
    plain = loaded(path, ours(mean="none"))
    torch.testing.assert_close(plain(X), net(X), rtol=1e-5, atol=1e-5)
    normalised = Normalised(net, MEAN, STD)
    given = loaded(path, ours(mean=MEAN, std=STD))
    torch.testing.assert_close(given(X), normalised(X), rtol=1e-5, atol=1e-5)
    brought = loaded(saved(tmp_path / "mu.pt", normalised.content()), ours())
    torch.testing.assert_close(brought(X), normalised(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module.", "module.0.", "model.", "net.", "rmodel.", "1.", "module.1."])
@pytest.mark.parametrize("container", [(), ("state_dict",), ("model_state_dict",), ("model",), ("net", "state_dict")])
def test_prefixes_and_containers_are_taken_off(prefix, container, tmp_path):
    theirs, ours = SOURCES["PreActResNet18 of robust_overfitting"]
    net = random(theirs())
    content = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    for key in reversed(container):
        content = {key: content, "epoch": 3}
    found = loaded(saved(tmp_path / "net.pt", content), ours(mean="none"))
    torch.testing.assert_close(found(X), net(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "prefix"),
    [
        ("0.mean", "0.std", "1."),
        ("0.new_mean", "0.new_std", "1."),
        ("normalize.mean", "normalize.std", "model."),
        ("mu", "sigma", ""),
    ],
)
def test_a_normalising_layers_values_become_the_nets(mean, std, prefix, tmp_path):
    theirs, ours = SOURCES["ResNet18 of WEAT and RobustBench"]
    net = random(theirs())
    content = {mean: torch.tensor(MEAN), std: torch.tensor(STD).view(3, 1, 1)}
    content |= {prefix + name: tensor for name, tensor in net.state_dict().items()}
    found = loaded(saved(tmp_path / "net.pt", content), ours())
    torch.testing.assert_close(found(X), Normalised(net, MEAN, STD)(X), rtol=1e-5, atol=1e-5)


def test_who_has_no_normalisation_is_asked_for_it(tmp_path):
    theirs, ours = SOURCES["ResNet18 of WEAT and RobustBench"]
    path = saved(tmp_path / "net.pt", theirs().state_dict())
    with pytest.raises(InputError, match=r"does not say how its images are normalised; give --net\.mean"):
        load_net(path, ours())
    with pytest.raises(InputError, match="the normalisation lacks its std; give mean and std"):
        ours(mean=0.5)


@pytest.mark.parametrize(("mean", "std", "expected"), [(0.5, 0.25, (X - 0.5) / 0.25), ("none", None, X)])
def test_a_bare_number_and_none_are_read(mean, std, expected):
    normalize = ResNet(width=4, mean=mean, std=std).normalize
    assert normalize.said
    assert torch.equal(normalize(X), expected)


def test_a_given_normalisation_that_the_file_contradicts_is_named(tmp_path):
    theirs, ours = SOURCES["ResNet18 of WEAT and RobustBench"]
    path = saved(tmp_path / "net.pt", Normalised(random(theirs()), MEAN, STD).content())
    with pytest.warns(UserWarning, match="brings its own normalisation, which is taken"):
        net = load_net(path, ours(mean="none"))
    torch.testing.assert_close(net.normalize.mean.flatten(), torch.tensor(MEAN))


def test_what_a_file_of_a_preactresnet_cannot_tell_is_said_and_matters(tmp_path):
    theirs, _ = SOURCES["PreActResNet18 of fast_adversarial and N-FGSM"]
    net = random(theirs())
    path = saved(tmp_path / "net.pt", net.state_dict())
    with pytest.warns(UserWarning, match=r"files of fast_adversarial and N-FGSM need --net\.shortcut input"):
        wrong = load_net(path, PreActResNet(width=8, mean="none"))
    assert (wrong(X) - net(X)).abs().max() > 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_net(path, PreActResNet(width=8, mean="none", shortcut="input"))


def test_the_reminder_comes_with_a_normalisation_in_the_file_too_and_not_with_our_own_files(tmp_path):
    theirs, _ = SOURCES["PreActResNet18 of fast_adversarial and N-FGSM"]
    path = saved(tmp_path / "mu.pt", Normalised(random(theirs()), MEAN, STD).content())
    with pytest.warns(UserWarning, match=r"need --net\.shortcut input"):
        load_net(path, PreActResNet(width=8))
    own = saved(tmp_path / "own.pt", PreActResNet(width=8, mean=MEAN, std=STD).state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_net(own, PreActResNet(width=8))


def test_a_layer_behind_the_net_is_not_dropped(tmp_path):
    theirs, ours = SOURCES["ResNet18 of WEAT and RobustBench"]
    content = {"0.mean": torch.tensor(MEAN), "0.std": torch.tensor(STD), "2.weight": torch.eye(10)}
    content |= {f"1.{name}": tensor for name, tensor in random(theirs()).state_dict().items()}
    with pytest.raises(InputError, match=r"does not fit the net: it has 2\.weight too many"):
        load_net(saved(tmp_path / "net.pt", content), ours())


def test_of_last_and_best_one_is_chosen(tmp_path):
    theirs, ours = SOURCES["PreActResNet18 of robust_overfitting"]
    nets = {"last": random(theirs()), "best": random(theirs(), seed=1)}
    path = saved(tmp_path / "both.pt", {key: net.state_dict() for key, net in nets.items()})
    for key, net in nets.items():
        torch.testing.assert_close(loaded(f"{path}:{key}", ours(mean="none"))(X), net(X), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match=r"holds the weights last and best; write .*both\.pt:last or .*both\.pt:best"):
        load_net(path, ours(mean="none"))
    single = saved(tmp_path / "one.pt", nets["last"].state_dict())
    with pytest.raises(InputError, match="holds one net, not best and others"):
        load_net(f"{single}:best", ours(mean="none"))


def test_files_of_old_versions_lack_the_counters_of_batch_norm(tmp_path):
    theirs, ours = SOURCES["ResNet18 of WEAT and RobustBench"]
    net = random(theirs())
    old = {name: tensor for name, tensor in net.state_dict().items() if "num_batches" not in name}
    torch.testing.assert_close(loaded(saved(tmp_path / "old.pt", old), ours(mean="none"))(X), net(X))


def test_a_normalisation_that_the_users_own_net_lacks_is_named(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    content = {"0.mean": torch.zeros(3), "0.std": torch.ones(3)}
    content |= {f"1.{name}": tensor for name, tensor in net.state_dict().items()}
    with pytest.warns(UserWarning, match=r"has a normalisation \(0\.mean\), and the net is left to its own"):
        load_net(saved(tmp_path / "net.pt", content), net)


def test_the_prefix_that_fits_most_names_wins():
    state = {"ema.a": 0, "module.model.a": 1, "module.model.b": 2, "module.other": 3}
    assert stripped(state, {"a", "b"}) == {"a": 1, "b": 2}

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from energy_at.models import PreActResNet, ResNet, SmallNet
from energy_at.types import InputError
from tests.models.references import images, preact_net, randomised

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


@pytest.mark.parametrize("training", [False, True])
def test_preact_resnet_equals_its_equations(training):
    net = randomised(PreActResNet(5, 4, (1, 2), mean=MEAN, std=STD)).train(training)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    blocks = [("layer1.0", 1), ("layer2.0", 2), ("layer2.1", 1)]
    expected = preact_net(state, images(), blocks, "bn", "linear", training)
    torch.testing.assert_close(net(images()), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("training", [False, True])
def test_resnet_equals_torchvision_without_its_large_stem(training):
    net = randomised(ResNet(5, 64, (1, 1, 1, 1), mean=MEAN, std=STD)).train(training)
    reference = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=5).double().train(training)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False).double(), nn.Identity()
    state = {k.replace("shortcut", "downsample").replace("linear", "fc"): v for k, v in net.state_dict().items()}
    x = images()
    normalised = (x - state.pop("normalize.mean")) / state.pop("normalize.std")
    reference.load_state_dict(state)
    torch.testing.assert_close(net(x), reference(normalised), rtol=1e-10, atol=1e-10)


def test_small_net_is_a_preact_resnet_of_three_single_blocks():
    net, reference = randomised(SmallNet(width=4)), randomised(PreActResNet(10, 4, (1, 1, 1), in_channels=1), seed=3)
    reference.load_state_dict(net.state_dict())
    assert torch.equal(net(images(1)), reference(images(1)))


def test_widths_double_and_sizes_halve():
    net = PreActResNet(width=3, blocks=(1, 1, 1))
    assert net.features(torch.rand(2, 3, 12, 12)).shape == (2, 12, 3, 3)
    assert net(torch.rand(2, 3, 9, 16)).shape == (2, 10)


def test_keys_are_those_of_public_checkpoints():
    preact, post = set(PreActResNet(width=2).state_dict()), set(ResNet(width=2).state_dict())
    common = {"conv1.weight", "layer1.0.bn1.weight", "layer1.1.conv2.weight", "layer4.0.shortcut.0.weight"}
    assert common | {"bn.running_mean", "linear.bias", "normalize.mean", "normalize.std"} <= preact
    assert common | {"bn1.running_mean", "linear.bias", "layer2.0.shortcut.1.bias"} <= post
    assert not any("shortcut" in key for key in preact | post if key.startswith("layer1"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width is 0, but it counts from 1"),
        ({"num_classes": -1}, "num_classes is -1, but it counts from 1"),
        ({"in_channels": 0}, "in_channels is 0, but it counts from 1"),
        ({"blocks": ()}, r"blocks is \(\); give at least one stage"),
        ({"blocks": (2, 0)}, r"blocks is \(2, 0\); give"),
        ({"mean": (0.5, 0.5), "std": 1.0}, "mean is .*; give one value, or one for each of the 3 channels"),
    ],
)
@pytest.mark.parametrize("cls", [PreActResNet, ResNet])
def test_bad_arguments_are_named(cls, arguments, message):
    with pytest.raises(InputError, match=message):
        cls(**arguments)

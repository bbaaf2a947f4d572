import math

import pytest
import torch
import torch.nn.functional as F

from energy_at.models import WideResNet
from energy_at.types import InputError
from tests.models.references import images, preact_net, randomised

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def expected(state, x, training, act):
    blocks = [(f"block{stage}.layer.{i}", 2 if stage > 1 and i == 0 else 1) for stage in (1, 2, 3) for i in (0, 1)]
    return preact_net(state, x, blocks, "bn1", "fc", training, act, shortcut="convShortcut.weight")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("activation", "act"), [("relu", F.relu), ("silu", lambda x: x * torch.sigmoid(x))])
@pytest.mark.parametrize("widen_factor", [1, 2])
def test_equals_its_equations(training, activation, act, widen_factor):
    net = randomised(WideResNet(5, 16, widen_factor, activation, mean=MEAN, std=STD)).train(training)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    assert ("block1.layer.0.convShortcut.weight" in state) == (widen_factor > 1)
    torch.testing.assert_close(net(images()), expected(state, images(), training, act), rtol=1e-10, atol=1e-10)


def test_dropout_acts_in_training_only():
    net, x = WideResNet(depth=10, widen_factor=1, dropout=0.5), torch.rand(4, 3, 8, 8)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_initialisation_is_he_fan_out_and_zero_bias():
    net = WideResNet(depth=10, widen_factor=4)
    weight = net.block2.layer[0].conv1.weight  # 73728 values: the sample's deviation is within 0.3 % of the true one
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.02)
    assert net.fc.bias.count_nonzero() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 30}, r"depth is 30, not 6 n \+ 4; give 10, 16"),
        ({"depth": 4}, "depth is 4, not"),
        ({"widen_factor": 0}, "widen_factor is 0, but it counts from 1"),
        ({"activation": "silo"}, "activation 'silo' is unknown; use for example silu"),
        ({"dropout": 1.0}, "dropout is 1.0; give a probability"),
        ({"mean": 0.5, "std": (0.0,)}, "std is .* positive"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        WideResNet(**arguments)

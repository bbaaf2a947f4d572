"""One thread for little work, and everything else as it was."""

import pytest
import torch
from torch import nn

from energy_at.cli.computing import SMALL_FLOPS, flops, suit_threads
from energy_at.data import Digits
from energy_at.defense import EnergyDescent
from energy_at.models import SmallNet

CPU = torch.device("cpu")


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_flops_are_those_of_convolutions_and_the_linear_layer():
    net = SmallNet(width=4, in_channels=1).train()
    modes = [layer.training for layer in net.modules()]
    at_8, at_4, at_2 = 64, 16, 4  # pixels
    stem, first = at_8 * 9 * 1 * 4, 2 * at_8 * 9 * 4 * 4
    second = at_4 * (9 * 4 * 8 + 9 * 8 * 8 + 4 * 8)
    third = at_2 * (9 * 8 * 16 + 9 * 16 * 16 + 8 * 16)
    assert flops(net, (1, 8, 8)) == 2 * (stem + first + second + third + 16 * 10)
    assert [layer.training for layer in net.modules()] == modes


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("width", "threads"),
    [(4, 1), (64, 2)],
)
def test_a_small_batch_takes_one_thread(width, threads):
    net = SmallNet(width=width, in_channels=1)
    assert (500 * flops(net, (1, 8, 8)) < SMALL_FLOPS) == (threads == 1)
    suit_threads([net], Digits(), 500, CPU)
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("two_threads")
def test_a_defended_net_takes_as_many_threads_as_the_net_inside():
    small, large = (SmallNet(width=width, in_channels=1) for width in (4, 64))
    assert flops(EnergyDescent(small), (1, 8, 8)) == flops(small, (1, 8, 8))
    suit_threads([EnergyDescent(large)], Digits(), 500, CPU)
    assert torch.get_num_threads() == 2
    suit_threads([EnergyDescent(small)], Digits(), 500, CPU)
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("two_threads")
def test_the_largest_of_several_nets_decides():
    suit_threads([SmallNet(width=width, in_channels=1) for width in (4, 64)], Digits(), 500, CPU)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("reason", ["a number is given", "a foreign net", "a foreign net, defended", "a GPU"])
def test_threads_are_left_alone_where(reason, monkeypatch):
    net: nn.Module = SmallNet(width=4, in_channels=1)
    if reason == "a number is given":
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
    net = nn.Sequential(net) if reason.startswith("a foreign net") else net
    net = EnergyDescent(net) if reason.endswith("defended") else net
    suit_threads([net], Digits(), 500, torch.device("cuda") if reason == "a GPU" else CPU)
    assert torch.get_num_threads() == 2

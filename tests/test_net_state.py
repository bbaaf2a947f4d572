"""A net's state among several processes."""

import multiprocessing

import pytest
import torch
from torch import distributed, nn

from energy_at import SmallNet
from energy_at.net_state import share_statistics


def statistics_of(rank, store, found):
    """What a process has after sharing statistics that were its own."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    torch.manual_seed(rank)
    net = nn.Sequential(SmallNet(num_classes=3, in_channels=1, width=4), nn.BatchNorm1d(3), nn.Flatten())
    net.train()(torch.rand(8 + rank, 1, 8, 8))
    net[1].num_batches_tracked += rank
    weights = [weight.clone() for weight in net.parameters()]
    before = [buffer.clone() for buffer in net.buffers()]
    share_statistics(net)
    assert all(torch.equal(one, other) for one, other in zip(weights, net.parameters(), strict=True))
    found.put((rank, [(b.tolist(), a.tolist()) for b, a in zip(before, net.buffers(), strict=True)]))
    distributed.barrier()
    distributed.destroy_process_group()  # else its threads may outlive what they use


def test_all_processes_have_the_statistics_of_the_first(tmp_path):
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    processes = [context.Process(target=statistics_of, args=(rank, tmp_path / "store", found)) for rank in range(2)]
    for process in processes:
        process.start()
    (_, first), (_, second) = sorted(found.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(timeout=30)
        assert process.exitcode == 0
    assert any(mine != others for (mine, _), (others, _) in zip(first, second, strict=True))
    for (before, after), (_, others) in zip(first, second, strict=True):
        assert before == after == others


def test_a_process_alone_shares_nothing():
    net = nn.BatchNorm1d(3)
    share_statistics(net)
    assert net.running_mean.tolist() == pytest.approx([0, 0, 0])

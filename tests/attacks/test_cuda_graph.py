"""Which graphs an attack records, and when it runs eagerly; that a graph is the attack is tested on a GPU."""

import copy
import pickle

import pytest
import torch

from energy_at import PGD, SmallNet
from energy_at.attacks import cuda_graph
from energy_at.attacks.cuda_graph import CudaGraphs

PGD_2 = PGD(eps=0.1, alpha=0.05, steps=2)


@pytest.fixture
def recorded(monkeypatch):
    """The batches that a graph was recorded for; what is replayed is the attack itself."""
    batches = []

    def record(attack, net, x, y, start):
        batches.append((tuple(x.shape), tuple(y.shape), net.training))
        return lambda x, y, start: attack.perturb(net, x, y, start)

    monkeypatch.setattr(cuda_graph, "record", record)
    return batches


def attacked(graphs, net, count=4, y=None):
    """Through the graphs, and without them, from the same noise."""
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(count) if y is None else y
    noise = [torch.Generator().manual_seed(1) for _ in range(2)]
    return graphs(PGD_2, net, x, y, None, noise[0]), PGD_2(net, x, y, None, noise[1])


def test_one_is_recorded_for_each_batch_shape_form_of_labels_and_mode(recorded):
    net, graphs = SmallNet(width=4), CudaGraphs(most=8)
    for _ in range(2):
        attacked(graphs, net.train())
        attacked(graphs, net.train(), count=3)
        attacked(graphs, net.train(), y=torch.eye(10)[:4])
        attacked(graphs, net.eval())
    images, fewer = (4, 1, 8, 8), (3, 1, 8, 8)
    assert recorded == [(images, (4,), True), (fewer, (3,), True), (images, (4, 10), True), (images, (4,), False)]


def test_what_comes_after_the_last_graph_runs_eagerly_and_alike(recorded):
    net, graphs = SmallNet(width=4).eval(), CudaGraphs(most=1)
    for count in (4, 3, 4):
        through, without = attacked(graphs, net, count)
        assert torch.equal(through, without)
    assert len(recorded) == 1


def test_weights_that_lie_elsewhere_are_another_graph(recorded):
    net, graphs = SmallNet(width=4).eval(), CudaGraphs(most=4)
    attacked(graphs, net)
    with torch.no_grad():
        net.linear.weight.mul_(2)
    attacked(graphs, net)
    assert len(recorded) == 1
    net.linear.weight.data = net.linear.weight.data.clone()
    attacked(graphs, net)
    assert len(recorded) == 2


def test_a_copy_records_its_own_graphs(recorded):
    graphs = CudaGraphs(most=3)
    attacked(graphs, SmallNet(width=4))
    for copied in (copy.deepcopy(graphs), pickle.loads(pickle.dumps(CudaGraphs(most=3)))):
        assert (copied.recordings.most, copied.recordings.graphs) == (3, {})
    graphs.recordings.forget()
    attacked(graphs, SmallNet(width=4))
    assert len(recorded) == 2

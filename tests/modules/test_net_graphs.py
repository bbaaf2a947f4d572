"""Graphs need a GPU (tests/cuda); what stands around them is held here against one emulated on the CPU."""

import copy
import pickle

import lightning as L
import pytest
import torch
from torch import nn

from energy_at import DER, FGSM, Digits, StandardAT
from energy_at.models import SmallNet
from energy_at.modules import net_graphs
from energy_at.modules.net_graphs import NetGraphs


class Replay(torch.autograd.Function):
    """A replay's ways with memory: every result is written where the last one lies."""

    @staticmethod
    def forward(ctx, graph, x, *params):
        ctx.graph = graph
        with torch.enable_grad():
            graph.logits = graph.net(x)
        graph.result.copy_(graph.logits.detach())
        return graph.result.detach()

    @staticmethod
    def backward(ctx, grad):
        found = torch.autograd.grad(ctx.graph.logits, list(ctx.graph.net.parameters()), grad)
        for kept, new in zip(ctx.graph.grads, found, strict=True):
            kept.copy_(new)
        return None, None, *(kept.detach() for kept in ctx.graph.grads)


class Emulated:
    def __init__(self, net, x):
        self.net, self.grads = net, [torch.empty_like(parameter) for parameter in net.parameters()]
        self.result = net(x).detach()

    def __call__(self, x):
        return Replay.apply(self, x, *self.net.parameters())


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 5))


def batch(seed=0, count=6):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 2, 2, generator=source), torch.randint(5, (count,), generator=source)


@pytest.fixture
def recorded(monkeypatch):
    """Every recording that is made, of emulated graphs."""
    made = []

    def record(net, x):
        made.append(Emulated(net, x))
        return made[-1]

    monkeypatch.setattr(net_graphs, "record", record)
    monkeypatch.setattr(net_graphs, "recordable", lambda x: torch.is_grad_enabled() and not x.requires_grad)
    return made


def gradients(net, backward_passes):
    net.zero_grad()
    for backward_pass in backward_passes:
        backward_pass()
    return [parameter.grad.clone() for parameter in net.parameters()]


def through(call, graphs, net, seed):
    x, _ = batch(seed)

    def backward_pass():
        graphs.begin()
        call(net, x).square().sum().backward()

    return backward_pass


def test_gradients_accumulate_although_every_replay_writes_to_the_same_memory(recorded):
    net, graphs = linear(), NetGraphs(True)
    plain = gradients(net, [through(lambda net, x: net(x), graphs, net, seed) for seed in range(3)])
    ours = gradients(net, [through(graphs, graphs, net, seed) for seed in range(3)])
    assert len(recorded) == 1
    torch.testing.assert_close(ours, plain)


def test_without_copies_they_would_not():
    net, graphs = linear(), NetGraphs(True)
    plain = gradients(net, [through(lambda net, x: net(x), graphs, net, seed) for seed in range(2)])
    graph = Emulated(net, batch()[0])
    bare = gradients(net, [through(lambda net, x: graph(x), graphs, net, seed) for seed in range(2)])
    assert not torch.allclose(bare[0], plain[0])


def test_two_passes_of_one_loss_have_a_graph_each(recorded):
    net, graphs = linear(), NetGraphs(True)
    (one, _), (other, _) = batch(1), batch(2)

    def loss(call):
        return (call(net, one) * call(net, other).softmax(dim=1)).sum()

    net.zero_grad()
    loss(lambda net, x: net(x)).backward()
    plain = [parameter.grad for parameter in net.parameters()]
    for _ in range(2):
        graphs.begin()
        net.zero_grad()
        loss(graphs).backward()
    assert len(recorded) == 2
    torch.testing.assert_close([parameter.grad for parameter in net.parameters()], plain)


def test_what_a_step_returns_outlives_the_next_one(recorded):
    net, graphs = linear(), NetGraphs(True)
    first = graphs(net, batch(1)[0])
    kept = first.detach().clone()
    graphs.begin()
    graphs(net, batch(2)[0])
    torch.testing.assert_close(first.detach(), kept)


def test_what_a_graph_cannot_hold_runs_as_it_is_written(recorded):
    net, graphs = linear(), NetGraphs(True)
    x, _ = batch()
    with torch.no_grad():
        graphs(net, x)
    graphs(net, x.requires_grad_())
    NetGraphs(False)(net, x.detach())
    assert not recorded


def test_shapes_modes_and_frozen_weights_have_their_own_up_to_the_most(recorded):
    net, graphs = linear(), NetGraphs(True, most=3)

    def passed(count=6):
        graphs.begin()
        x, _ = batch(count=count)
        torch.testing.assert_close(graphs(net, x), net(x))

    passed()
    passed(count=4)
    passed()
    assert len(recorded) == 2
    net[1].weight.requires_grad_(False)
    passed(count=4)
    assert len(recorded) == 3
    net.eval()
    passed()
    assert len(recorded) == 3


def test_a_training_that_ends_gives_its_graphs_back(recorded, tmp_path):
    module, seen = StandardAT(SmallNet(width=4), attack=FGSM(eps=0.1)), []
    module._net_graphs = NetGraphs(True)

    class Look(L.Callback):
        def on_train_batch_end(self, *_):
            seen.append(len(module._net_graphs.recordings.graphs))

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=2, limit_val_batches=0, callbacks=[Look()], **quiet
    )
    trainer.fit(module, Digits())
    assert seen == [1, 1]
    assert not module._net_graphs.recordings.graphs


def test_a_copy_records_its_own(recorded):
    graphs = NetGraphs(True, most=2)
    graphs(linear(), batch()[0])
    for copied in (copy.deepcopy(graphs), pickle.loads(pickle.dumps(graphs))):
        assert (copied.wanted, copied.recordings.most, copied.recordings.graphs) == (True, 2, {})


@pytest.mark.parametrize("kind", [StandardAT, lambda net, **kw: DER(net, passes="separate", **kw)], ids=["AT", "DER"])
def test_an_objective_has_the_gradients_of_its_net(kind, recorded):
    x, y = batch()
    found = []
    for wanted in (False, True):
        module = kind(linear(), attack=FGSM(eps=0.1))
        module._net_graphs = NetGraphs(wanted)
        module._start = x
        module._outputs(x, y)["loss"].backward()
        found.append([parameter.grad for parameter in module.parameters()])
    assert recorded
    torch.testing.assert_close(*found)

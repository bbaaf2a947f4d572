"""A net's passes in training, forward and backward, recorded once as CUDA graphs and replayed."""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from energy_at.attacks.cuda_graph import Recordings
from energy_at.types import Images, Logits


class NetGraphs:
    """Calls a net; in an update's passes, its kernels and those of its backward pass are two launches each.

    Gradients flow as through the net itself, whatever loss stands above it and whatever a gradient scaler does beside
    it. What a graph cannot hold runs as it is written: passes without gradients, with gradients at the images, on a
    device other than CUDA, or of one process among several. A graph keeps its activations until its backward pass, so
    the passes of one step have one each. One is recorded for each batch shape, mode and precision, up to ``most``;
    whatever comes after those runs eagerly. Dropout draws other numbers in a graph than outside.

    Args:
        wanted: whether anything is recorded at all.
        most: graphs that are recorded, at least 1; each keeps the memory of its activations.
    """

    def __init__(self, wanted: bool, most: int = 4) -> None:
        self.wanted = wanted
        self.recordings: Recordings[nn.Module] = Recordings(most)
        self._passes = 0

    def begin(self) -> None:
        """The passes of the last loss are done with: their backward passes have been, or never will be."""
        self._passes = 0

    def __call__(self, net: nn.Module, x: Images) -> Logits:
        """``net(x)``, [N, K]."""
        if not (self.wanted and recordable(x)):
            return net(x)
        graphed = self.recordings.of(self._passes, net, x, lambda: record(net, x))
        self._passes += 1
        return net(x) if graphed is None else _Owned.apply(graphed(x), self.recordings.situation.weights)


def recordable(x: Images) -> bool:
    """Whether a pass on these images is one of an update, on a device that has graphs, by the only process.

    DistributedDataParallel keeps nodes of the weights' gradients that belong to the default stream, which a recording
    must not touch.
    """
    return x.is_cuda and torch.is_grad_enabled() and not x.requires_grad and not distributed.is_initialized()


def record(net: nn.Module, x: Images) -> nn.Module:
    """Record a net's forward pass on a batch of this shape, and its backward pass to the weights.

    Args:
        net: in the mode and under the autocast in which the graphs are to run; its buffers are left as they are.
        x: [N, C, H, W] on a CUDA device.

    Returns:
        A module that copies a batch to the graph's own memory and replays it; its gradients are the net's.
    """
    kept = [(buffer, buffer.clone()) for buffer in net.buffers()]
    kind = x.device.type
    torch.clear_autocast_cache()  # the graph casts the weights itself: casts from before it would go stale
    with (
        torch.random.fork_rng([x.device], device_type=kind),
        torch.autocast(
            kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        ),
    ):
        graphed: Any = torch.cuda.make_graphed_callables(_Call(net), (x.detach().clone(),), allow_unused_input=True)
    for buffer, value in kept:
        buffer.copy_(value)
    return graphed


class _Owned(torch.autograd.Function):
    """The graph's result in memory that no replay overwrites; so, where gradients are accumulated, those there are."""

    @staticmethod
    def forward(ctx: Any, logits: Logits, params: tuple[nn.Parameter, ...]) -> Logits:
        ctx.params = params
        return logits.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        for parameter in ctx.params:  # it runs before the graph's backward pass, whose memory is theirs since the last
            parameter.grad = None if parameter.grad is None else parameter.grad.clone()
        return grad, None


class _Call(nn.Module):
    """The net in a module of its own, so that its forward method stays as it is written."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.training = net.training

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

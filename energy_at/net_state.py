"""A net's state, kept while somebody else uses the net: the mode of its layers, the statistics of its normalisation."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm


@contextmanager
def in_mode(net: nn.Module, training: bool) -> Iterator[None]:
    """The net in training or evaluation mode; afterwards every layer is back in its own mode."""
    modes = [(layer, layer.training) for layer in net.modules()]
    if any(mode != training for _, mode in modes):  # setting a mode takes longer than looking at it
        net.train(training)
    try:
        yield
    finally:
        for layer, mode in modes:
            if layer.training != mode:
                layer.training = mode


def share_statistics(net: nn.Module) -> None:
    """Give the nets of all processes the first one's statistics, which are those that a checkpoint holds.

    DistributedDataParallel does so before its own forward passes, which an attack's are not.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return
    buffers = list(net.buffers())
    for dtype in dict.fromkeys(buffer.dtype for buffer in buffers):  # in the same order everywhere
        alike = [buffer for buffer in buffers if buffer.dtype == dtype]
        joined = torch.cat([buffer.flatten() for buffer in alike])
        distributed.broadcast(joined, src=0)
        for buffer, values in zip(alike, joined.split([buffer.numel() for buffer in alike]), strict=True):
            buffer.copy_(values.view_as(buffer))


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """Normalisation layers in training mode use the batch's statistics without updating their running ones."""
    layers = [m for m in net.modules() if isinstance(m, _NormBase) and m.training and m.track_running_stats]
    # instance norm writes to the statistics that it has, whatever its flag says
    hidden = [(layer, layer.running_mean, layer.running_var) for layer in layers if isinstance(layer, _InstanceNorm)]
    for layer in layers:
        layer.track_running_stats = False
    for layer, _, _ in hidden:
        layer.running_mean = layer.running_var = None
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
        for layer, mean, var in hidden:
            layer.running_mean, layer.running_var = mean, var

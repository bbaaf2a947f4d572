"""A net's state, kept while somebody else uses the net: the mode of its layers, the statistics of its normalisation."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm


@contextmanager
def in_mode(net: nn.Module, training: bool) -> Iterator[None]:
    """The net in training or evaluation mode; afterwards every layer is back in its own mode."""
    modes = [(layer, layer.training) for layer in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode


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

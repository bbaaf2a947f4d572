"""How a net is computed where nobody says it: in NHWC memory or not, and on how many of a CPU's threads."""

import os
from collections.abc import Collection, Iterable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from energy_at.data.base import ImageData
from energy_at.defense import EnergyDescent
from energy_at.net_state import in_mode

SMALL_FLOPS = 1e9  # of a batch's forward pass; docs/performance.md says how it was found


def ours(nets: Iterable[nn.Module]) -> bool:
    """Whether all of these nets, within their defenses, are this package's, of which it is known what suits them."""
    return all(type(_inside(net)).__module__.startswith("energy_at.") for net in nets)


def in_channels_last(nets: Iterable[nn.Module], device: torch.device, asked: bool | None) -> bool:
    """What was asked for; else whether NHWC memory is known to be faster, and to be understood by all these nets."""
    return device.type == "cpu" and ours(nets) if asked is None else asked


def suit_threads(nets: Collection[nn.Module], data: ImageData, batch_size: int, device: torch.device) -> None:
    """Compute on one thread of a CPU where a batch is little work for each of these nets: waking others costs more.

    OMP_NUM_THREADS, where it is set, is obeyed; nets of others are left alone. The number depends on net and batch
    alone, so that a training that goes on rounds as the one that it continues.

    Args:
        nets: whose passes are to come.
        data: whose images they take.
        batch_size: images of a pass.
        device: of the passes.
    """
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        return
    if ours(nets) and all(batch_size * flops(net, data.image_shape) < SMALL_FLOPS for net in nets):
        torch.set_num_threads(1)


def flops(net: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Of one image's forward pass, two for a multiplication with its addition; the net is left as it was found.

    Of the net within its defense, whose gradients the counter does not let through.
    """
    net = _inside(net)
    parameter = next(net.parameters())
    image = torch.zeros(1, *image_shape, dtype=parameter.dtype, device=parameter.device)
    with in_mode(net, False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    return int(counter.get_total_flops())


def _inside(net: nn.Module) -> nn.Module:
    return net.net if isinstance(net, EnergyDescent) else net

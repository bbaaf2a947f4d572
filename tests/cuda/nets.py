import copy

import torch

from energy_at.models import PreActResNet, SmallNet

EPS = 0.1


def small_net(seed=0):
    """A net for the digits, whose running statistics are not those of a batch."""
    torch.manual_seed(seed)
    net = SmallNet(width=8)
    for name, buffer in net.named_buffers():
        if "running" in name:
            buffer.add_(torch.rand_like(buffer))
    return net


def residual_net():
    torch.manual_seed(0)
    return PreActResNet(width=8)


def digits(count=32, seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 8, 8, generator=source), torch.randint(10, (count,), generator=source)


def start_near(x, seed=1):
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + EPS * (2 * noise - 1)).clamp(0, 1)


def on(device, *things):
    """Copies on the device."""
    moved = [copy.deepcopy(thing).to(device) for thing in things]
    return moved if len(moved) > 1 else moved[0]

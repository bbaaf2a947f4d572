"""A tiny diffusion model of scikit-learn's digits, and a net that classifies them."""

import copy
from functools import cache

import torch
from diffusers import DDPMScheduler, UNet2DModel
from sklearn.datasets import load_digits
from torch import nn


@cache
def digits():
    """Images [1797, 1, 8, 8] and labels."""
    data = load_digits()
    return torch.tensor(data.images, dtype=torch.float32)[:, None] / 16, torch.tensor(data.target)


def unet(**options):
    """For images of 8x8, with weights from a fixed seed."""
    torch.manual_seed(0)
    sizes = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "norm_num_groups": 4}
    blocks = {"down_block_types": 2 * ("DownBlock2D",), "up_block_types": 2 * ("UpBlock2D",)}
    return UNet2DModel(**{**sizes, **blocks, "block_out_channels": (8, 16), **options}).eval()


@cache
@torch.enable_grad()
def _trained():
    net, scheduler, (x, _) = unet().train(), DDPMScheduler(), digits()
    adam, generator = torch.optim.Adam(net.parameters(), 4e-3), torch.Generator().manual_seed(0)
    for _ in range(150):
        batch = x[torch.randint(len(x), (64,), generator=generator)]
        noise = torch.randn(batch.shape, generator=generator)
        t = torch.randint(1000, (64,), generator=generator)
        adam.zero_grad()
        (net(scheduler.add_noise(2 * batch - 1, noise, t), t).sample - noise).square().mean().backward()
        adam.step()
    return net.eval()


def trained():
    """UNet and scheduler, trained for some seconds; a copy for every test."""
    net = copy.deepcopy(_trained())
    net.zero_grad()
    return net, DDPMScheduler()


@cache
@torch.enable_grad()
def classifier():
    """A weakly trained net, and images of which it classifies nearly all."""
    x, y = digits()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    adam = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(40):
        adam.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        adam.step()
    return net.eval()

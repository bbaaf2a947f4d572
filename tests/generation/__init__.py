"""What the tests of generation share: small data, and nets whose energies have a closed form."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from energy_at.generation.noise import normal


def digits():
    """scikit-learn's digits: images [1797, 1, 8, 8] in [0, 1] and labels."""
    data = load_digits()
    return torch.from_numpy(data.images).float().unsqueeze(1) / 16, torch.from_numpy(data.target)


class QuadraticNet(nn.Module):
    """E(x, k) = -f(x)[k] = curvature_k / 2 |x - centre_k|^2, and a count of the images it has seen."""

    def __init__(self, centres, curvatures):
        super().__init__()
        self.register_buffer("centres", centres)
        self.register_buffer("curvatures", curvatures)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return -self.curvatures / 2 * (x.flatten(1).unsqueeze(1) - self.centres).square().sum(-1)


class ConvNet(nn.Module):
    """A smooth net with layers that differ between training and evaluation."""

    def __init__(self, classes=10):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Softplus(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(512, classes),
        )
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return self.layers(x)


def reference(sampler, net, x0, y, seed, stop):
    """One sample by the plain equations, without a batch."""
    x, v = x0, torch.zeros_like(x0)
    for step in range(sampler.steps):
        x = x.requires_grad_()
        energy = -net(x[None])[0, y]
        if energy <= stop:
            return x.detach(), float(energy.detach()), step
        (grad,) = torch.autograd.grad(energy, x)
        v = sampler.friction * v - sampler.step_size / 2 * grad
        noise = (2 * sampler.step_size) ** 0.5 * sampler.noise * normal(seed[None], step, tuple(x0.shape))[0]
        x = (x.detach() + v + noise).clamp(0, 1)
    return x, float(-net(x[None])[0, y].detach()), sampler.steps

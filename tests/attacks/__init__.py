"""Nets and images whose attacks have closed forms, and what every result must satisfy."""

from functools import partial

import torch
from torch import nn

from energy_at.attacks import FGSM, NFGSM, PGD, RSFGSM
from energy_at.attacks.losses import LOSSES

ATTACKS = {cls.__name__: cls for cls in (FGSM, RSFGSM, NFGSM, PGD)}
NORMS = ("Linf", "L2")
VARIANTS = {  # built anew for each test, because an attack carries its source of noise
    **{f"{name}-{norm}": partial(cls, eps=0.1, norm=norm) for name, cls in ATTACKS.items() for norm in NORMS},
    **{f"PGD-{loss}": partial(PGD, eps=0.1, steps=3, loss=loss) for loss in LOSSES},
    "PGD-targeted": partial(PGD, eps=0.1, steps=3, targeted=True),
    "PGD-gaussian": partial(PGD, eps=0.1, steps=3, loss="kl", start="gaussian"),
    "FGSM-ternary": partial(FGSM, eps=0.1, start="ternary"),
    "PGD-zero": partial(PGD, eps=0.1, steps=3, start="zero"),
    "PGD-restarts": partial(PGD, eps=0.1, steps=2, restarts=3, norm="L2", loss="margin"),
}


def images(*shape, seed=0, dtype=torch.float64, low=0.0, high=1.0):
    """Random images, a fifth of whose pixels lie exactly at each end of the range."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (low + (high - low) * (1.6 * x - 0.3).clamp(0, 1)).to(dtype)


def labels(n, classes, seed=0):
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


def linear(weight, bias=None):
    """The net whose logits are weight [K, D] times the flattened image, plus bias [K]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    layer.weight.data = weight.clone()
    if bias is not None:
        layer.bias.data = bias.clone()
    return nn.Sequential(nn.Flatten(), layer)


def random_linear(pixels, classes, seed=0, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return linear((scale * torch.randn(classes, pixels, generator=generator, dtype=torch.float64)).to(dtype))


def mlp(pixels, classes, seed=0, width=32, dtype=torch.float64):
    """A random net with curved boundaries."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.Tanh(), nn.Linear(width, classes))
    for parameter in net.parameters():
        parameter.data = 1.5 * torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
    return net.to(dtype)


def noisy_net(classes=3):
    """Images [N, 1, 4, 4] through batch norm, instance norm and dropout: all that keeps state or draws noise."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.BatchNorm1d(8, momentum=None),
        nn.Linear(8, classes),
    )


def distances(x_adv, x, norm):
    """Length of each image's perturbation, in double precision."""
    delta = (x_adv.double() - x.double()).flatten(1)
    return delta.abs().amax(dim=1) if norm == "Linf" else delta.norm(dim=1)


def assert_valid(x_adv, x, eps, norm):
    """Within the ball but for rounding, and within [0, 1] without exception."""
    assert (x_adv >= 0).all()
    assert (x_adv <= 1).all()
    rounding = torch.finfo(x.dtype).eps * (1 if norm == "Linf" else x[0].numel() ** 0.5)
    assert distances(x_adv, x, norm).max() <= eps + rounding

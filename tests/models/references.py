"""Plain transcriptions of the networks' equations on a state_dict, and random parameters for them."""

import torch
import torch.nn.functional as F


def randomised(net, seed=0):
    """The net in float64 with all parameters and statistics random, so that no term drops out."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double()
    for name, value in net.state_dict().items():
        if value.is_floating_point() and not name.startswith("normalize"):
            noise = torch.rand(value.shape, generator=generator, dtype=value.dtype)
            value.copy_(noise + 0.5 if "running_var" in name or value.ndim == 1 else (noise - 0.5) / 2)
    return net


def images(channels=3, size=8, seed=1):
    return torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_norm(state, name, x, training):
    """(x - mean) / sqrt(var + 1e-5) * weight + bias, with the batch's biased variance in training."""
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    x = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
    return x * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def preact_block(state, name, x, stride, training, act, shortcut):
    out = act(batch_norm(state, f"{name}.bn1", x, training))
    skip = F.conv2d(out, state[f"{name}.{shortcut}"], stride=stride) if f"{name}.{shortcut}" in state else x
    out = F.conv2d(out, state[f"{name}.conv1.weight"], stride=stride, padding=1)
    out = act(batch_norm(state, f"{name}.bn2", out, training))
    return F.conv2d(out, state[f"{name}.conv2.weight"], padding=1) + skip


def preact_net(state, x, blocks, norm, linear, training, act=F.relu, shortcut="shortcut.0.weight"):
    """Stem, pre-activation blocks given as (name, stride), batch norm, activation, average, linear."""
    x = (x - state["normalize.mean"]) / state["normalize.std"]
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for name, stride in blocks:
        x = preact_block(state, name, x, stride, training, act, shortcut)
    x = act(batch_norm(state, norm, x, training)).flatten(2).mean(2)
    return x @ state[f"{linear}.weight"].T + state[f"{linear}.bias"]

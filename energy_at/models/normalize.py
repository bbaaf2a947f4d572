"""The normalisation that every network holds as its first layer."""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor, nn

from energy_at.types import Images, InputError, require


class Normalize(nn.Module):
    """Normalise images channel by channel.

    ``(x - mean) / std``, so that attacks, budgets and generated images stay in [0, 1] outside the network.

    Args:
        mean: one value a channel, in units of images in [0, 1]; a single value serves all channels.
        std: likewise, above 0.
        channels: C, at least 1; by default the longer of ``mean`` and ``std`` tells it.

    Raises:
        InputError: if a length is neither 1 nor C, or ``std`` is not positive and finite; on a call, if the images
            do not have C channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int | None = None) -> None:
        super().__init__()
        self.channels = max(len(mean), len(std)) if channels is None else channels
        require(all(0 < s < inf for s in std), f"std is {tuple(std)}, but must be positive; give the data's own")
        self.register_buffer("mean", _per_channel("mean", mean, self.channels))
        self.register_buffer("std", _per_channel("std", std, self.channels))

    def forward(self, x: Images) -> Images:
        """Normalised images, [N, C, H, W]."""
        if x.shape[1] != self.channels:  # a grey image would be broadcast to C channels unnoticed
            raise InputError(f"images have {x.shape[1]} channels, but the net takes {self.channels}; set in_channels")
        return (x - self.mean) / self.std


def _per_channel(name: str, values: Sequence[float], channels: int) -> Tensor:
    remedy = f"give one value, or one for each of the {channels} channels"
    require(len(values) in (1, channels), f"{name} is {tuple(values)}, of length {len(values)}; {remedy}")
    return torch.tensor(values).float().expand(channels).reshape(1, channels, 1, 1).clone()

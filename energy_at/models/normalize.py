"""The normalisation that every network holds as its first layer."""

from collections.abc import Sequence
from math import inf
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from energy_at.types import Images, InputError, require

# one value a channel, one for all, "none" for images as they are, or None for what is not said
Statistic: TypeAlias = tuple[float, ...] | float | Literal["none"] | None
UNSAID = ((0.5,), (0.25,))
AS_THEY_ARE = ((0.0,), (1.0,))


class Normalize(nn.Module):
    """Normalise images channel by channel.

    ``(x - mean) / std``, so that attacks, budgets and generated images stay in [0, 1] outside the network.

    Args:
        mean: one value a channel, in units of images in [0, 1]; a single value serves all channels; "none" leaves the
            images as they are; None says nothing, and ``unsaid`` is taken until weights come that know better.
        std: likewise, above 0.
        channels: C, at least 1; by default the longer of ``mean`` and ``std`` tells it.
        unsaid: mean and std where nothing is said.

    Raises:
        InputError: if a length is neither 1 nor C, ``std`` is not positive and finite, or only one of the two is given;
            on a call, if the images do not have C channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | Statistic = None,
        std: Sequence[float] | Statistic = None,
        channels: int | None = None,
        unsaid: tuple[Sequence[float], Sequence[float]] = UNSAID,
    ) -> None:
        super().__init__()
        self.said = mean is not None or std is not None
        mean, std = _values(mean, std) if self.said else unsaid
        self.channels = max(len(mean), len(std)) if channels is None else channels
        require(all(0 < s < inf for s in std), f"std is {tuple(std)}, but must be positive; give the data's own")
        self.register_buffer("mean", _per_channel("mean", mean, self.channels))
        self.register_buffer("std", _per_channel("std", std, self.channels))

    def forward(self, x: Images) -> Images:
        """Normalised images, [N, C, H, W]."""
        if x.shape[1] != self.channels:  # a grey image would be broadcast to C channels unnoticed
            raise InputError(f"images have {x.shape[1]} channels, but the net takes {self.channels}; set in_channels")
        return (x - self.mean) / self.std


def plain(value: Sequence[float] | Statistic) -> Statistic:
    """The value as a checkpoint can hold it."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _values(*given: Sequence[float] | Statistic) -> list[Sequence[float]]:
    """Mean and std, each at least one value."""
    if "none" in given and None in given:
        return list(AS_THEY_ARE)
    missing = [name for name, value in zip(("mean", "std"), given, strict=True) if value is None]
    require(not missing, f"the normalisation lacks its {' and '.join(missing)}; give mean and std, or mean: none")
    return [_several(nothing if value == "none" else value) for value, nothing in zip(given, AS_THEY_ARE, strict=True)]


def _several(value: Any) -> Sequence[float]:
    return (value,) if isinstance(value, int | float) else value


def _per_channel(name: str, values: Sequence[float], channels: int) -> Tensor:
    remedy = f"give one value, or one for each of the {channels} channels"
    require(len(values) in (1, channels), f"{name} is {tuple(values)}, of length {len(values)}; {remedy}")
    return torch.tensor(values).float().expand(channels).reshape(1, channels, 1, 1).clone()

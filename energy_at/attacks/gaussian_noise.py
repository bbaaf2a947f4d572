"""Noise that knows nothing of the net: what an attack has to be better than."""

import copy
from math import inf
from typing import Self

import torch
from torch import nn

from energy_at.attacks.base import Disturbance
from energy_at.types import Images, Labels, Ratio, RatioLike, require


class GaussianNoise(Disturbance):
    """x + std z with z ~ N(0, 1) in every pixel, clipped to [0, 1]; a row beside the attacks (arXiv 1903.12261).

    Args:
        std: standard deviation in the units of images in [0, 1], at least 0; "8/255" is read too.
        seed: of the noise.

    Raises:
        InputError: if std is negative or not finite.
    """

    def __init__(self, std: RatioLike = 0.1, seed: int = 0) -> None:
        super().__init__(seed)
        self.std = Ratio(std)
        require(0 <= self.std < inf, f"std is {self.std}, but a deviation is finite and at least 0; write std: 0.1")

    def perturb(self, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator) -> Images:
        """See ``Attack``; with a start, the noise is added to it."""
        noise = torch.empty_like(x).normal_(std=float(self.std), generator=generator)
        return ((x if start is None else start) + noise).clamp_(0, 1)

    def scaled(self, factor: float) -> Self:
        """See ``Attack``."""
        scaled = copy.copy(self)
        scaled.std = Ratio(self.std * factor)
        return scaled

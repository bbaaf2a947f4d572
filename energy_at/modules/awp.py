"""Adversarial weight perturbation: gradients are taken where the weights are worst, nearby."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn

from energy_at.types import require, require_count


@dataclass(frozen=True)
class AWP:
    """Options of adversarial weight perturbation (arXiv 2004.05884), which works around any objective.

    Args:
        gamma: length of the perturbation relative to each layer's weights, above 0; published: 0.01 for AT, 0.005 for
            TRADES.
        warmup: epochs without it, at least 0.

    Raises:
        InputError: if a value is out of its range.
    """

    gamma: float = 0.005
    warmup: int = 0

    def __post_init__(self) -> None:
        require(0 < self.gamma < inf, f"gamma is {self.gamma}, but it is a length above 0; write gamma: 0.005")
        require_count("warmup", self.warmup, 10, least=0)


class PerturbedWeights:
    """Moves a net's weights to where a loss is higher, and back, bit for bit.

    v = gamma |w| g / |g| for every tensor w of more than one dimension, g the gradient of the loss (arXiv 2004.05884,
    layer by layer); the same v on all processes.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[nn.Parameter, Tensor]] = []

    @torch.no_grad()
    def move(self, loss: Tensor, params: Sequence[nn.Parameter], gamma: float, strategy: Strategy) -> None:
        """Add v.

        Args:
            loss: scalar to ascend, whatever its scale.
            params: those that are trained.
            gamma: see ``AWP``.
            strategy: the trainer's, which averages gradients over processes.
        """
        params = [param for param in params if param.ndim > 1]
        grads = torch.autograd.grad(loss, params, allow_unused=True)
        for param, grad in zip(params, grads, strict=True):
            if grad is None:
                continue
            self._kept.append((param, param.clone()))
            grad = strategy.reduce(grad, reduce_op="mean")
            length = gamma * param.norm() / grad.norm().clamp(min=torch.finfo(grad.dtype).tiny)
            param.add_((length * grad).nan_to_num(0, 0, 0))  # no move where half precision has overflown

    @torch.no_grad()
    def restore(self) -> None:
        """The weights as they were before; nothing happens where they are that already."""
        for param, kept in self._kept:
            param.copy_(kept)
        self._kept.clear()

"""Means, standard deviations and histograms of per-image values, over batches and processes."""

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from energy_at.metrics import mean_std, moments

BINS = 64


class RunningStatistics:
    """Collects values [Q, N] of Q quantities batch by batch, on the device they come from.

    Args:
        max_samples: values of each quantity kept for the histograms; sums take all of them.
    """

    def __init__(self, max_samples: int) -> None:
        self.max_samples = max_samples
        self._sums: Tensor | None = None
        self._kept: list[Tensor] = []
        self._count = 0

    def update(self, values: Tensor) -> None:
        """Add a batch [Q, N]."""
        sums = moments(values)
        self._sums = sums if self._sums is None else self._sums + sums
        if self._count < self.max_samples:
            self._kept.append(values.float())
            self._count += values.shape[1]

    def mean_std(self, strategy: Strategy) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [Q] over all processes."""
        return mean_std(strategy.reduce(self._sums, reduce_op="sum"))

    @property
    def rows(self) -> int:
        """Q."""
        return 0 if self._sums is None else self._sums.shape[1]

    def values(self) -> Tensor:
        """Those that were kept on this process, [Q, n]."""
        return torch.cat(self._kept, dim=1)

    def histograms(self, strategy: Strategy) -> tuple[Tensor, Tensor]:
        """Counts [Q, BINS] and edges [Q, BINS + 1] over all processes, between each quantity's extremes."""
        values = self.values()
        low = strategy.reduce(values.amin(dim=1), reduce_op="min")
        high = strategy.reduce(values.amax(dim=1), reduce_op="max")
        # lerp, because it ends exactly at the highest value
        edges = torch.lerp(low[:, None], high[:, None], torch.linspace(0, 1, BINS + 1, device=values.device))
        bins = torch.searchsorted(edges, values, right=True).sub_(1).clamp_(0, BINS - 1)
        counts = torch.zeros(len(values), BINS, device=values.device).scatter_add_(1, bins, torch.ones_like(values))
        return strategy.reduce(counts, reduce_op="sum"), edges

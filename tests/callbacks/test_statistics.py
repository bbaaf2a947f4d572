"""Running statistics against numpy over the whole at once."""

import numpy as np
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from energy_at.callbacks.statistics import BINS, RunningStatistics

ALONE = SingleDeviceStrategy(torch.device("cpu"))


def filled(values, max_samples=10_000):
    statistics = RunningStatistics(max_samples)
    for batch in values.split(13, dim=1):
        statistics.update(batch)
    return statistics


def test_mean_and_deviation_are_those_of_all_values_at_once():
    values = torch.randn(6, 100) * 3 + 1000  # far from 0, where single precision would cancel
    mean, std = filled(values).mean_std(ALONE)
    np.testing.assert_allclose(mean, values.double().mean(1), rtol=1e-6)
    np.testing.assert_allclose(std, values.double().std(1, correction=0), rtol=1e-4)


def test_histograms_are_numpys():
    values = torch.randn(6, 500)
    counts, edges = filled(values).histograms(ALONE)
    for row, count, edge in zip(values, counts, edges, strict=True):
        expected, _ = np.histogram(row, bins=edge.numpy())
        np.testing.assert_array_equal(count, expected)
        assert edge[0] == row.min()
        assert edge[-1] == row.max()
        assert len(count) == BINS


def test_equal_values_fall_into_one_bin():
    counts, edges = filled(torch.full((6, 30), 2.5)).histograms(ALONE)
    assert (counts.sum(1) == 30).all()
    assert (edges == 2.5).all()


def test_histograms_keep_no_more_than_they_are_told_and_sums_take_all():
    values = torch.arange(600.0).view(6, 100)
    statistics = filled(values, max_samples=20)
    counts, _ = statistics.histograms(ALONE)
    assert (counts.sum(1) == 26).all()
    np.testing.assert_allclose(statistics.mean_std(ALONE)[0], values.mean(1))

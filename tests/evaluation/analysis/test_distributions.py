import numpy as np
import pytest

from energy_at.evaluation.analysis.distributions import (
    bins_for,
    counted,
    distribution_rows,
    draw_distributions,
    edges_of,
)
from energy_at.evaluation.analysis.plate import column, where
from tests.evaluation.analysis import analyses


def test_every_image_is_counted_once_in_bins_that_the_cases_share():
    rows = distribution_rows(analyses())
    for analysis in analyses():
        edges = {}
        for case in analysis.cases:
            for quantity in ("E_marginal", "E_joint"):
                bins = where(rows, net=analysis.net, case=case, quantity=quantity)
                assert column(bins, "images").sum() == 37
                edges.setdefault(quantity, column(bins, "low"))
                np.testing.assert_array_equal(column(bins, "low"), edges[quantity])
                np.testing.assert_array_equal(column(bins, "low")[1:], column(bins, "high")[:-1])


def test_the_histogram_is_numpys_and_the_outer_bins_hold_the_rest():
    values = np.random.default_rng(0).normal(size=100_000)
    edges = edges_of([values], 50)
    count = counted(values, edges)
    np.testing.assert_array_equal(count[1:-1], np.histogram(values, edges)[0][1:-1])
    assert count.sum() == 100_000
    assert (values < edges[0]).sum() == (values > edges[-1]).sum() == 100
    assert edges[-1] == pytest.approx(3.09, abs=0.1)


def test_a_single_value_has_a_histogram_too():
    assert counted(np.full(7, -2.0), edges_of([np.full(7, -2.0)], 10)).tolist() == [7] + [0] * 9


def test_more_images_get_more_bins():
    assert [bins_for(n) for n in (1, 360, 10_000, 50_000)] == [4, 28, 60, 60]


def test_the_picture_shows_the_rows_as_densities():
    rows = distribution_rows(analyses())
    figure = draw_distributions(rows)
    assert len(figure.axes) == 4
    for panel, net, quantity in zip(
        figure.axes,
        ("first", "first", "second", "second"),
        ("E_marginal", "E_joint") * 2,
        strict=True,
    ):
        shown = {patch.get_label(): patch.get_data() for patch in panel.patches}
        assert list(shown) == ["natural", "fgsm", "pgd", "far"]
        for case, data in shown.items():
            bins = where(rows, net=net, case=case, quantity=quantity)
            width = np.diff(data.edges)
            np.testing.assert_allclose(data.values * width * 37, column(bins, "images"))
            assert (data.values * width).sum() == pytest.approx(1)

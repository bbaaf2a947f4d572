import numpy as np
import pytest

from energy_at.evaluation.analysis.landscape import RANDOM, draw_landscape, landscape_rows
from energy_at.evaluation.analysis.measure import analyze
from energy_at.evaluation.analysis.plate import column, where
from tests.evaluation.analysis import AROUND, analyses, some_attacks
from tests.evaluation.test_robustness import a_net, batches


def test_curves_are_means_over_the_images_of_changes_from_each_image():
    rows, found = landscape_rows(analyses()), analyses()[0]
    for kind in ("marginal", "joint"):
        here = found.near["natural"][f"E_{kind}"]
        sweep = where(rows, net="first", part="sweep", energy=kind, direction="pgd")
        assert column(sweep, "multiple").tolist() == [0.0, *AROUND.factors]
        change = here - found.near["pgd"][f"sweep_E_{kind}"][:, 1]
        assert sweep[2]["mean"] == pytest.approx(change.mean())
        assert sweep[2]["std"] == pytest.approx(change.std())
        assert (sweep[0]["mean"], sweep[0]["std"], sweep[0]["images"]) == (0, 0, 12)
        line = where(rows, net="first", part="line", energy=kind, direction=RANDOM)
        assert column(line, "multiple").tolist() == list(AROUND.multiples)
        assert line[0]["mean"] == pytest.approx((found.near["natural"][f"line_E_{kind}"][:, 0] - here).mean())


def test_sweep_and_line_have_opposite_signs_where_they_meet():
    rows = landscape_rows(analyses())
    for attack in some_attacks():
        (sweep,) = where(rows, net="first", part="sweep", energy="joint", direction=attack, multiple=1.0)
        (line,) = where(rows, net="first", part="line", energy="joint", direction=attack, multiple=1.0)
        assert sweep["mean"] == pytest.approx(-line["mean"], abs=1e-5)


def test_the_picture_shows_the_curves():
    rows = landscape_rows(analyses())
    figure = draw_landscape(rows)
    assert len(figure.axes) == 6
    middle = figure.axes[4]
    curves = {line.get_label(): line for line in middle.lines if not line.get_label().startswith("_")}
    assert list(curves) == [RANDOM, *some_attacks()]
    for direction, curve in curves.items():
        points = where(rows, net="second", part="line", energy="marginal", direction=direction)
        np.testing.assert_allclose(curve.get_xdata(), column(points, "multiple"))
        np.testing.assert_allclose(curve.get_ydata(), column(points, "mean"))


def test_without_smoothness_there_is_nothing_to_show():
    assert landscape_rows([analyze(a_net(), batches()[:1], {})]) == []

"""Trainings side by side: their lines, means and spreads."""

import statistics

import pytest

from energy_at.evaluation.comparison import Trained, lines_of, summary
from energy_at.evaluation.comparison_figure import PANELS, draw_comparison
from energy_at.evaluation.training_run import TrainingRun, joined


def run(robust, delta, single=0.6):
    rows = [
        {"epoch": epoch, "val/robust_acc": acc, "val/single_step_acc": single, "val/dE_marginal": d}
        for epoch, (acc, d) in enumerate(zip(robust, delta, strict=True))
    ]
    return TrainingRun("", rows)


def trained():
    return [
        Trained("FGSM", 0, run([0.3, 0.4, 0.0, 0.01], [0.1, 0.3, 4.0, 5.0]), {"last": {"clean": 0.9, "pgd": 0.0}}, 2.0),
        Trained("FGSM", 1, run([0.3, 0.0, 0.0, 0.02], [0.2, 3.0, 4.0, 4.0]), {"last": {"clean": 0.8, "pgd": 0.1}}, 1.0),
        Trained("PGD", 0, run([0.3, 0.4, 0.5, 0.45], [0.1, 0.1, 0.2, 0.2])),
    ]


def test_a_line_says_when_it_collapsed_and_what_the_energy_did():
    first, second, third = lines_of(trained())
    assert (first["collapsed"], second["collapsed"], "collapsed" in third) == (2, 1, False)
    assert first["dE_before"] == pytest.approx(0.2)
    assert first["dE_after"] == pytest.approx(4.5)
    assert (first["surge"], first["fall"]) == (2, 2)
    assert (third["val_best"], third["val_last"]) == (0.5, 0.45)
    assert third["dE_before"] == pytest.approx(0.15)
    assert "dE_after" not in third
    assert (first["last: clean"], first["minutes_per_epoch"]) == (0.9, 2.0)


def test_the_table_has_means_and_standard_deviations():
    lines = summary(lines_of(trained())).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = dict(zip(cells[0], cells[2], strict=True))
    assert found["method"] == "FGSM"
    assert found["last: clean"] == f"{statistics.mean([0.9, 0.8]):.3f} ± {statistics.stdev([0.9, 0.8]):.3f}"
    assert found["dE(x) after"] == f"+{(4.5 + 11 / 3) / 2:.3f} ± {statistics.stdev([4.5, 11 / 3]):.3f}"
    assert found["collapsed in epoch"] == "2, 1"
    other = dict(zip(cells[0], cells[3], strict=True))
    assert (other["seeds"], other["last: pgd"], other["collapsed in epoch"]) == ("1", "-", "-")
    assert other["last robust acc (val)"] == "0.450"


def test_the_figure_has_a_curve_a_seed_and_a_cross_where_it_collapsed():
    figure = draw_comparison(trained(), "title")
    curves = {axes.get_ylabel(): [line for line in axes.lines if line.get_marker() != "x"] for axes in figure.axes}
    drawn = [list(line.get_ydata()) for line in curves[PANELS["val/robust_acc"]]]
    assert drawn == [[0.3, 0.4, 0.0, 0.01], [0.3, 0.0, 0.0, 0.02], [0.3, 0.4, 0.5, 0.45]]
    crosses = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "x"]
    places = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in crosses}
    assert places == {(2, 0.0), (1, 0.0), (2, 0.6), (1, 0.6), (2, 4.0), (1, 3.0)}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["FGSM", "PGD"]


def test_one_method_s_surge_does_not_flatten_the_other_energies():
    label = PANELS["val/dE_marginal"]
    calm = Trained("PGD", 0, run([0.3, 0.4], [-0.2, 0.2]))
    surge = Trained("FGSM", 0, run([0.3, 0.0], [0.1, 40.0]))
    for methods, scale in (([calm], "linear"), ([calm, surge], "symlog")):
        figure = draw_comparison(methods)
        axes = next(axes for axes in figure.axes if axes.get_ylabel() == label)
        figure.canvas.draw()
        assert axes.get_yscale() == scale
        heights = axes.transAxes.inverted().transform(axes.transData.transform([(0, -0.2), (0, 0.2)]))[:, 1]
        assert heights[1] - heights[0] > 0.05  # of the panel's height
    assert "10" in [text.get_text() for text in axes.get_yticklabels()]


def test_parts_of_a_run_are_joined_and_the_later_counts():
    first, second = run([0.1, 0.2, 0.3], [0, 0, 0]), run([0.1, 0.2, 0.9, 0.4], [0, 0, 0, 0])
    whole = joined([first, TrainingRun("", second.rows[2:])], "whole")
    assert whole.name == "whole"
    assert [row["val/robust_acc"] for row in whole.rows] == [0.1, 0.2, 0.9, 0.4]

import numpy as np
import pytest

from energy_at.evaluation.analysis.deltas import delta_rows, draw_deltas
from energy_at.evaluation.analysis.plate import where
from tests.evaluation.analysis import analyses


def test_rows_are_the_statistics_of_natural_less_adversarial():
    rows = delta_rows(analyses())
    assert len(rows) == 2 * 3 * 2
    for analysis in analyses():
        for attack, values in analysis.attacks.items():
            (row,) = where(rows, net=analysis.net, attack=attack, quantity="dE_joint")
            change = analysis.natural["E_joint"] - values["E_joint"]
            assert row["mean"] == pytest.approx(change.mean())
            assert row["p50"] == pytest.approx(np.median(change))
            assert row["p5"] <= row["p25"] <= row["p50"] <= row["p75"] <= row["p95"]
            assert row["std"] == pytest.approx(change.std())


def test_untargeted_attacks_take_evidence_from_the_label_and_targeted_ones_give_less_of_it_back():
    for row in where(delta_rows(analyses()), quantity="dE_joint"):
        assert row["mean"] < 0


def test_the_picture_has_a_box_and_a_mean_for_every_row():
    rows = delta_rows(analyses())
    figure = draw_deltas(rows)
    for panel, quantity in zip(figure.axes, ("dE_marginal", "dE_joint"), strict=True):
        wanted = where(rows, quantity=quantity)
        boxes = sorted((p.get_x(), p.get_x() + p.get_width()) for p in panel.patches)
        np.testing.assert_allclose(boxes, sorted((row["p25"], row["p75"]) for row in wanted))
        diamonds = sorted(line.get_xdata()[0] for line in panel.lines if line.get_marker() == "D")
        np.testing.assert_allclose(diamonds, sorted(row["mean"] for row in wanted))
        assert sorted(t.get_text() for t in panel.texts) == sorted(f"{row['mean']:+.2f}" for row in wanted)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["fgsm", "pgd", "far"]
    places = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert len(set(places)) == 6

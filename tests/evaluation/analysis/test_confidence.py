import numpy as np
import pytest

from energy_at.evaluation.analysis.confidence import GROUPS, auroc, confidence_rows, draw_confidence
from energy_at.evaluation.analysis.plate import column, where
from tests.evaluation.analysis import analyses


def by_pairs(score, wrong):
    """Share of pairs (misclassified, correct) in which the misclassified image has the higher score."""
    difference = score[wrong][:, None] - score[~wrong][None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean()


@pytest.mark.parametrize("seed", range(3))
def test_the_auroc_is_the_share_of_pairs_in_the_right_order(seed):
    rng = np.random.default_rng(seed)
    score, wrong = rng.integers(0, 9, size=60).astype(float), rng.random(60) < 0.3
    assert auroc(score, wrong) == pytest.approx(by_pairs(score, wrong))
    assert auroc(-score, wrong) == pytest.approx(1 - by_pairs(score, wrong))


def test_the_auroc_of_certain_cases():
    wrong = np.array([False, False, True, True])
    assert auroc(np.array([0.0, 1, 2, 3]), wrong) == 1
    assert auroc(np.array([3.0, 2, 1, 0]), wrong) == 0
    assert auroc(np.ones(4), wrong) == 0.5
    assert auroc(np.ones(4), wrong | True) is None
    assert auroc(np.ones(4), wrong & False) is None


def test_bins_of_both_kinds_hold_every_image_once():
    rows = confidence_rows(analyses())
    for analysis in analyses():
        for case, values in analysis.cases.items():
            for part in ("histogram", "groups"):
                bins = where(rows, net=analysis.net, case=case, part=part)
                assert column(bins, "images").sum() == 37
                assert column(bins, "wrong").sum() == (~values["correct"]).sum()
                known = [row for row in bins if row["images"]]
                assert np.average(column(known, "confidence"), weights=column(known, "images")) == pytest.approx(
                    values["confidence"].mean()
                )
                energies = column(known, "E_marginal")
                assert (np.diff(energies) > 0).all()
                assert bins[0]["auroc"] == auroc(values["E_marginal"], ~values["correct"])
            sizes = column(where(rows, net=analysis.net, case=case, part="groups"), "images")
            assert len(sizes) == GROUPS
            assert sizes.max() - sizes.min() <= 1


def test_the_picture_shows_errors_and_confidence_of_the_natural_images():
    rows = confidence_rows(analyses())
    figure = draw_confidence(rows)
    left, right = figure.axes[2:]
    groups = where(rows, net="second", case="natural", part="groups")
    error, confidence = right.lines[0], right.lines[-1]
    np.testing.assert_allclose(error.get_xdata(), column(groups, "E_marginal"))
    np.testing.assert_allclose(error.get_ydata(), column(groups, "wrong") / column(groups, "images"))
    np.testing.assert_allclose(confidence.get_ydata(), 1 - column(groups, "confidence"))
    assert left.get_title() == f"second: AUROC of E(x) {groups[0]['auroc']:.3f}"
    wrong = int((~analyses()[1].natural["correct"]).sum())
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        f"correct ({37 - wrong})",
        f"misclassified ({wrong})",
    ]

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from energy_at.evaluation.analysis.calibration import (
    BINS,
    SHOWN,
    calibration_rows,
    draw_calibration,
    expected_calibration_error,
)
from energy_at.evaluation.analysis.means import mean_rows
from energy_at.evaluation.analysis.plate import column, where
from tests.evaluation.analysis import analyses


@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_that_of_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.uniform(0.1, 1, 500), rng.random(500) < 0.6
    theirs = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct).long(), n_bins=BINS)
    assert expected_calibration_error(confidence, correct) == pytest.approx(float(theirs), abs=1e-6)


def test_certain_nets():
    right = np.array([True, True, False, False])
    assert expected_calibration_error(np.full(4, 0.5), right) == 0
    assert expected_calibration_error(np.full(4, 0.9), right) == pytest.approx(0.4)
    assert expected_calibration_error(np.ones(4), right) == 0.5
    assert expected_calibration_error(np.array([1.0, 1.0, 0.0, 0.0]), right) == 0


def test_the_bins_hold_every_image_once_and_give_the_error_again():
    rows = calibration_rows(analyses())
    means = mean_rows(analyses())
    for analysis in analyses():
        for case, values in analysis.cases.items():
            bins = [row for row in where(rows, net=analysis.net, case=case) if row["images"]]
            images, accuracy, confidence = (column(bins, key) for key in ("images", "accuracy", "confidence"))
            assert images.sum() == analysis.images
            assert np.average(accuracy, weights=images) == pytest.approx(values["correct"].mean())
            assert np.average(confidence, weights=images) == pytest.approx(values["confidence"].mean())
            assert ((column(bins, "low") <= confidence) & (confidence <= column(bins, "high"))).all()
            error = np.average(np.abs(accuracy - confidence), weights=images)
            assert error == pytest.approx(bins[0]["ece"])
            assert where(means, net=analysis.net, case=case)[0]["ece"] == bins[0]["ece"]


def test_the_picture_shows_accuracy_against_confidence_of_every_case():
    rows = calibration_rows(analyses())
    left, right = draw_calibration(rows).axes[2:]
    natural = [row for row in where(rows, net="second", case="natural") if row["images"] >= SHOWN]
    assert 0 < len(natural) < BINS
    curve = next(line for line in left.lines if line.get_marker() == "o")
    np.testing.assert_allclose(curve.get_xdata(), column(natural, "confidence"))
    np.testing.assert_allclose(curve.get_ydata(), column(natural, "accuracy"))
    assert left.get_title() == f"second: natural ECE {natural[0]['ece']:.3f}"
    assert len(right.patches) == len(analyses()[1].cases)

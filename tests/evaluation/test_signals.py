"""The table of which curve tells overfitting (benchmarks/signals.py), against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.signals import an_epoch_before, collapsed, declined, share_above, while_overfitted


def rows(robust, single=None, **curves):
    epochs = range(len(robust))
    every = {"epoch": epochs, "val/robust_acc": robust, "val/single_step_acc": single or robust, **curves}
    return [{name: values[i] for name, values in every.items()} for i in epochs]


def test_within_one_stratum_the_share_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    truth, values = rng.integers(0, 2, 60).astype(bool), rng.integers(0, 9, 60) / 4
    training = [(("a", 3), bool(bad), float(value)) for bad, value in zip(truth, values, strict=True)]
    share, nets = share_above([training])
    assert share == pytest.approx(roc_auc_score(truth, values))
    assert nets == truth.sum()


def test_nets_of_other_epochs_and_tables_are_not_compared():
    sound, broken = [(("a", 1), False, 5.0), (("a", 2), False, 1.0)], [(("a", 2), True, 3.0), (("b", 1), True, 0.0)]
    assert share_above([sound, broken]) == (1.0, 1)
    assert np.isnan(share_above([sound])[0])


def test_a_collapse_and_a_decline_by_hand():
    assert collapsed(rows([0.2, 0.04, 0.0], [0.3, 0.3, 0.04])) == [False, True, False]
    assert declined(rows([0.3, 0.3, 0.3, 0.27, 0.24, 0.24])) == [False, False, False, False, False, True]


def test_a_curve_is_asked_in_the_epoch_and_in_the_one_before():
    history, overfitted = rows([0.3, 0.3, 0.0], [0.3, 0.3, 0.4], loss=[1.0, 2.0, 3.0]), [False, False, True]
    assert while_overfitted("a", history, overfitted, "loss") == [
        (("a", 0), False, 1.0),
        (("a", 1), False, 2.0),
        (("a", 2), True, 3.0),
    ]
    assert an_epoch_before("a", history, overfitted, "loss") == [(("a", 0), False, 1.0), (("a", 1), True, 2.0)]

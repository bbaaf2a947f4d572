"""The rules on made-up histories, and on the shape of published ones."""

from pathlib import Path

import pytest

from energy_at.evaluation.overfitting import CATASTROPHIC, ROBUST, Epoch, catastrophic, onsets, robust
from energy_at.evaluation.training_run import TrainingRun, read_run

RECORDED = Path(__file__).parents[2] / "docs" / "results"


def history(robust_acc, single_step_acc=None, train_delta=None):
    single_step_acc = single_step_acc or [value + 0.05 for value in robust_acc]
    train_delta = train_delta or [0.5] * len(robust_acc)
    return [Epoch(r, s, 0.3, d) for r, s, d in zip(robust_acc, single_step_acc, train_delta, strict=True)]


def first(rule, epochs):
    return next((i for i in range(len(epochs)) if rule(epochs[: i + 1])), None)


def test_a_collapse_of_the_multi_step_accuracy_is_seen_in_its_second_epoch():
    epochs = history([0.30, 0.35, 0.38, 0.02, 0.00], [0.33, 0.40, 0.45, 0.70, 0.85])
    assert first(catastrophic, epochs) == 4


def test_a_net_that_was_never_robust_counts_too():
    assert first(catastrophic, history([0.0, 0.01, 0.0, 0.0], [0.05, 0.15, 0.35, 0.5])) == 3


def test_a_fall_counts_where_even_a_single_step_leaves_little():
    """PreActResNet of width 16 on CIFAR-10 JPEG, FGSM at eps 16/255 (docs/results/jpeg/fgsm-metrics.csv)."""
    assert first(catastrophic, history([0.063, 0.006, 0.027, 0.003], [0.23, 0.08, 0.20, 0.22])) == 2


@pytest.mark.parametrize(
    ("robust_acc", "single"),
    [
        ([0.007, 0.00, 0.00, 0.01], [0.09, 0.12, 0.14, 0.14]),  # one image more or less is no fall
        ([0.00, 0.04, 0.03, 0.04, 0.06, 0.10], [0.15, 0.21, 0.32, 0.33, 0.36, 0.42]),  # digits, RS-FGSM at eps 0.3
        ([0.20, 0.28, 0.33, 0.40, 0.45], [0.26, 0.34, 0.40, 0.50, 0.56]),  # healthy
        ([0.45, 0.02, 0.44, 0.46], [0.55, 0.60, 0.55, 0.56]),  # one bad epoch
        ([0.00, 0.01, 0.02, 0.02], [0.10, 0.12, 0.15, 0.18]),  # a young net, weak against everything
        ([0.53, 0.50, 0.47, 0.45], [0.60, 0.58, 0.56, 0.55]),  # robust overfitting is another thing
    ],
)
def test_no_alarm_without_a_lasting_collapse(robust_acc, single):
    assert first(catastrophic, history(robust_acc, single)) is None


RISING = [0.30, 0.36, 0.41, 0.45, 0.48, 0.50, 0.53, 0.535]
FALLING = [0.52, 0.51, 0.50, 0.49, 0.48, 0.47, 0.46, 0.456]


def test_robust_overfitting_is_falling_robust_accuracy_with_falling_delta_energy():
    delta = [0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.2, 0.15, 0.1]
    seen = first(robust, history(RISING + FALLING, train_delta=delta))
    assert len(RISING) <= seen < len(RISING + FALLING)


def test_falling_accuracy_alone_is_no_robust_overfitting():
    delta = [0.2 + 0.02 * i for i in range(16)]
    assert first(robust, history(RISING + FALLING, train_delta=delta)) is None


def test_a_plateau_with_noise_is_no_robust_overfitting():
    noisy = [*RISING, 0.53, 0.535, 0.525, 0.53, 0.538, 0.53, 0.527, 0.533]
    delta = [0.5 - 0.01 * i for i in range(16)]
    assert first(robust, history(noisy, train_delta=delta)) is None


def test_a_young_net_that_has_recovered_does_not_overfit_robustly():
    """N-FGSM on FashionMNIST at eps 0.2 (docs/results/co-fashion)."""
    epochs = history([0.344, 0.307, 0.362, 0.222, 0.338, 0.368], train_delta=[-0.02, -0.08, -0.09, -0.05, -0.08, -0.07])
    assert first(robust, epochs) is None


def test_a_loss_within_the_jumps_from_epoch_to_epoch_is_no_robust_overfitting():
    jumps = [0.04, -0.04, 0.0] * 7
    sound = [0.24] * 9 + [0.21] * 6 + [0.24] * 6
    delta = [0.5 - 0.01 * i for i in range(21)]
    assert first(robust, history(sound, train_delta=delta)) == 13
    assert first(robust, history([a + b for a, b in zip(sound, jumps, strict=True)], train_delta=delta)) is None
    broken = [0.24] * 9 + [0.12] * 12
    assert first(robust, history([a + b for a, b in zip(broken, jumps, strict=True)], train_delta=delta)) == 12


@pytest.mark.parametrize(
    ("training", "epoch"),
    [
        ("PGD-10-seed0", 25),
        ("PGD-10-seed1", 20),
        ("PGD-10-AWP-seed0", 30),
        ("PGD-10-EMA-seed0", 30),
        ("MART-seed1", 16),
        ("TRADES-seed0", 15),
        ("WEAT-adversarial-seed0", 18),
        ("DER-weight-0.5-seed0", 27),
        ("DER-weight-4-seed0", None),
        ("DER-weight-4-seed1", None),
        ("DER-joint-weight-4-seed0", None),
        ("PGD-10-crops-and-flips-seed0", None),  # 0.204 at 29 after 0.260 at 21, and 0.240 at last
        ("PGD-10-CutMix-seed0", None),
    ],
)
def test_recorded_trainings_are_judged_as_their_page_says(training, epoch):
    run = read_run(RECORDED / "ro-jpeg16" / f"{training}.csv")
    unjudged = [{key: value for key, value in row.items() if "overfitting/" not in key} for row in run.rows]
    assert TrainingRun("", unjudged).onsets == ({} if epoch is None else {ROBUST: epoch})


def test_onsets_are_those_of_the_rules_asked_epoch_by_epoch():
    collapse = history([0.30, 0.35, 0.38, 0.02, 0.00, 0.4], [0.33, 0.40, 0.45, 0.70, 0.85, 0.5])
    assert onsets([5, 6, 7, 8, 9, 10], collapse) == {CATASTROPHIC: 8}
    falling = history(RISING + FALLING, train_delta=[1 - 0.01 * i for i in range(16)])
    assert onsets(range(16), falling) == {ROBUST: first(robust, falling)}
    assert onsets([], []) == {}


def test_a_collapsed_net_is_not_said_to_overfit_robustly():
    accuracy = RISING + [0.01] * 8
    epochs = history(accuracy, [0.6] * 16, [1 - 0.01 * i for i in range(16)])
    assert first(robust, epochs) is not None
    assert onsets(range(16), epochs) == {CATASTROPHIC: len(RISING)}

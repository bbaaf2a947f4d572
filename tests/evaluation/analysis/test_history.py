import numpy as np

from energy_at.evaluation.analysis.history import draw_run, run_caption, run_rows
from energy_at.evaluation.training_run import TrainingRun

DELTAS = [*np.arange(6.0), *(5 - 0.1 * np.arange(6)), *(-3.0 * np.arange(1, 7))]
ROWS = [
    {"epoch": i, "train/dE_marginal": d, "val/robust_acc": 0.4 if i < 14 else 0.0, "val/single_step_acc": 0.5}
    for i, d in enumerate(DELTAS)
]


def test_the_picture_marks_onset_and_phases():
    top, bottom, accuracy = draw_run(TrainingRun("fast", ROWS)).axes
    assert [text.get_text() for text in top.texts] == ["catastrophic overfitting"]
    assert any(list(line.get_xdata()) == [14, 14] for line in bottom.lines)
    assert [text.get_text() for text in bottom.texts] == ["phase 1", "phase 2", "phase 3"]
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in bottom.patches)
    assert spans == [(-0.5, 5.5), (5.5, 11.5), (11.5, 17.5)]
    fitted = [line for line in bottom.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] in (0, 6, 12)]
    np.testing.assert_allclose([line.get_ydata() for line in fitted[:3]], [[0, 5], [5, 4.5], [-3, -18]], atol=1e-9)
    assert [line.get_label() for line in accuracy.lines if "single" in line.get_label()]


def test_rows_say_phase_and_onset():
    rows = run_rows(TrainingRun("fast", ROWS))
    assert [row["phase"] for row in rows] == [1] * 6 + [2] * 6 + [3] * 6
    assert [row["epoch"] for row in rows if row["catastrophic overfitting"]] == [14]
    assert rows[3]["train/dE_marginal"] == 3


def test_the_caption_says_what_was_found_and_nothing_of_phases_in_short_runs():
    words = run_caption(TrainingRun("fast", ROWS))
    assert "catastrophic overfitting (epoch 14)" in words
    assert "epochs 12 to 17: -3 per epoch" in words
    assert "leave 0 % of the squared error" in words
    assert "reconstruction" in words.lower()
    short = TrainingRun("short", [{"epoch": i, "train/dE_marginal": float(i)} for i in range(11)])
    assert "recognise no overfitting" in run_caption(short)
    assert "too few epochs" in run_caption(short)
    assert not draw_run(short).axes[1].patches

"""The picture of a run: what is drawn, where it is written, and that it survives a failure."""

import lightning as L
import matplotlib.image
import numpy as np
import pytest

from energy_at import FGSM, Digits, EnergyLogger, EnergyPlot, OverfittingMonitor, StandardAT
from energy_at.evaluation.curves import draw_energy_curves
from energy_at.models import SmallNet

ROWS = [
    {
        "epoch": epoch,
        "train/E_marginal": -2.0 - epoch,
        "train/E_marginal_std": 0.5,
        "train/E_marginal_adv": -2.5 - epoch,
        "train/dE_marginal": 0.5,
        "train/dE_joint": -1.0,
        "val/dE_marginal": 0.7,
        "val/robust_acc": 0.1 * epoch,
    }
    for epoch in range(5)
]


def lines(axes):
    return {line.get_label().split("$")[1]: line.get_ydata() for line in axes.lines if "$" in line.get_label()}


def test_every_curve_shows_its_values_against_epochs():
    top, bottom, accuracy = draw_energy_curves(ROWS, "title").axes
    np.testing.assert_allclose(lines(top)["E(x)"], [-2, -3, -4, -5, -6])
    np.testing.assert_allclose(lines(top)["E(x^*)"], [-2.5, -3.5, -4.5, -5.5, -6.5])
    np.testing.assert_allclose(lines(bottom)[r"\Delta E(x, y)"], [-1] * 5)
    (robust,) = accuracy.lines
    np.testing.assert_allclose(robust.get_ydata(), [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(robust.get_xdata(), range(5))


def test_missing_values_are_left_out_and_onsets_marked():
    rows = [{"epoch": 0}, *ROWS[1:]]
    top, *_ = draw_energy_curves(rows, onsets={"catastrophic overfitting": 3}).axes
    assert len(lines(top)["E(x)"]) == 4
    assert [text.get_text() for text in top.texts] == ["catastrophic overfitting"]
    assert any(list(line.get_xdata()) == [3, 3] for line in top.lines)


class Failing(StandardAT):
    """Fails in its second epoch."""

    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            raise RuntimeError("cluster gone")


@pytest.mark.parametrize("module", [StandardAT, Failing])
def test_the_picture_lies_in_the_run_folder_whole_also_after_a_failure(tmp_path, module):
    logger = L.pytorch.loggers.CSVLogger(tmp_path, name="run")
    trainer = L.Trainer(
        max_epochs=2,
        limit_train_batches=2,
        logger=logger,
        callbacks=[EnergyLogger(), OverfittingMonitor(), EnergyPlot()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    if module is Failing:
        with pytest.raises(RuntimeError, match="cluster gone"):
            trainer.fit(module(SmallNet(width=4), attack=FGSM(eps=0.1)), Digits())
    else:
        trainer.fit(module(SmallNet(width=4), attack=FGSM(eps=0.1)), Digits())
    (picture,) = (tmp_path / "run" / "version_0").glob("*.png")
    assert picture.name == "energies.png"
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[0] > 800
    assert pixels[..., :3].std() > 0.05


class FailingInTest(StandardAT):
    """Trains, and fails when it is judged."""

    def test_step(self, batch, batch_idx):
        raise RuntimeError("cluster gone")


def test_a_failure_while_a_checkpoint_is_judged_leaves_the_picture_of_the_training(tmp_path):
    early = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer = L.Trainer(
        max_epochs=2,
        limit_train_batches=2,
        logger=L.pytorch.loggers.CSVLogger(tmp_path, name="run"),
        callbacks=[EnergyLogger(), EnergyPlot(), early],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    module = FailingInTest(SmallNet(width=4), attack=FGSM(eps=0.1))
    trainer.fit(module, Digits())
    (picture,) = (tmp_path / "run" / "version_0").glob("*.png")
    drawn = picture.read_bytes()
    with pytest.raises(RuntimeError, match="cluster gone"):
        trainer.test(module, Digits(), ckpt_path=tmp_path / "epoch=0.ckpt", weights_only=True)
    assert picture.read_bytes() == drawn

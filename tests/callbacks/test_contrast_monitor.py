"""What is said of a dual adversarial training that goes wrong, and what is kept."""

import lightning as L
import pytest
import torch

from energy_at import PGD, ContrastMonitor, Digits, DualAT, InputError, StandardAT, UniformInit
from energy_at.callbacks import EnergyLogger, LastCheckpoint
from energy_at.evaluation.contrast import Contrast, runs_away, saturated
from energy_at.models import SmallNet

FINE = Contrast(auc=0.8, energy=-1.0, contrast=0.5, steps=10, max_steps=50)


@pytest.mark.parametrize(
    ("change", "away", "apart"),
    [
        ({}, False, False),
        ({"contrast": -10.9}, False, False),
        ({"contrast": -11.1}, True, False),
        ({"contrast": float("nan")}, True, False),
        ({"energy": float("inf")}, True, False),
        ({"auc": 1.0}, False, False),  # more steps will come
        ({"auc": 1.0, "steps": 50}, False, True),
        ({"auc": 0.99, "steps": 50}, False, False),
    ],
)
def test_the_rules(change, away, apart):
    epoch = Contrast(**vars(FINE) | change)
    assert (runs_away(epoch), saturated(epoch)) == (away, apart)


class Falling(L.Callback):
    """From its second epoch on, the contrastive energy is far below the real images'."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch >= 1:
            trainer.callback_metrics["train/E_marginal_contrast"].fill_(-50.0)


class Alerts(L.pytorch.loggers.CSVLogger):
    said: list

    def alert(self, title, text):
        self.said.append((title, text))


def fit(folder, module, *callbacks, epochs=3):
    torch.manual_seed(0)
    logger = Alerts(folder)
    logger.said = []
    trainer = L.Trainer(
        max_epochs=epochs,
        limit_train_batches=2,
        limit_val_batches=1,
        logger=logger,
        callbacks=[EnergyLogger(), *callbacks, LastCheckpoint()],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module, Digits(batch_size=16))
    return trainer, logger.said


def dual(**options):
    attack = PGD(eps=0.5, steps=1, norm="L2")
    return DualAT(SmallNet(width=4), attack=attack, starts=UniformInit(), **options)


def test_it_says_so_once_and_keeps_the_checkpoint_from_before(tmp_path):
    with pytest.warns(UserWarning, match=r"runs away in epoch 1: .* E\(x\) of -50.0") as said:
        trainer, alerts = fit(tmp_path, dual(), Falling(), ContrastMonitor())
    assert sum("runs away" in str(each.message) for each in said) == 1
    assert "kept as good.ckpt" in alerts[0][1]
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    assert torch.load(folder / "good.ckpt", weights_only=True)["epoch"] == 0
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 2
    assert trainer.current_epoch == 3


def test_it_ends_the_training_where_that_is_asked(tmp_path):
    with pytest.warns(UserWarning, match="runs away"):
        trainer, _ = fit(tmp_path, dual(), Falling(), ContrastMonitor(stop=True))
    assert trainer.current_epoch == 2


def test_a_net_that_tells_all_apart_is_told(tmp_path):
    """Noise is told from digits at once where the chain has no step."""
    module = dual(steps=0, max_steps=0, weight=5)
    with pytest.warns(UserWarning, match="tells all contrastive images from real ones"):
        fit(tmp_path, module, ContrastMonitor(ceiling=0.51), epochs=4)


def test_a_resumed_run_does_not_say_it_again():
    monitor, again = ContrastMonitor(), ContrastMonitor()
    monitor.epochs = {"contrastive energy runs away": 3}
    again.load_state_dict(monitor.state_dict())
    assert again.epochs == monitor.epochs


def test_other_modules_are_left_alone(tmp_path, recwarn):
    fit(tmp_path, StandardAT(SmallNet(width=4), attack=PGD(steps=1)), ContrastMonitor(), epochs=1)
    assert not [each for each in recwarn if "contrastive" in str(each.message)]


@pytest.mark.parametrize(("options", "words"), [({"gap": 0}, "gap: 10"), ({"ceiling": 0.5}, "ceiling: 0.999")])
def test_bad_values_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        ContrastMonitor(**options)

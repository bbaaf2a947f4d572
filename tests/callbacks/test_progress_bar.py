import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import RichProgressBar

from energy_at import FGSM, Digits, ProgressBar, StandardAT
from energy_at.models import SmallNet
from energy_at.types import InputError


class Looks(ProgressBar):
    """Counts how often numbers are fetched, and how often they are asked for."""

    def __init__(self, **options):
        super().__init__(**options)
        self.asked, self.fetched, self.last = 0, 0, {}

    def get_metrics(self, trainer, pl_module):
        before = self._seen_at
        self.last = super().get_metrics(trainer, pl_module)
        self.asked, self.fetched = self.asked + 1, self.fetched + (self._seen_at != before)
        return self.last


def trained(bar, tmp_path, steps=8):
    torch.manual_seed(0)
    trainer = L.Trainer(
        max_epochs=1,
        limit_train_batches=steps,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[bar],
        default_root_dir=tmp_path,
    )
    trainer.fit(StandardAT(SmallNet(width=4), attack=FGSM(eps=0.1)), Digits())
    return trainer


def test_numbers_are_fetched_at_times_and_not_in_every_step(tmp_path):
    seldom, always = Looks(seconds=1000), Looks(seconds=0)
    trainer = trained(seldom, tmp_path)
    trained(always, tmp_path)
    assert seldom.asked >= 8
    assert seldom.fetched <= 4
    assert always.fetched == always.asked
    assert float(seldom.last["train/loss_step"]) == pytest.approx(
        float(trainer.callback_metrics["train/loss_step"]), abs=1e-3
    )


def test_a_time_is_at_least_zero():
    with pytest.raises(InputError, match="seconds is -1"):
        ProgressBar(seconds=-1)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ([], ProgressBar),
        (["--trainer.callbacks", '[{"class_path": "RichProgressBar"}]'], RichProgressBar),
        (["--trainer.enable_progress_bar=false"], type(None)),
    ],
)
def test_the_command_has_this_bar_unless_another_one_is_asked_for(options, kind, tmp_path, monkeypatch):
    from energy_at.cli.app import EnergyCLI, parser_options

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EnergyCLI, "_run_subcommand", lambda *_: None)
    cli = EnergyCLI(**parser_options(), args=["fit", "-c", "digits_fgsm_at.yaml", *options])
    assert type(cli.trainer.progress_bar_callback) is kind

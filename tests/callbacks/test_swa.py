"""Stochastic weight averaging against a mean taken by hand."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from energy_at import FGSM, SWA, Digits, InputError, SmallNet, StandardAT


class Watching(L.Callback):
    """Keeps the weights after every epoch, and those that validation sees."""

    def __init__(self):
        self.after, self.judged = [], []

    def on_validation_start(self, trainer, module):
        if not trainer.sanity_checking:
            self.after.append({name: value.clone() for name, value in module.net.state_dict().items()})

    def on_validation_batch_start(self, trainer, module, *rest):
        if not trainer.sanity_checking:
            self.judged.append({name: value.clone() for name, value in module.net.state_dict().items()})


def fitted(start, epochs, watching, **options):
    torch.manual_seed(0)
    trainer = L.Trainer(
        max_epochs=epochs,
        limit_train_batches=2,
        callbacks=[SWA(start), watching],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        **options,
    )
    module = StandardAT(SmallNet(width=4), attack=FGSM(0.2), val_attack=FGSM(0.2))
    trainer.fit(module, Digits(batch_size=32))
    return trainer, module


def mean(states):
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}


def assert_same(state, expected):
    for name, value in expected.items():
        if "num_batches" not in name:
            torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-6)


def test_the_mean_begins_at_its_share_and_is_what_is_judged_and_kept(tmp_path):
    watching = Watching()
    trainer, module = fitted(0.5, 4, watching, default_root_dir=tmp_path, limit_val_batches=1)
    after, judged = watching.after, watching.judged
    assert len(after) == len(judged) == 4
    for epoch in (0, 1, 2):
        assert_same(judged[epoch], mean(after[epoch : epoch + 1]))
    assert_same(judged[3], mean(after[2:4]))
    assert_same(module.net.state_dict(), mean(after[2:4]))
    kept = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)["state_dict"]
    assert_same({name.removeprefix("net."): value for name, value in kept.items()}, mean(after[2:4]))
    assert not torch.equal(after[2]["linear.weight"], after[3]["linear.weight"])


def test_validation_within_an_epoch_judges_and_takes_nothing_of_it(tmp_path):
    watching = Watching()
    options = {"default_root_dir": tmp_path, "limit_val_batches": 1, "val_check_interval": 1}
    _, module = fitted(0.5, 4, watching, enable_checkpointing=False, **options)
    after, judged = watching.after, watching.judged
    assert len(after) == len(judged) == 8
    for i in range(6):
        assert_same(judged[i], after[i])
    assert_same(judged[6], after[5])
    assert_same(judged[7], mean([after[5], after[7]]))
    assert_same(module.net.state_dict(), mean([after[5], after[7]]))


def test_its_start_is_a_share_of_what_is_trained_and_has_to_be_known(tmp_path):
    watching = AfterEpochs()
    few = {"default_root_dir": tmp_path, "limit_val_batches": 0, "enable_checkpointing": False}
    _, module = fitted(0.5, 40, watching, max_steps=8, **few)
    assert_same(module.net.state_dict(), mean(watching.after[2:]))
    with pytest.raises(InputError, match="this training has no end"):
        fitted(0.5, -1, AfterEpochs(), **few)


class AfterEpochs(L.Callback):
    """Keeps the weights after every epoch of a training without validation."""

    def __init__(self):
        self.after = []

    def on_train_epoch_end(self, trainer, module):
        self.after.append({name: value.clone() for name, value in module.net.state_dict().items()})


@pytest.mark.parametrize(("start", "epochs", "first"), [(0.5, 4, 2), (0.5, 3, 2), (0, 3, 0), (0.3, 4, 2)])
def test_without_validation_it_is_the_same_mean(start, epochs, first, tmp_path):
    watching = AfterEpochs()
    _, module = fitted(
        start, epochs, watching, default_root_dir=tmp_path, limit_val_batches=0, enable_checkpointing=False
    )
    assert_same(module.net.state_dict(), mean(watching.after[first:]))


@pytest.mark.parametrize("start", [-0.1, 1])
def test_a_share_out_of_range_is_refused(start):
    with pytest.raises(InputError, match="it is a share of the epochs"):
        SWA(start)


def test_two_averages_are_refused():
    trainer = L.Trainer(max_epochs=1, logger=False, callbacks=[EMAWeightAveraging(), SWA()])
    with pytest.raises(InputError, match="EMAWeightAveraging and SWA each average the weights"):
        trainer.fit(StandardAT(SmallNet(num_classes=10, width=4), attack=FGSM(eps=0.1)), Digits())

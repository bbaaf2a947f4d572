"""Adversarial weight perturbation: gradients from the perturbed weights, and the weights back bit for bit."""

import copy
import math

import lightning as L
import pytest
import torch
from torch.nn import functional as F

from energy_at import AWP, PGD, TRADES, Digits, InputError, SmallNet, StandardAT
from energy_at.callbacks import EnergyLogger

EPS = 0.2


def attack():
    return PGD(EPS, steps=2)


class Watching(L.Callback):
    """Keeps weights and gradients around the first update, as a plain loop would have them."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == 0:
            self.before, self.batch = copy.deepcopy(module.net), batch
            self.x, self.y = module._prepared(batch)
            self.x_adv = module.attack(copy.deepcopy(module.net), self.x, self.y, None, module.step_generator())

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if not hasattr(self, "grads"):
            self.restored = {name: value.clone() for name, value in module.net.named_parameters()}
            self.grads = {name: value.grad.clone() for name, value in module.net.named_parameters()}
            self.statistics = {name: value.clone() for name, value in module.net.named_buffers()}


def fitted(module, watching=None, epochs=1, **options):
    torch.manual_seed(0)
    trainer = L.Trainer(
        max_epochs=epochs,
        limit_train_batches=2,
        limit_val_batches=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[EnergyLogger(every_n_steps=1), *([watching] if watching else [])],
        **options,
    )
    trainer.fit(module, Digits(batch_size=32))
    return trainer


def net():
    torch.manual_seed(1)
    return SmallNet(width=4)


def published_step(before, x, x_adv, y, gamma):
    """The AT-AWP code: a proxy's ascent, scaled layer by layer; the loss at the moved weights; gradients there."""
    proxy = copy.deepcopy(before)
    (-F.cross_entropy(proxy(x_adv), y)).backward()
    moved = copy.deepcopy(before)
    for (name, weight), source in zip(moved.named_parameters(), proxy.parameters(), strict=True):
        if weight.ndim > 1 and "weight" in name:
            step = -0.01 * source.grad
            weight.data += gamma * weight.data.norm() / (step.norm() + 1e-20) * step
    F.cross_entropy(moved(x_adv), y).backward()
    return moved


def test_gradients_are_those_of_the_published_code_and_the_weights_return_bit_for_bit():
    watching = Watching()
    fitted(StandardAT(net(), attack=attack(), awp=AWP(gamma=0.01)), watching)
    moved = published_step(watching.before, watching.x, watching.x_adv, watching.y, 0.01)
    for name, weight in moved.named_parameters():
        torch.testing.assert_close(watching.grads[name], weight.grad, rtol=1e-3, atol=1e-6)
    for name, weight in watching.before.named_parameters():
        assert torch.equal(watching.restored[name], weight)
        assert weight.ndim == 1 or not torch.equal(moved.get_parameter(name), weight)
    for name, value in moved.named_buffers():  # batch norm sees the batch once, at the moved weights
        torch.testing.assert_close(watching.statistics[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [StandardAT, TRADES])
def test_a_warm_up_that_outlasts_the_training_is_a_training_without(make):
    kind = {"attack": PGD(EPS, steps=2, loss="kl" if make is TRADES else "cross_entropy")}
    plain, warm = make(net(), **kind), make(net(), **kind, awp=AWP(warmup=1))
    fitted(plain)
    fitted(warm)
    assert all(torch.equal(a, b) for a, b in zip(plain.net.parameters(), warm.net.parameters(), strict=True))
    later = make(net(), **kind, awp=AWP(warmup=1))
    fitted(later, epochs=2)
    without = make(net(), **kind)
    fitted(without, epochs=2)
    assert not all(torch.equal(a, b) for a, b in zip(without.net.parameters(), later.net.parameters(), strict=True))


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_weights_return_in_half_precision_and_under_averaging(precision):
    watching = Watching()
    averaging = L.pytorch.callbacks.EMAWeightAveraging(decay=0.5)
    trainer = fitted(StandardAT(net(), attack=attack(), awp=AWP()), watching, precision=precision)
    for name, weight in watching.before.named_parameters():
        assert torch.equal(watching.restored[name], weight)
    assert math.isfinite(trainer.callback_metrics["train/loss_epoch"])
    module = StandardAT(net(), attack=attack(), awp=AWP())
    plain = L.Trainer(
        max_epochs=1, limit_train_batches=2, logger=False, callbacks=[averaging], accelerator="cpu",
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    plain.fit(module, Digits(batch_size=32))
    assert all(value.isfinite().all() for value in module.state_dict().values())


def test_a_failure_between_the_passes_keeps_no_perturbed_weights(tmp_path):
    class Breaking(StandardAT):
        calls = 0

        def objective(self, x, y):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("out of luck")
            return super().objective(x, y)

    module = Breaking(net(), attack=attack(), awp=AWP(gamma=0.5))
    before = copy.deepcopy(module.net)
    with pytest.raises(RuntimeError, match="out of luck"):
        fitted(module)
    module.trainer.save_checkpoint(tmp_path / "last.ckpt")
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(kept[f"net.{name}"], value) for name, value in before.named_parameters())


def test_a_checkpoint_describes_it(tmp_path):
    module = StandardAT(net(), attack=attack(), awp=AWP(0.02, 3))
    fitted(module).save_checkpoint(tmp_path / "last.ckpt")
    loaded = StandardAT.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert loaded.awp == AWP(0.02, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AWP(gamma=0), "gamma is 0, but it is a length above 0"),
        (lambda: AWP(warmup=-1), "warmup is -1"),
        (lambda: StandardAT(net(), awp=AWP(), micro_batch=8), "not micro_batch's; leave one out"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()

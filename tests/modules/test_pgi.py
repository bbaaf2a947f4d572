"""FGSM-PGI: two steps against a plain transcription of the published loop, and the prior through batches and kills."""

import copy

import lightning as L
import pytest
import torch
from torch.nn import functional as F

from energy_at import FGSM, PGI, RSFGSM, Digits, StandardAT
from energy_at.types import InputError
from tests.modules.test_steps import EPS, assert_same_step, batch, gradients, net
from tests.modules.test_training import fit, same_weights, small_net, trainer

__all__ = ["batch"]


def clamp(delta, x):
    """Of the published code: into the ball, then so that the image is one."""
    return torch.max(torch.min(delta.clamp(-EPS, EPS), 1 - x), 0 - x)


def published_step(plain, x, y, delta, weight):
    """Loss and next perturbation; the pass over the start gives the attack's gradient and the penalty's logits."""
    delta = delta.clone().requires_grad_()
    logits_start = plain(x + delta)
    (grad,) = torch.autograd.grad(F.cross_entropy(logits_start, y), delta, retain_graph=True)
    delta = clamp(delta.detach() + EPS * grad.sign(), x)
    logits = plain(x + delta)
    return F.cross_entropy(logits, y) + weight * ((logits - logits_start) ** 2).mean(), delta


def module(**options):
    return PGI(net(), attack=FGSM(eps=EPS), **options)


def test_two_steps_are_those_of_the_published_loop(batch):
    x, y = batch
    ours, plain = module(weight=3.0), net()
    loss, delta = published_step(plain, x, y, torch.zeros_like(x), 3.0)
    outputs = ours.training_step((x, y), 0)
    outputs["loss"].backward()
    loss.backward()
    assert outputs["loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    torch.testing.assert_close(ours.prior, delta, rtol=0, atol=1e-15)
    assert "perturbation" not in outputs

    x, y = x.flip(0) * 0.9, y.flip(0)
    ours.zero_grad()
    plain.zero_grad()
    start = clamp(delta, x)
    loss, after = published_step(plain, x, y, start, 3.0)
    assert not torch.equal(start, delta)
    assert_same_step(ours, plain, loss, (x, y))
    torch.testing.assert_close(ours.draw_start(x), x + start, rtol=0, atol=1e-15)
    for mine, theirs in zip(ours.net.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert not torch.equal(after, delta)


def test_the_prior_suits_smaller_batches_and_a_larger_one_begins_where_the_attack_does(batch):
    x, y = batch
    ours = module()
    ours.training_step((x[:8], y[:8]), 0)
    prior = ours.prior.clone()
    torch.testing.assert_close(ours.draw_start(x[:5]), x[:5] + clamp(prior[:5], x[:5]), rtol=0, atol=1e-15)
    assert torch.equal(ours.draw_start(x), x)


def test_parts_of_a_batch_have_its_gradients_and_its_prior(batch):
    whole, parts = (PGI(net().eval(), attack=RSFGSM(eps=EPS), attack_mode="eval", micro_batch=m) for m in (None, 5))
    for i in range(2):
        for each in (whole, parts):
            each.zero_grad()
            each.training_step(batch, i)["loss"].backward()
        torch.testing.assert_close(parts.prior, whole.prior, rtol=0, atol=1e-15)
        for name, gradient in gradients(whole.net).items():
            torch.testing.assert_close(gradients(parts.net)[name], gradient, rtol=1e-9, atol=1e-12)


def test_without_weight_and_prior_it_is_standard_at(batch):
    attack = RSFGSM(eps=EPS)
    ours, theirs = PGI(net(), weight=0, attack=attack), StandardAT(net(), attack=attack)
    assert torch.equal(ours.objective(*batch)["loss"], theirs.objective(*batch)["loss"])


def pgi():
    return PGI(small_net(), attack=FGSM(eps=0.2), weight=1.0)


def test_a_run_resumed_within_an_epoch_has_the_prior(tmp_path):
    straight, resumed, forgetful = pgi(), pgi(), pgi()
    save = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    runner = trainer(tmp_path / "whole", 2, [save])
    runner.fit(straight, Digits(augment=True))
    fit(resumed, tmp_path / "second", epochs=2, ckpt_path=tmp_path / "step=2.ckpt")
    assert same_weights(straight, resumed)
    assert torch.equal(straight.prior, resumed.prior)
    forgetful.on_load_checkpoint = lambda checkpoint: None
    fit(forgetful, tmp_path / "third", epochs=2, ckpt_path=tmp_path / "step=2.ckpt")
    assert not same_weights(straight, forgetful)


def test_a_copy_has_a_prior_of_its_own(batch):
    ours = module()
    ours.training_step(batch, 0)
    copied = copy.deepcopy(ours)
    ours.training_step((batch[0].flip(0), batch[1]), 1)
    assert not torch.equal(copied.prior, ours.prior)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"weight is -1, but a penalty's weight .* write for example weight: 10"):
        module(weight=-1)

"""Dual adversarial training against a plain transcription of the published loop, and in whole trainings."""

import copy

import lightning as L
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from energy_at import Digits, DualAT, EnergyLogger, InputError, LangevinSampler, StandardAT, UniformInit
from energy_at.attacks import PGD
from energy_at.modules import AWP, dual_at
from tests.modules.test_steps import assert_same_step, batch, net
from tests.modules.test_training import same_weights, small_net

__all__ = ["batch"]


def l2_steps(objective, x, step, count, eps=None):
    """The published loop: normalised steps up, projected on the ball, then on [0, 1]."""
    start = x
    for _ in range(count):
        x = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(objective(x), x)
        length = grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        moved = x.detach() + step * grad / (length + 1e-10) - start
        x = (start + (moved if eps is None else moved.renorm(p=2, dim=0, maxnorm=eps))).clamp(0, 1)
    return x.detach()


@pytest.mark.parametrize("energy", ["joint", "marginal"])
def test_a_step_is_the_published_one(batch, energy):
    x, y = batch
    sampler = LangevinSampler(step_size=0.1, noise=0, normalize=True, energy=energy)
    attack = PGD(eps=0.5, alpha=0.2, steps=4, norm="L2", start="zero")
    module, plain = DualAT(net(), sampler=sampler, attack=attack, steps=3), net()
    module.on_train_start()
    frozen = copy.deepcopy(plain).eval()
    x_adv = l2_steps(lambda x: F.cross_entropy(frozen(x), y, reduction="sum"), x, 0.2, 4, eps=0.5)
    evidence = {"joint": lambda z: z.gather(1, y[:, None]).sum(), "marginal": lambda z: torch.logsumexp(z, 1).sum()}
    contrast = l2_steps(lambda x: evidence[energy](frozen(x)), x, 0.1, 3)
    plain.eval()
    logits = torch.cat([torch.logsumexp(plain(images), dim=1) for images in (x, contrast)])
    real = torch.cat([torch.ones(12), torch.zeros(12)]).double()
    loss = F.binary_cross_entropy_with_logits(logits, real) + F.cross_entropy(plain(x_adv), y)
    assert_same_step(module, plain, loss, batch)


def trainer(folder, epochs, **options):
    defaults = {"limit_train_batches": 4, "limit_val_batches": 1, "enable_progress_bar": False, "accelerator": "cpu"}
    return L.Trainer(
        max_epochs=epochs,
        logger=L.pytorch.loggers.CSVLogger(folder),
        callbacks=[EnergyLogger(), L.pytorch.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)],
        enable_model_summary=False,
        **defaults | options,
    )


def dual(**options):
    attack = PGD(eps=0.5, steps=1, norm="L2")
    return DualAT(small_net(), attack=attack, **{"starts": UniformInit(), "steps": 1, "max_steps": 3} | options)


def fit(module, folder, epochs=1, ckpt_path=None, **options):
    runner = trainer(folder, epochs, **options)
    runner.fit(module, Digits(batch_size=32), ckpt_path=ckpt_path, weights_only=True)
    return runner


def test_the_second_stage_starts_from_the_first_with_its_statistics_frozen(tmp_path):
    first = StandardAT(small_net(), attack=PGD(eps=0.5, steps=1, norm="L2"))
    fit(first, tmp_path / "first")
    second = dual(classifier=str(tmp_path / "first" / "epoch=0.ckpt"), optimizer=lambda p: torch.optim.SGD(p, lr=0.01))
    modes = []
    second.on_train_batch_end = lambda *_: modes.append({type(m): m.training for m in second.net.modules()})
    fit(second, tmp_path / "second", epochs=2)
    before, after = first.net.state_dict(), second.net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "running" in name)
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert all(not each[nn.BatchNorm2d] and each[nn.Conv2d] for each in modes)


@pytest.mark.parametrize(("auc", "steps"), [(0.79, 1), (0.8, 3)])
def test_the_chain_grows_where_the_net_tells_too_well(tmp_path, monkeypatch, auc, steps):
    monkeypatch.setattr(dual_at, "energy_auc", lambda real, contrast: torch.tensor(auc))
    module = dual(window=64)
    runner = fit(module, tmp_path, limit_train_batches=8)
    assert module.contrast_steps == steps
    assert float(runner.callback_metrics["train/contrast_steps"]) == steps


def test_a_window_is_judged_as_a_whole(tmp_path, monkeypatch):
    values = iter([0.9, 0.6, 0.9, 0.8])
    monkeypatch.setattr(dual_at, "energy_auc", lambda real, contrast: torch.tensor(next(values)))
    module = dual(window=64)
    fit(module, tmp_path)
    assert module.contrast_steps == 2


def test_resuming_repeats_the_uninterrupted_run_bit_for_bit(tmp_path):
    straight, resumed = (dual(window=5 * 32, grow_at=0.501, weight=5) for _ in range(2))
    fit(straight, tmp_path / "whole", epochs=4)
    kept = torch.load(tmp_path / "whole" / "epoch=1.ckpt", weights_only=True)["contrast"]
    assert len(kept["aucs"]) == 3
    fit(resumed, tmp_path / "second", epochs=4, ckpt_path=tmp_path / "whole" / "epoch=1.ckpt")
    assert same_weights(straight, resumed)
    assert straight.contrast_steps == resumed.contrast_steps


def test_parts_of_a_batch_give_its_gradients(batch):
    whole, parts = (DualAT(net(), steps=2, micro_batch=limit) for limit in (None, 5))
    for module in (whole, parts):
        module.trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        module.on_train_start()
        module.draw_start(batch[0])
        module._step(*batch)["loss"].backward()
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": -1}, "weight: 0.5"),
        ({"steps": 4, "max_steps": 3}, "no fewer for max_steps"),
        ({"grow_at": 0.5}, "grow_at: 0.8"),
        ({"window": 0}, "window: 1000"),
        ({"awp": AWP()}, "leave it out"),
        ({"attack_mode": "train"}, "freeze_batch_norm: false"),
    ],
)
def test_bad_values_are_refused_with_the_remedy(options, words):
    with pytest.raises(InputError, match=words):
        DualAT(small_net(), **options)


def test_starts_need_a_data_set_to_be_fitted_to(tmp_path):
    images = torch.utils.data.TensorDataset(torch.rand(8, 1, 8, 8), torch.arange(8))
    with pytest.raises(InputError, match="UniformInit is fitted to the images of an ImageData"):
        trainer(tmp_path, 1).fit(dual(), torch.utils.data.DataLoader(images, batch_size=4))

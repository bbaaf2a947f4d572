"""Whole trainings: resumption, checkpoints, equivalent objectives, several processes, a loss that breaks."""

import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import OnExceptionCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from energy_at import DER, FGSM, PGD, RSFGSM, TRADES, Digits, EnergyLogger, EnergyPlot, OverfittingMonitor, StandardAT
from energy_at.models import SmallNet
from energy_at.modules import Cyclic
from energy_at.modules.finite import NonFiniteLossError
from energy_at.types import InputError


def small_net():
    torch.manual_seed(0)
    return SmallNet(width=4)


def trainer(folder, epochs, callbacks=(), **options):
    callbacks = [
        *callbacks,
        EnergyLogger(every_n_steps=2),
        OverfittingMonitor(),
        EnergyPlot(),
        L.pytorch.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_last=True, save_top_k=-1),
    ]
    defaults = {"limit_train_batches": 4, "limit_val_batches": 1, "enable_progress_bar": False, "accelerator": "cpu"}
    return L.Trainer(
        max_epochs=epochs,
        logger=L.pytorch.loggers.CSVLogger(folder),
        callbacks=callbacks,
        enable_model_summary=False,
        **defaults | options,
    )


def der(**options):
    return DER(small_net(), attack=RSFGSM(eps=0.2), schedule=Cyclic(), **options)


def fit(module, folder, epochs=1, ckpt_path=None, data=None, **options):
    runner = trainer(folder, epochs, **options)
    runner.fit(module, data or Digits(augment=True), ckpt_path=ckpt_path, weights_only=True)
    return runner


class TwoAnswers(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = small_net()

    def forward(self, x):
        return self.net(x), None


OBJECTIVES = {
    "StandardAT": lambda net: StandardAT(net, attack=RSFGSM(eps=0.2)),
    "TRADES": lambda net: TRADES(net, attack=PGD(eps=0.2, steps=2, loss="kl", start="gaussian"), attack_mode="eval"),
    "DER": lambda net: DER(net, attack=RSFGSM(eps=0.2)),
    "parts": lambda net: StandardAT(net, attack=RSFGSM(eps=0.2), micro_batch=7),
}


def by_hand(module, batches):
    optimizer = module.train().configure_optimizers()["optimizer"]
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        module.training_step(batch, step)["loss"].backward()
        optimizer.step()


def by_fabric(module, batches):
    fabric = L.Fabric(accelerator="cpu", devices=1)
    model, optimizer = fabric.setup(module.train(), module.configure_optimizers()["optimizer"])
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        fabric.backward(model.training_step(batch, step)["loss"])
        optimizer.step()


@pytest.mark.parametrize("loop", [by_hand, by_fabric])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_loop_of_ones_own_trains_as_the_trainer_does(objective, loop):
    torch.manual_seed(0)
    batches = DataLoader(TensorDataset(torch.rand(60, 1, 8, 8), torch.randint(10, (60,))), batch_size=20)
    trained, other = OBJECTIVES[objective](small_net()), OBJECTIVES[objective](small_net())
    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    L.Trainer(max_epochs=1, logger=False, accelerator="cpu", **quiet).fit(trained, batches)
    loop(other, batches)
    before, found = small_net().state_dict(), other.net.state_dict()
    assert any(not torch.equal(before[name], value) for name, value in found.items())
    for name, value in trained.net.state_dict().items():
        assert torch.equal(found[name], value), name


def test_predictions_are_the_nets_logits_of_the_test_images_in_their_order():
    module, data = StandardAT(small_net()), Digits()
    runner = L.Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    found = torch.cat(runner.predict(module, data))
    images = data.arrays("test")[0].float() / 255
    assert torch.allclose(found, module.net.eval()(images), atol=1e-6)
    without_labels = DataLoader(images, batch_size=100)
    assert torch.allclose(torch.cat(runner.predict(module, without_labels)), found, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "labels", "net", "words"),
    [
        (
            lambda x: (x - 0.5) / 0.25,
            None,
            small_net,
            "images reach from -2 to 2, but .*leave normalisation to the net",
        ),
        (lambda x: (255 * x).byte(), None, small_net, "images reach from 0 to 255, but .*divide them by 255"),
        (lambda x: x[:, 0], None, small_net, r"images are float32 \[20, 8, 8\]; give floating point"),
        (lambda x: x.repeat(1, 3, 1, 1), None, small_net, "images have 3 channels, but the net takes 1"),
        (None, lambda y: y + 5, small_net, "labels reach from 5 to 14, but the net has 10 classes"),
        (None, lambda y: y.int(), small_net, r"labels are int32 \[20\]; give int64 \[20\]"),
        (None, lambda y: y[:, None], small_net, r"labels are int64 \[20, 1\]; give int64 \[20\]"),
        (None, None, TwoAnswers, "the net returns a tuple; wrap it"),
    ],
    ids=["normalised", "bytes", "flat", "channels", "classes", "int32", "column", "tuple"],
)
def test_batches_that_a_loader_of_ones_own_gets_wrong_are_refused(tmp_path, images, labels, net, words):
    x, y = torch.linspace(0, 1, 20 * 64).view(20, 1, 8, 8), torch.arange(20) % 10
    given = TensorDataset(images(x) if images else x, labels(y) if labels else y)
    with pytest.raises(InputError, match=words):
        trainer(tmp_path, 1).fit(StandardAT(net(), attack=FGSM(eps=0.1)), DataLoader(given, 20))


def test_batches_that_are_no_pairs_are_refused(tmp_path):
    alone = DataLoader(TensorDataset(torch.rand(4, 1, 8, 8)), 2)
    with pytest.raises(InputError, match="the loader's batches are no pairs"):
        trainer(tmp_path, 1).fit(StandardAT(small_net(), attack=FGSM(eps=0.1)), alone)


def test_images_that_are_only_judged_are_looked_at_too(tmp_path):
    given = DataLoader(TensorDataset(torch.full((2, 1, 8, 8), -1.0), torch.zeros(2, dtype=torch.int64)), 2)
    for judge in (trainer(tmp_path, 1).validate, trainer(tmp_path, 1).test):
        with pytest.raises(InputError, match="images reach from -1 to -1"):
            judge(StandardAT(small_net()), given)


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_resuming_repeats_the_uninterrupted_run_bit_for_bit(tmp_path):
    straight, resumed = der(), der()
    whole = fit(straight, tmp_path / "whole", epochs=4)
    first = torch.load(tmp_path / "whole" / "epoch=1.ckpt", weights_only=True)
    second = fit(resumed, tmp_path / "second", epochs=4, ckpt_path=tmp_path / "whole" / "epoch=1.ckpt")
    assert first["epoch"] == 1
    assert same_weights(straight, resumed)
    assert whole.callback_metrics.keys() == second.callback_metrics.keys()
    for key, value in whole.callback_metrics.items():
        assert torch.equal(value, second.callback_metrics[key]), key
    for mine, theirs in zip(whole.callbacks[1:3], second.callbacks[1:3], strict=True):
        assert mine.state_dict() == theirs.state_dict()


def test_a_run_resumed_within_an_epoch_repeats_it_too(tmp_path):
    straight = der()
    save = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    runner = trainer(tmp_path / "whole", 2)
    runner.callbacks.append(save)
    runner.fit(straight, Digits(augment=True))
    resumed = der()
    fit(resumed, tmp_path / "second", epochs=2, ckpt_path=tmp_path / "step=2.ckpt")
    assert same_weights(straight, resumed)


def test_a_net_in_evaluation_mode_is_trained_in_training_mode_and_a_frozen_layer_stays(tmp_path):
    reference, loaded, frozen = small_net(), small_net().eval(), small_net()
    layer = next(layer for layer in frozen.modules() if isinstance(layer, nn.BatchNorm2d)).eval()
    before = layer.running_mean.clone()
    for net in (reference, loaded, frozen):
        fit(StandardAT(net, attack=RSFGSM(eps=0.2)), tmp_path)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in reference.state_dict().items())
    assert torch.equal(layer.running_mean, before)
    assert not layer.training


def test_der_without_weight_is_standard_at_bit_for_bit(tmp_path):
    plain = StandardAT(small_net(), attack=RSFGSM(eps=0.2), schedule=Cyclic())
    unweighted = der(weight=0.0)
    fit(plain, tmp_path / "at")
    fit(unweighted, tmp_path / "der")
    assert same_weights(plain, unweighted)


def test_der_without_weight_never_passes_the_reference(monkeypatch):
    module = der(weight=0.0)
    monkeypatch.setattr(module, "_both", lambda *_: pytest.fail("the reference images were passed"))
    outputs = module.objective(torch.rand(4, 1, 8, 8), torch.arange(4))
    assert outputs["loss"].isfinite()


def test_energy_logging_leaves_the_training_as_it_is(tmp_path):
    logged, silent = (StandardAT(small_net(), attack=FGSM(eps=0.2)) for _ in range(2))
    fit(logged, tmp_path / "logged")
    runner = trainer(tmp_path / "silent", 1)
    runner.callbacks = [callback for callback in runner.callbacks if not isinstance(callback, EnergyLogger)]
    runner.fit(silent, Digits(augment=True))
    assert "train/dE_marginal" not in runner.callback_metrics
    assert same_weights(logged, silent)


@pytest.mark.parametrize("make", [der, lambda: TRADES(small_net(), beta=3.0, attack=PGD(eps="8/255", loss="kl"))])
def test_a_checkpoint_holds_plain_values_and_rebuilds_the_module(tmp_path, make):
    module = make()
    fit(module, tmp_path)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["hyper_parameters"]["attack"]["init_args"]["eps"] in (0.2, "8/255")
    for owner in (type(module), L.LightningModule):
        loaded = owner.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
        assert type(loaded) is type(module)
        assert same_weights(loaded, module)
        assert float(loaded.attack.eps) == pytest.approx(float(module.attack.eps))
        assert loaded.attack.loss == module.attack.loss


class OwnNet(nn.Module):
    """A user's net, which does not keep its arguments."""

    def __init__(self, hidden):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, x):
        return self.layers(x)


def test_a_net_that_cannot_be_described_is_given_when_loading(tmp_path):
    module = StandardAT(OwnNet(7), attack=FGSM(eps=0.1))
    fit(module, tmp_path)
    assert "net" not in torch.load(tmp_path / "last.ckpt", weights_only=True)["hyper_parameters"]
    loaded = StandardAT.load_from_checkpoint(tmp_path / "last.ckpt", net=OwnNet(7), weights_only=True)
    assert same_weights(loaded, module)


def test_two_processes_take_the_steps_of_one_with_the_same_global_batch(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("ddp_script.py")), str(tmp_path)]
    subprocess.run(command, check=True, timeout=200, cwd=tmp_path)
    found = {path.stem: torch.load(path, weights_only=True) for path in tmp_path.glob("*.pt")}
    one, two, in_parts = found["one"], found["two"], found["in_parts"]
    assert two["reductions"] == in_parts["reductions"] == 3  # one a step: none in the attack, none between the parts
    pairs = ((one, two), (one, in_parts), *((found[f"one_{kind}"], found[f"two_{kind}"]) for kind in ("awp", "dual")))
    for alone, other in pairs:
        for name, weight in alone["weights"].items():
            torch.testing.assert_close(other["weights"][name], weight, rtol=1e-10, atol=1e-12)
        for key in ("val/clean_acc", "val/robust_acc", "train/dE_marginal", "val/E_joint", "val/dE_marginal_std"):
            assert other["metrics"][key] == pytest.approx(alone["metrics"][key], rel=1e-4, abs=1e-6), key
    assert not torch.equal(found["one"]["weights"]["1.weight"], found["one_awp"]["weights"]["1.weight"])
    for key in ("train/contrast_steps", "train/E_marginal_contrast"):
        assert found["two_dual"]["metrics"][key] == pytest.approx(found["one_dual"]["metrics"][key], rel=1e-6), key


class BreaksAt(StandardAT):
    """Its loss is NaN from a given step on."""

    step_of_nan = 6

    def objective(self, x, y):
        outputs = super().objective(x, y)
        if self.global_step >= self.step_of_nan:
            outputs["loss"] = outputs["loss"] * torch.nan
        return outputs


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    module = BreaksAt(small_net(), attack=FGSM(eps=0.2))
    with pytest.raises(NonFiniteLossError, match=r"step 6 \(epoch 1\).*last\.ckpt"):
        fit(module, tmp_path, epochs=3, callbacks=[OnExceptionCheckpoint(tmp_path)])
    assert not list(tmp_path.glob("on_exception*"))
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 4
    assert all(value.isfinite().all() for value in kept["state_dict"].values())
    assert all(value.isfinite().all() for value in module.state_dict().values())
    assert list(tmp_path.rglob("energies.png"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"net": SmallNet}, "the net is the class SmallNet; give an instance, such as PreActResNet"),
        ({"net": lambda x: x}, "the net is a function; give an instance"),
        ({"attack": PGD}, "the class PGD is no attack or schedule; give an instance, such as PGD"),
        ({"test_attack": "PGD"}, "a str is no attack or schedule; give an instance"),
        ({"schedule": torch.optim.lr_scheduler.StepLR}, "the class StepLR is no attack or schedule; give an instance"),
    ],
)
def test_classes_and_names_in_the_place_of_instances_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        StandardAT(**{"net": small_net(), **given})


def test_eps_rises_over_the_warm_up():
    module = StandardAT(small_net(), attack=PGD(eps=0.2, alpha=0.1, steps=2), eps_warmup=2.0)
    seen = []
    module.objective_before = module.objective

    def watching(x, y):
        seen.append((float(module.scheduled_attack().eps), float(module.scheduled_attack().alpha)))
        return module.objective_before(x, y)

    module.objective = watching
    runner = L.Trainer(
        max_epochs=3,
        limit_train_batches=2,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        accelerator="cpu",
    )
    runner.fit(module, Digits())
    expected = [0.0, 0.05, 0.1, 0.15, 0.2, 0.2]
    assert [eps for eps, _ in seen] == pytest.approx(expected)
    assert [alpha for _, alpha in seen] == pytest.approx([eps / 2 for eps in expected])


def test_half_precision_training_gives_weight_gradients_after_an_attack_on_natural_logits():
    module = TRADES(small_net(), attack=PGD(eps=0.2, steps=1, loss="kl", start="gaussian"))
    x, y = torch.rand(8, 1, 8, 8), torch.arange(8)
    with torch.autocast("cpu", torch.bfloat16):
        module.objective(x, y)["loss"].backward()
    assert all(parameter.grad is not None for parameter in module.net.parameters())
    assert module.net.conv1.weight.grad.abs().sum() > 0

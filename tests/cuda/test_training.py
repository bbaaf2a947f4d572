from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from energy_at import (
    AAER,
    AWP,
    DER,
    ELLE,
    FGSM,
    MART,
    PGD,
    PGI,
    RSFGSM,
    TRADES,
    WEAT,
    Digits,
    DualAT,
    EnergyLogger,
    GradAlign,
    LinearDER,
    OverfittingMonitor,
    Recovery,
    StandardAT,
)
from energy_at.loggers import CSVLogger
from energy_at.models import PreActResNet, SmallNet
from tests.cuda.nets import EPS, digits, on, residual_net, small_net, start_near

KINDS = [StandardAT, TRADES, WEAT, DER, LinearDER, AAER, MART, PGI]
NOISY = [
    partial(ELLE, adaptive=True),
    GradAlign,
    partial(StandardAT, awp=AWP()),
    partial(DualAT, steps=2),
]  # noise differs between devices
SINGLE_STEP = (DER, LinearDER, AAER)


def named(kind):
    return getattr(kind, "__name__", None) or kind.func.__name__


def built(kind, **options):
    attack = RSFGSM(eps=0.2) if kind in SINGLE_STEP else None
    torch.manual_seed(0)
    return kind(SmallNet(width=16), attack=attack, **options)


def fit(module, folder, device, epochs=1, callbacks=(), ckpt_path=None, **options):
    trainer = L.Trainer(
        accelerator=device.type if device.type == "cpu" else "gpu",
        devices=1,
        max_epochs=epochs,
        logger=CSVLogger(folder),
        callbacks=[EnergyLogger(every_n_steps=2), OverfittingMonitor(), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"limit_train_batches": 4, "limit_val_batches": 1, "enable_checkpointing": bool(callbacks)} | options,
    )
    trainer.fit(module, Digits(augment=True), ckpt_path=ckpt_path, weights_only=True)
    return trainer


def same_weights(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs)


def third(place, *size, **_):
    """In place of random numbers, which differ between devices."""
    return torch.full(size, 1 / 3, device=place)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_step_has_the_loss_and_the_gradients_of_the_cpu(kind, device, monkeypatch):
    x, y = digits()
    start, found = start_near(x), []
    for place in ("cpu", device):
        with monkeypatch.context() as patched:
            patched.setattr(torch, "rand", partial(third, place))
            attack = RSFGSM(eps=EPS) if kind in SINGLE_STEP else None
            module = kind(small_net(), attack=attack).to(place).train()
            module._start = start.to(place)
            loss = module.objective(*on(place, x, y))["loss"]
            loss.backward()
        found.append([loss.detach().cpu(), *(parameter.grad.cpu() for parameter in module.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels_last", [True, False], ids=["nhwc", "nchw"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_every_precision_learns(precision, channels_last, device, tmp_path):
    if precision == "16-mixed" and device.type == "cpu":
        pytest.skip("float16 is for GPUs")
    options = {"limit_train_batches": 12, "precision": precision}
    torch.manual_seed(0)
    module = StandardAT(SmallNet(width=16), attack=RSFGSM(eps=0.1), channels_last=channels_last)
    trainer = fit(module, tmp_path, device, 6, **options)
    losses = trainer.callback_metrics
    assert losses["train/loss_epoch"] < 2.1  # log 10 is 2.30
    assert losses["val/E_marginal"].isfinite()


@pytest.mark.parametrize("kind", KINDS + NOISY, ids=named)
def test_resuming_repeats_the_run_bit_for_bit(kind, device, tmp_path):
    save = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    straight, resumed = built(kind), built(kind)
    fit(straight, tmp_path, device, epochs=2, callbacks=[save])
    fit(resumed, tmp_path, device, epochs=2, ckpt_path=tmp_path / "epoch=0.ckpt")
    assert same_weights(straight, resumed)


def test_averaged_weights_are_judged_and_saved(device, tmp_path):
    module = built(StandardAT)
    fit(module, tmp_path, device, 2, callbacks=[EMAWeightAveraging(decay=0.5), ModelCheckpoint(tmp_path, "last")])
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert {"state_dict", "current_model_state"} <= saved.keys()


def step_of(module, x, y):
    module.training_step((x, y), 1)["loss"].backward()


class Stub:
    """A trainer that knows where it stands, and takes no notes."""

    global_step, current_epoch, global_rank, optimizers = 1, 0, 0, [torch.optim.SGD([torch.zeros(1)], lr=0.1)]
    precision_plugin = None
    is_last_batch, should_stop, fast_dev_run, max_steps, log_every_n_steps = False, False, False, -1, 50


def bare(module, monkeypatch):
    monkeypatch.setattr(type(module), "trainer", Stub(), raising=False)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    return module


def residual_net_of_digits():
    torch.manual_seed(0)
    return PreActResNet(width=8, in_channels=1)


def peak(module, x, y):
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step_of(module, x, y)
    return torch.cuda.max_memory_allocated() - before


def images(count, device):
    return torch.rand(count, 3, 32, 32, device=device), torch.randint(10, (count,), device=device)


def test_peak_memory_follows_the_micro_batch_and_not_the_batch(gpu, monkeypatch):
    peaks = {}
    for limit in (None, 32):
        module = bare(StandardAT(residual_net(), attack=PGD(steps=1), micro_batch=limit).to(gpu), monkeypatch)
        peak(module, *images(32, gpu))  # the libraries take their workspaces
        peaks[limit] = [peak(module, *images(count, gpu)) for count in (128, 512)]
    assert peaks[None][1] > 3 * peaks[None][0]
    assert peaks[32][1] < 1.2 * peaks[32][0] + 2 * 512 * 3 * 32 * 32 * 4 * 3
    assert peaks[32][1] < 0.25 * peaks[None][1]


def test_micro_batch_auto_halves_until_the_memory_suffices(gpu, monkeypatch):
    # x* is x: where a gradient is near 0, kernels for other sizes may change its sign, and with it a pixel
    attack = PGD(eps=0, alpha=2 / 255, steps=1)
    module = bare(StandardAT(residual_net(), attack=attack, micro_batch="auto").to(gpu).eval(), monkeypatch)
    whole = bare(StandardAT(residual_net(), attack=attack).to(gpu).eval(), monkeypatch)
    x, y = images(2048, gpu)
    peak(whole, x, y)  # the libraries choose their kernels, and take their workspaces
    for parameter in whole.parameters():
        parameter.grad = None
    needed = peak(whole, x, y)
    torch.cuda.empty_cache()
    allowed = (torch.cuda.memory_allocated(gpu) + 0.5 * needed) / torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.set_per_process_memory_fraction(allowed, gpu)  # of this process alone: others may share the card
    try:
        with pytest.warns(UserWarning, match="micro_batch is"):
            step_of(module, x, y)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)
    assert module._micro_batches.size < len(y)
    for one, other in zip(module.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


class NoWaiting(L.Callback):
    """Any synchronisation within a step, but the first, is an error."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("error" if batch_idx > 0 else "default")

    def on_train_batch_end(self, *_):
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, *_):
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_step_waits_for_the_gpu(kind, gpu, tmp_path):
    try:
        fit(built(kind), tmp_path, gpu, callbacks=[NoWaiting()], limit_train_batches=6, precision="bf16-mixed")
    finally:
        torch.cuda.set_sync_debug_mode("default")


class Recordings(L.Callback):
    """How many passes of the net are graphs, when the last step has been."""

    def on_train_end(self, trainer, module):
        self.count = len(module._net_graphs.recordings.graphs)


def recordings(module, folder, device, **options):
    counter = Recordings()
    fit(module, folder, device, callbacks=[counter], **{"enable_checkpointing": False} | options)
    return counter.count


@pytest.mark.parametrize("kind", [*KINDS, partial(DER, passes="separate"), *NOISY], ids=named)
def test_graphs_train_the_same_net_bit_for_bit(kind, gpu, tmp_path):
    plain, faster = built(kind), built(kind, cuda_graph=True)
    fit(plain, tmp_path / "plain", gpu)
    assert recordings(faster, tmp_path / "faster", gpu) >= 1
    assert same_weights(plain, faster)


@pytest.mark.parametrize("kind", [StandardAT, TRADES, LinearDER, AAER, MART, *NOISY[:2]], ids=named)
def test_a_compiled_step_trains_the_same_net(kind, gpu, tmp_path):
    plain, faster = built(kind), built(kind, compile=True)
    fit(plain, tmp_path / "plain", gpu)
    trainer = fit(faster, tmp_path / "faster", gpu)
    assert plain.state_dict().keys() == faster.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(faster.state_dict()[name], value, rtol=1e-2, atol=1e-2)
    assert trainer.callback_metrics["train/loss_epoch"].isfinite()


def test_graphs_accumulate_gradients_as_the_net_does(gpu, tmp_path):
    plain, faster = built(StandardAT), built(StandardAT, cuda_graph=True)
    fit(plain, tmp_path / "plain", gpu, epochs=2, accumulate_grad_batches=2)
    assert recordings(faster, tmp_path / "faster", gpu, epochs=2, accumulate_grad_batches=2) == 1
    assert same_weights(plain, faster)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_graphs_train_the_same_net_in_half_precision(precision, gpu, tmp_path):
    plain, faster = (StandardAT(residual_net_of_digits(), PGD(eps=0.1), cuda_graph=graph) for graph in (False, True))
    fit(plain, tmp_path / "plain", gpu, epochs=2, precision=precision)
    assert recordings(faster, tmp_path / "faster", gpu, epochs=2, precision=precision) == 1
    assert same_weights(plain, faster)


def test_recovery_trains_against_pgd_beside_graphs_as_without(gpu, tmp_path):
    trained = []
    for graph in (False, True):
        torch.manual_seed(0)
        module = StandardAT(SmallNet(width=16), attack=FGSM(eps=0.3), cuda_graph=graph)
        recovery = Recovery(every_n_steps=1, steps=4, ratio=0.99)
        fit(module, tmp_path / str(graph), gpu, callbacks=[recovery], limit_train_batches=8, enable_checkpointing=False)
        assert recovery.announced
        trained.append(module)
    assert same_weights(*trained)

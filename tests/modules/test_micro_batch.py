"""Steps in parts against the step of the whole batch: weights, metrics, noise, memory that runs out."""

import lightning as L
import pytest
import torch
from torch import nn

from energy_at import DER, PGD, RSFGSM, TRADES, WEAT, Digits, EnergyLogger, StandardAT
from energy_at.models import SmallNet
from energy_at.modules.micro_batch import MicroBatches
from energy_at.types import InputError
from tests.test_configs import resolved


def net():
    """Without batch statistics, and with a parameter that no loss reaches."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10))
    layers.register_parameter("unused", nn.Parameter(torch.ones(1)))
    return layers


def kl_attack():
    return PGD(eps=0.1, steps=2, loss="kl", start="gaussian")


OBJECTIVES = {
    "at": lambda **kwargs: StandardAT(net(), attack=RSFGSM(eps=0.1), **kwargs),
    "trades": lambda **kwargs: TRADES(net(), attack=kl_attack(), **kwargs),
    "weat": lambda **kwargs: WEAT(net(), variant="adv", attack=kl_attack(), **kwargs),
    "der": lambda **kwargs: DER(net(), attack=RSFGSM(eps=0.1), **kwargs),
    "der natural": lambda **kwargs: DER(net(), attack=PGD(eps=0.1, steps=2), reference="natural", **kwargs),
}


def sgd(params):
    return torch.optim.SGD(params, lr=0.3, momentum=0.9, weight_decay=0.1)


def fit(module, **options):
    defaults = {
        "precision": "64-true",
        "max_epochs": 1,
        "limit_train_batches": 4,
        "limit_val_batches": 0,
        "callbacks": [EnergyLogger(every_n_steps=2)],
    }
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **defaults | options,
    )
    trainer.fit(module, Digits(batch_size=16))
    return trainer


def assert_same_run(make, rtol=1e-9, **options):
    whole, parted = (make(optimizer=sgd, micro_batch=size) for size in (None, 6))
    metrics, parted_metrics = (fit(module, **options).callback_metrics for module in (whole, parted))
    assert whole.net[0].weight.grad is not None
    for one, other in zip(whole.parameters(), parted.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol)
    assert {"train/loss_epoch", "train/robust_acc", "train/dE_marginal", "train_step/E_joint"} <= metrics.keys()
    assert metrics.keys() == parted_metrics.keys()
    for name, value in metrics.items():
        torch.testing.assert_close(value, parted_metrics[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_steps_and_the_metrics_are_those_of_the_whole_batch(objective):
    assert_same_run(OBJECTIVES[objective])


def test_clipping_and_accumulation_see_one_batch():
    assert_same_run(OBJECTIVES["at"], accumulate_grad_batches=2, gradient_clip_val=0.05)


def test_half_precision_gives_the_gradients_of_the_whole_batch_up_to_its_rounding():
    modules = [OBJECTIVES["trades"](micro_batch=size, optimizer=plain) for size in (None, 6)]
    for module in modules:
        fit(module, precision="bf16-mixed", limit_train_batches=1)
    start = [parameter.detach() for parameter in net().parameters()]
    steps = [[p.detach() - s for p, s in zip(m.parameters(), start, strict=True)] for m in modules]
    for name, whole, parted in zip(dict(net().named_parameters()), *steps, strict=True):
        assert (whole - parted).norm() <= 0.03 * whole.norm(), name
        assert whole.norm() > 0 or name == "unused"


def plain(params):
    return torch.optim.SGD(params, lr=1.0)


def test_what_no_loss_reaches_keeps_no_gradient():
    module = OBJECTIVES["at"](micro_batch=4, optimizer=sgd)
    fit(module)
    assert module.net.unused.grad is None
    assert module.net.unused.item() == 1  # no weight decay either


def test_batch_norm_in_training_mode_sees_one_part_at_a_time():
    torch.manual_seed(0)
    module, twin = (StandardAT(SmallNet(width=4).double(), attack=PGD(0.1, start="zero")) for _ in range(2))
    twin.load_state_dict(module.state_dict())
    x, y = torch.rand(12, 1, 8, 8, dtype=torch.float64), torch.arange(12) % 10
    run_parts(MicroBatches(6), module, x, y)["loss"].backward()
    for half in (slice(0, 6), slice(6, 12)):
        (twin.objective(x[half], y[half])["loss"] / 2).backward()
    for one, other in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    for name, value in module.net.state_dict().items():
        torch.testing.assert_close(value, twin.net.state_dict()[name])


def run_parts(micro_batches, module, x, y, scale=1.0):
    params = list(module.parameters())
    return micro_batches(lambda part: module.objective(x[part], y[part]), len(y), params, torch.tensor(scale))


def test_no_two_parts_draw_the_same_noise():
    seen = []

    class Watching(StandardAT):
        def objective(self, x, y):
            x_adv = self.perturb(x, y)
            seen.append((x_adv - x).flatten(1))
            logits_adv = self(x_adv)
            return {"loss": nn.functional.cross_entropy(logits_adv, y), "logits_adv": logits_adv}

    noise = PGD(eps=0.1, alpha=1e-9, steps=1, restarts=2)  # the second run draws within the attack
    fit(Watching(net(), attack=noise, micro_batch=5), limit_train_batches=2, callbacks=[])
    rows = torch.cat(seen)
    assert [len(part) for part in seen] == [4] * 8
    assert (rows[:, None] != rows).any(dim=2).sum() == 32 * 31


@pytest.mark.parametrize(("count", "limit", "expected"), [(16, 6, [6, 5, 5]), (13, 6, [5, 4, 4]), (7, 6, [4, 3])])
def test_parts_are_of_equal_size_and_within_the_limit(count, limit, expected):
    sizes = [part.stop - part.start for part in parts_of(MicroBatches(limit), count)]
    assert sizes == expected


def parts_of(micro_batches, count):
    weight, seen = nn.Parameter(torch.ones(1)), []

    def objective(part):
        seen.append(part)
        return {"loss": weight.sum(), "logits_adv": torch.zeros(part.stop - part.start, 2)}

    outputs = micro_batches(objective, count, [weight], torch.tensor(1.0))
    assert len(outputs["logits_adv"]) == count
    assert outputs["loss"].item() == pytest.approx(1)
    return seen


class FullMemory(nn.Module):
    """A net on a device whose memory is full beyond some images: at a forward pass of a batch that takes gradients."""

    def __init__(self, layers, capacity):
        super().__init__()
        self.layers, self.capacity = layers, capacity

    def forward(self, x):
        if len(x) > self.capacity and not x.requires_grad:  # the attack fits, the update does not
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.layers(x)


def test_auto_halves_until_a_part_fits_and_stays_there():
    x, y = torch.rand(16, 1, 8, 8), torch.arange(16) % 10
    attack = PGD(0.1, start="zero")
    whole = StandardAT(net(), attack=attack)
    whole.objective(x, y)["loss"].backward()
    module = StandardAT(FullMemory(net(), capacity=5), attack=attack)
    micro_batches = MicroBatches("auto")
    with pytest.warns(UserWarning, match="does not suffice for 16 images; micro_batch is 4 from now on"):
        outputs = run_parts(micro_batches, module, x, y)
    outputs["loss"].backward()
    assert micro_batches.size == 4
    for one, other in zip(whole.net.parameters(), module.net.layers.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    assert [part.stop - part.start for part in parts_of(micro_batches, 9)] == [3, 3, 3]


@pytest.mark.parametrize(("limit", "capacity"), [("auto", 0), (3, 2)])
def test_memory_that_suffices_for_no_part_is_the_users_to_hear_of(limit, capacity):
    module = StandardAT(FullMemory(net(), capacity), attack=PGD(0.1, start="zero"))
    with pytest.raises(torch.OutOfMemoryError):
        run_parts(MicroBatches(limit), module, torch.rand(6, 1, 8, 8), torch.arange(6))


def test_gradients_too_small_for_half_precision_are_scaled_while_they_are_summed():
    weight, expected = nn.Parameter(torch.ones(1, dtype=torch.float16)), 3e-9
    micro_batches = MicroBatches(2)

    def objective(part):
        return {"loss": weight.float().sum() * expected}

    for scale in (1.0, 2.0**16):
        weight.grad = None
        loss = micro_batches(objective, 4, [weight], torch.tensor(scale))["loss"]
        (loss * 2.0**16).backward()  # as the gradient scaler does
        found = weight.grad.item() / 2.0**16
        assert found == (0 if scale == 1 else pytest.approx(expected, rel=1e-2))


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "half"])
def test_a_limit_that_counts_no_images_is_refused(value):
    with pytest.raises(InputError, match=r"micro_batch is .*, but it counts images from 1; write for example"):
        StandardAT(net(), micro_batch=value)


def test_auto_wants_a_gpu():
    with pytest.raises(InputError, match="this is a cpu; write a number of images, for example micro_batch: 32"):
        fit(OBJECTIVES["at"](micro_batch="auto"))


@pytest.mark.parametrize(("flag", "expected"), [("32", 32), ("auto", "auto"), ("null", None)])
def test_it_is_a_flag(flag, expected):
    config = resolved("-c", "digits_rsfgsm_der.yaml", "--model.micro_batch", flag)
    assert config["model"]["init_args"]["micro_batch"] == expected

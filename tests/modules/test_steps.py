"""One whole step of each objective against a plain transcription of its formulas: loss and weight gradients."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from energy_at.attacks import FGSM, PGD, RSFGSM
from energy_at.models import SmallNet
from energy_at.modules import DER, TRADES, WEAT, LinearDER, StandardAT

EPS, STEP, STEPS = 0.1, 0.03, 4


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(12, 1, 8, 8, dtype=torch.float64, generator=generator)
    return x, torch.randint(0, 10, (12,), generator=generator)


def net():
    torch.manual_seed(1)
    model = SmallNet(width=4).double()
    with torch.no_grad():  # running statistics unlike the batch's, so that the net's mode matters
        for buffer_name, buffer in model.named_buffers():
            if "running" in buffer_name:
                buffer.add_(torch.rand_like(buffer))
    return model.train()


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_same_step(module, plain_net, plain_loss, batch):
    outputs = module.objective(*batch)
    outputs["loss"].backward()
    plain_loss.backward()
    assert outputs["loss"].item() == pytest.approx(plain_loss.item(), rel=1e-12)
    expected = gradients(plain_net)
    for name, grad in gradients(module.net).items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-9, atol=1e-12)


def published_trades_attack(model, x, start):
    """The loop of the TRADES code: evaluation mode, KL summed over the batch, natural logits anew at each step."""
    model.eval()
    x_adv = start
    for _ in range(STEPS):
        x_adv = x_adv.detach().requires_grad_()
        p = torch.softmax(model(x), dim=1).detach()
        kl = (p * (p.log() - torch.log_softmax(model(x_adv), dim=1))).sum()
        grad = torch.autograd.grad(kl, x_adv)[0]
        x_adv = x_adv.detach() + STEP * grad.sign()
        x_adv = torch.min(torch.max(x_adv, x - EPS), x + EPS).clamp(0, 1)
    model.train()
    return x_adv


def plain_terms(model, x, x_adv, y):
    logits, logits_adv = model(x), model(x_adv)
    p, p_adv = torch.softmax(logits, 1), torch.softmax(logits_adv, 1)
    one_hot = F.one_hot(y, 10).double()
    ce = -(one_hot * p.log()).sum(1)
    ce_adv = -(one_hot * p_adv.log()).sum(1)
    kl = (p * (p.log() - p_adv.log())).sum(1)
    energy = -logits.exp().sum(1).log()
    return ce, ce_adv, kl, energy


def trades_start(module, x):
    noise = torch.empty_like(x).normal_(std=0.001, generator=module.step_generator())
    return x + noise


def trades_attack():
    return PGD(eps=EPS, alpha=STEP, steps=STEPS, loss="kl", start="gaussian")


def test_trades_step_is_its_published_code(batch):
    x, y = batch
    module, plain = TRADES(net(), beta=6.0, attack=trades_attack()), net()
    x_adv = published_trades_attack(plain, x, trades_start(module, x))
    ce, _, kl, _ = plain_terms(plain, x, x_adv, y)
    assert_same_step(module, plain, ce.mean() + 6.0 * kl.mean(), batch)


@pytest.mark.parametrize(("variant", "beta"), [("nat", 6.0), ("adv", 7.0)])
def test_weat_step_is_its_published_code(batch, variant, beta):
    x, y = batch
    module, plain = WEAT(net(), variant=variant, attack=trades_attack()), net()
    x_adv = published_trades_attack(plain, x, trades_start(module, x))
    ce, ce_adv, kl, energy = plain_terms(plain, x, x_adv, y)
    weights = (1 / torch.log(1 + torch.exp(energy.abs()))).detach()
    loss = (weights * ({"nat": ce, "adv": ce_adv}[variant] + beta * kl)).sum() / len(x)
    assert_same_step(module, plain, loss, batch)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_standard_at_attacks_in_the_mode_it_is_told(batch, mode):
    x, y = batch
    module, plain = StandardAT(net(), attack=FGSM(eps=EPS), attack_mode=mode), net()
    attacked = copy.deepcopy(plain).train(mode == "train")
    x_grad = x.clone().requires_grad_()
    F.cross_entropy(attacked(x_grad), y).backward()
    x_adv = (x + EPS * x_grad.grad.sign()).clamp(0, 1)
    assert_same_step(module, plain, F.cross_entropy(plain(x_adv), y), batch)


@pytest.mark.parametrize("passes", ["joint", "separate"])
@pytest.mark.parametrize("reference", ["natural", "start"])
@pytest.mark.parametrize("detach", ["none", "reference", "adversarial"])
def test_der_step_is_cross_entropy_and_squared_energy_differences(batch, passes, reference, detach):
    x, y = batch
    options = {"weight": 0.7, "terms": "both", "reference": reference, "detach": detach, "passes": passes}
    module = DER(net(), **options, attack=RSFGSM(eps=EPS, alpha=0.125))
    plain = net()
    noise = torch.empty_like(x).uniform_(-EPS, EPS, generator=module.step_generator())
    start = (x + noise).clamp(0, 1)
    x_grad = start.clone().requires_grad_()
    F.cross_entropy(copy.deepcopy(plain)(x_grad), y).backward()
    x_adv = torch.min(torch.max(start + 0.125 * x_grad.grad.sign(), x - EPS), x + EPS).clamp(0, 1)

    ref = {"natural": x, "start": start}[reference]
    if passes == "joint":
        logits_ref, logits_adv = plain(torch.cat([ref, x_adv])).chunk(2)
    else:
        logits_ref, logits_adv = plain(ref), plain(x_adv)
    ce = F.cross_entropy(logits_adv, y)
    ref_side = logits_ref.detach() if detach == "reference" else logits_ref
    adv_side = logits_adv.detach() if detach == "adversarial" else logits_adv
    marginal = adv_side.exp().sum(1).log() - ref_side.exp().sum(1).log()
    joint = (adv_side - ref_side)[torch.arange(len(y)), y]
    assert_same_step(module, plain, ce + 0.7 * (marginal**2).mean() + 0.7 * (joint**2).mean(), batch)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_linear_der_step_is_cross_entropy_and_the_energies_curvature(batch, share):
    x, y = batch
    module, plain = LinearDER(net(), weight=0.7, share=share, attack=RSFGSM(eps=EPS, alpha=0.125)), net()
    start = (x + torch.empty_like(x).uniform_(-EPS, EPS, generator=module.step_generator())).clamp(0, 1)
    x_grad = start.clone().requires_grad_()
    F.cross_entropy(copy.deepcopy(plain)(x_grad), y).backward()
    x_adv = torch.min(torch.max(start + 0.125 * x_grad.grad.sign(), x - EPS), x + EPS).clamp(0, 1)

    seen = math.ceil(share * len(x))
    t = torch.rand(seen, generator=module.step_generator(1), dtype=x.dtype)
    between = torch.stack([(1 - s) * a + s * b for s, a, b in zip(t, start, x_adv, strict=False)])
    logits = plain(torch.cat([start[:seen], between, x_adv]))
    labels = [*y[:seen], *y[:seen], *y]
    energies = [torch.stack([-f.exp().sum().log(), -f[k]]) for f, k in zip(logits, labels, strict=True)]
    first, middle, last = energies[:seen], energies[seen : 2 * seen], energies[2 * seen : 3 * seen]
    line = [(1 - s) * a + s * b for s, a, b in zip(t, first, last, strict=True)]
    curvature = sum(((a - b) ** 2).sum() for a, b in zip(line, middle, strict=True)) / seen
    assert_same_step(module, plain, F.cross_entropy(logits[2 * seen :], y) + 0.7 * curvature, batch)


def test_linear_der_without_weight_is_standard_at(batch):
    x, y = batch
    module, plain = LinearDER(net(), weight=0, attack=RSFGSM(eps=EPS)), StandardAT(net(), attack=RSFGSM(eps=EPS))
    ours, theirs = module.objective(x, y), plain.objective(x, y)
    assert torch.equal(ours["loss"], theirs["loss"])


def test_natural_logits_are_those_of_the_training_mode_and_leave_no_trace(batch):
    x, _ = batch
    module = StandardAT(net(), attack=FGSM(eps=EPS))
    expected = copy.deepcopy(module.net)(x)
    before = copy.deepcopy(module.net.state_dict())
    logits = module.natural_logits(x)
    torch.testing.assert_close(logits, expected)
    assert not logits.requires_grad
    assert all(torch.equal(before[name], value) for name, value in module.net.state_dict().items())

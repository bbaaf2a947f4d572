"""The other cures: a step of each against a plain transcription of its published formula, in float64."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from benchmarks import der_forms, linear_forms
from energy_at.attacks import FGSM, PGD, RSFGSM
from energy_at.baselines import gradient_alignment
from energy_at.modules import AAER, DER, ELLE, MART, GradAlign, LinearDER, StandardAT
from energy_at.types import InputError
from tests.modules.test_steps import EPS, STEP, STEPS, assert_same_step, batch, net, plain_terms

__all__ = ["batch"]


def fgsm(plain, x, y):
    x_grad = x.clone().requires_grad_()
    F.cross_entropy(copy.deepcopy(plain)(x_grad), y).backward()
    return (x + EPS * x_grad.grad.sign()).clamp(0, 1)


def rs_fgsm(plain, x, y, noise):
    start = (x + noise).clamp(0, 1)
    x_grad = start.clone().requires_grad_()
    F.cross_entropy(copy.deepcopy(plain)(x_grad), y).backward()
    return start, torch.min(torch.max(start + 1.25 * EPS * x_grad.grad.sign(), x - EPS), x + EPS).clamp(0, 1)


def ball(x, generator):
    return x + torch.empty_like(x).uniform_(-EPS, EPS, generator=generator)


def frozen_statistics(plain):
    """A copy of the net in training mode whose running statistics nobody looks at, with the same parameters."""
    shadow = copy.deepcopy(plain)
    for mine, theirs in zip(shadow.modules(), plain.modules(), strict=True):
        for name, parameter in theirs._parameters.items():
            mine._parameters[name] = parameter
    return shadow


def test_grad_align_step_is_its_published_formula(batch):
    x, y = batch
    module, plain = GradAlign(net(), weight=0.7, attack=FGSM(eps=EPS)), net()
    x_adv, at_random = fgsm(plain, x, y), ball(x, module.step_generator(1)).requires_grad_()
    at_image, shadow = x.clone().requires_grad_(), frozen_statistics(plain)
    (first,) = torch.autograd.grad(F.cross_entropy(shadow(at_image), y), at_image)
    (second,) = torch.autograd.grad(F.cross_entropy(shadow(at_random), y), at_random, create_graph=True)
    cosines = torch.stack(
        [(a * b).sum() / ((a * a).sum() * (b * b).sum()).sqrt() for a, b in zip(first, second, strict=True)]
    )
    assert_same_step(module, plain, F.cross_entropy(plain(x_adv), y) + 0.7 * (1 - cosines.mean()), batch)


def test_the_double_backward_of_the_alignment_is_right():
    torch.manual_seed(0)
    weight, x = torch.randn(5, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64)
    noise = 0.1 * torch.randn_like(x)

    def alignment(weight):
        def gradient(at):
            at = at.detach().requires_grad_()
            loss = torch.tanh(at @ weight.T).exp().sum()
            return torch.autograd.grad(loss, at, create_graph=True)[0]

        return gradient_alignment(gradient(x), gradient(x + noise))

    assert torch.autograd.gradcheck(alignment, weight.requires_grad_())


def test_the_alignment_of_known_gradients():
    grad = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 0]]).view(4, 1, 1, 2)
    other = torch.tensor([[2.0, 0], [0, 3], [-1, 0], [1, 0]]).view(4, 1, 1, 2)
    assert gradient_alignment(grad, other) == pytest.approx((1 + 0 - 1) / 3)
    assert gradient_alignment(grad[:2], other[:2]) == pytest.approx(0.5)


def elle_error(plain, x, y, generator):
    a, b = ball(x, generator), ball(x, generator)
    t = torch.rand(len(x), generator=generator, dtype=x.dtype)
    c = torch.stack([(1 - s) * p + s * q for s, p, q in zip(t, a, b, strict=True)])
    logits = plain(torch.cat([a, b, c])).chunk(3)
    l_a, l_b, l_c = (F.cross_entropy(part, y, reduction="none") for part in logits)
    return ((l_c - ((1 - t) * l_a + t * l_b)) ** 2).mean()


def test_elle_step_is_its_published_formula(batch):
    x, y = batch
    module, plain = ELLE(net(), weight=50.0, attack=FGSM(eps=EPS)), net()
    x_adv = fgsm(plain, x, y)
    loss = F.cross_entropy(plain(x_adv), y)
    assert_same_step(module, plain, loss + 50.0 * elle_error(plain, x, y, module.step_generator(1)), batch)


def test_the_adaptive_weight_jumps_where_the_error_surges_and_fades():
    module = ELLE(net(), weight=8.0, adaptive=True, decay=0.5, attack=FGSM(eps=EPS))
    errors = [1.0, 1.2, 0.8, 1.1, 9.0, 1.0, 1.0, 1.0]
    weights = [float(module._adapted(torch.tensor(error))) for error in errors]
    past, expected = [], 0.0
    for error, weight in zip(errors, weights, strict=True):
        mean = sum(past) / max(len(past), 1)
        std = (sum((e - mean) ** 2 for e in past) / max(len(past), 1)) ** 0.5
        expected = 8.0 if len(past) > 2 and error > mean + 2 * std else 0.5 * expected
        assert weight == pytest.approx(expected)
        past.append(error)
    assert 8.0 in weights
    assert weights[0] == 0.0


def test_aaer_step_is_its_published_formula(batch):
    x, y = batch
    module, plain = AAER(net(), 0.9, 2.5, 1.5, attack=RSFGSM(eps=EPS)), net()
    noise = torch.empty_like(x).uniform_(-EPS, EPS, generator=module.step_generator())
    start, x_adv = rs_fgsm(plain, x, y, noise)
    before = frozen_statistics(plain)(start).detach()
    logits = plain(x_adv)
    l0, l1 = (F.cross_entropy(f, y, reduction="none") for f in (before, logits))
    abnormal = [i for i in range(len(y)) if l0[i] > l1[i]]
    normal = [i for i in range(len(y)) if l0[i] <= l1[i]]
    assert abnormal  # else there is nothing to see
    assert normal
    v = ((logits - before) ** 2).sum(1)
    gap = v[abnormal].mean() - v[normal].mean().detach()
    penalty = 2.5 * (l0 - l1)[abnormal].mean() + 1.5 * max(gap, 0 * gap)
    assert_same_step(module, plain, l1.mean() + 0.9 * len(abnormal) / len(y) * penalty, batch)


def test_mart_step_is_its_published_code(batch):
    x, y = batch
    attack = PGD(eps=EPS, alpha=STEP, steps=STEPS, start="zero")
    module, plain = MART(net(), beta=5.0, attack=attack), net()
    x_adv = attack(copy.deepcopy(plain).eval(), x, y)
    _, ce_adv, _, _ = plain_terms(copy.deepcopy(plain), x, x_adv, y)
    logits, logits_adv = plain(x), plain(x_adv)
    p, p_adv = logits.softmax(1), logits_adv.softmax(1)
    top = p_adv.argsort(dim=1)[:, -2:]
    new_y = torch.where(top[:, -1] == y, top[:, -2], top[:, -1])
    boosted = F.cross_entropy(logits_adv, y) + F.nll_loss((1.0001 - p_adv + 1e-12).log(), new_y)
    true = p.gather(1, y[:, None]).squeeze(1)
    kl = F.kl_div((p_adv + 1e-12).log(), p, reduction="none").sum(1)
    assert_same_step_to(1e-7, module, plain, boosted + 5.0 * (kl * (1.0000001 - true)).mean(), batch)
    assert ce_adv.mean().item() == pytest.approx(F.cross_entropy(logits_adv, y).item())


def assert_same_step_to(tolerance, module, plain, loss, batch):
    """The published code's 1e-12 within the logarithms is no part of the formula."""
    outputs = module.objective(*batch)
    outputs["loss"].backward()
    loss.backward()
    assert outputs["loss"].item() == pytest.approx(loss.item(), rel=tolerance)
    for ours, theirs in zip(module.net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [GradAlign, ELLE])
def test_a_cure_on_a_share_of_the_batch_asks_what_it_asks_of_these_images(kind, batch):
    def penalty(images, labels, **options):
        module = kind(net(), weight=20.0, attack=FGSM(eps=EPS), **options)
        outputs = module.objective(images, labels)
        return (outputs["loss"] - F.cross_entropy(outputs["logits_adv"], labels)).item()

    x, y = batch
    half = len(x) // 2
    assert penalty(x, y, share=0.5) == pytest.approx(penalty(x[:half], y[:half]), rel=1e-9)
    assert penalty(x, y, share=0.5) != pytest.approx(penalty(x, y), rel=1e-3)


@pytest.mark.parametrize("off", [(GradAlign, {"weight": 0}), (ELLE, {"weight": 0}), (AAER, {"lambda1": 0})])
def test_without_its_penalty_a_cure_is_standard_at(off, batch):
    kind, options = off
    attack = RSFGSM(eps=EPS)
    ours, theirs = kind(net(), attack=attack, **options), StandardAT(net(), attack=attack)
    assert torch.equal(ours.objective(*batch)["loss"], theirs.objective(*batch)["loss"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GradAlign(net(), weight=-1), "weight is -1, but a penalty's weight is finite and at least 0"),
        (lambda: GradAlign(net(), share=2), "share is 2, but it is a part of the batch"),
        (lambda: ELLE(net(), share=0), "share is 0, but it is a part of the batch"),
        (lambda: ELLE(net(), decay=1), "decay is 1, but it is a factor in"),
        (lambda: AAER(net(), lambda3=-2), "lambda3 is -2, but a penalty's weight is finite and at least 0"),
        (lambda: MART(net(), beta=-1), "beta is -1, .* write for example beta: 5"),
        (lambda: MART(net(), label_smoothing=0.1), "MART's cross-entropy has none"),
    ],
)
def test_a_value_out_of_range_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_the_forms_between_elle_and_linear_der_end_in_both(batch):
    def loss(kind, **options):
        # frozen statistics: a form passes the attack's end twice, as the line's end and as the adversarial image
        module = kind(net().eval(), attack=RSFGSM(eps=EPS), attack_mode="eval", **options)
        return module.objective(*batch)["loss"].item()

    whole = {"weight": 30, "share": 1}
    assert loss(linear_forms.OnPoints, **whole) == pytest.approx(loss(LinearDER, **whole), rel=1e-12)
    ball, (x, y) = linear_forms.CrossEntropyInTheBall(net(), attack=RSFGSM(eps=EPS)), batch
    ends = ball.ends(x, x, x)
    assert all((end - x).abs().max() <= EPS for end in ends)
    assert any(end.min() < 0 for end in ends)  # not clipped
    line, t = [torch.randn(12, 10, dtype=torch.float64) for _ in range(3)], torch.rand(12, dtype=torch.float64)
    a, c, b = (F.cross_entropy(logits, y, reduction="none") for logits in line)
    assert ball.penalty(*line, y, t).item() == pytest.approx(((c - (1 - t) * a - t * b) ** 2).mean().item(), rel=1e-12)


def test_the_forms_of_der_differ_from_it_in_one_thing_each(batch):
    x, y = batch
    options = {"attack": RSFGSM(eps=EPS), "attack_mode": "eval", "weight": 4.0, "terms": "marginal"}
    module = der_forms.InThreeDirections(net().eval(), **options)
    corners = module.corners(x)
    for corner in corners:
        at_bounds = (corner - x).abs().sub(EPS).abs() < 1e-9
        assert (at_bounds | (corner == 0) | (corner == 1)).all()
    assert not torch.equal(*corners)
    x0 = module.draw_start(x)
    x_adv = module.perturb(x, y, x0)
    start, *ends = (module(image) for image in (x0, x_adv, *corners))
    energy_of = {id(logits): -logits.logsumexp(1) for logits in (start, *ends)}
    squares = [((energy_of[id(start)] - energy_of[id(end)]) ** 2).mean() for end in ends]
    expected = F.cross_entropy(ends[0], y) + 4 * sum(squares) / 3
    assert module.objective(x, y)["loss"].item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(("epoch", "weight"), [(0, 4.0), (2, 22.0), (4, 40.0)])
def test_the_growing_weight_is_ten_times_as_large_in_the_last_epoch(batch, epoch, weight):
    options = {"attack": RSFGSM(eps=EPS), "attack_mode": "eval", "terms": "marginal"}
    same_net = net().eval()
    modules = [der_forms.Growing(same_net, weight=4.0, **options), DER(same_net, weight=weight, **options)]
    for module in modules:
        module._trainer = SimpleNamespace(current_epoch=epoch, max_epochs=5, global_rank=0)
    growing, constant = (module.objective(*batch)["loss"].item() for module in modules)
    assert growing == pytest.approx(constant, rel=1e-12)

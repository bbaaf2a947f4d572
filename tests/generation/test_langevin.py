import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch.nn import functional as F

from energy_at.generation import LangevinSampler
from energy_at.generation.noise import normal, uniform
from energy_at.types import InputError
from tests.generation import ConvNet, QuadraticNet, reference

N = 24
X0 = uniform(torch.arange(N), -9, (1, 8, 8))
Y = torch.arange(N) % 10
SEEDS = torch.arange(100, 100 + N)


def energies(net, x, y):
    with torch.no_grad():
        return -net.eval()(x).gather(1, y[:, None])[:, 0]


def one_step(net, energy):
    """The gradient that a step followed, from where it led."""
    step = LangevinSampler(step_size=2.0, noise=0, steps=1, energy=energy, clip=False)
    return X0 - step(net, X0, Y, SEEDS).x


@pytest.mark.parametrize(
    ("energy", "formula"),
    [
        ("joint", lambda logits: -logits[torch.arange(N), Y]),
        ("marginal", lambda logits: -logits.exp().sum(1).log()),
        ("cross_entropy", lambda logits: F.cross_entropy(logits, Y, reduction="none")),
        ("conditional", lambda logits: logits.exp().sum(1).log() - logits[torch.arange(N), Y]),
        (lambda logits, y: logits.square().sum(1), lambda logits: logits.square().sum(1)),
    ],
)
def test_a_step_follows_the_gradient_of_its_energy(energy, formula):
    net = ConvNet().eval()
    x = X0.clone().requires_grad_()
    (expected,) = torch.autograd.grad(formula(net(x)).sum(), x)
    torch.testing.assert_close(one_step(net, energy), expected, atol=1e-6, rtol=1e-4)


def test_noise_has_the_published_scale_and_comes_from_seed_and_step():
    flat = QuadraticNet(torch.zeros(10, 64), torch.zeros(10))
    sampler = LangevinSampler(step_size=0.8, noise=0.01, steps=2, clip=False)
    moved = sampler(flat, X0, Y, SEEDS).x - X0
    expected = 0.01 * 1.6**0.5 * (normal(SEEDS, 0, (1, 8, 8)) + normal(SEEDS, 1, (1, 8, 8)))
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("friction", [0.0, 0.5, 0.8])
def test_on_a_quadratic_energy_the_stationary_moments_are_the_gaussians(friction):
    eta, sigma, curvatures = 0.3, 0.5, torch.tensor([1.0, 2.0, 4.0])
    centres = torch.tensor([[0.5] * 8, [1.0] * 8, [-2.0] * 8])
    count = 6000
    y, seeds = torch.arange(count) % 3, torch.arange(count)
    sampler = LangevinSampler(eta, friction, sigma, steps=60, clip=False)
    x = sampler(QuadraticNet(centres, curvatures), centres[y].view(count, 1, 2, 4), y, seeds).x
    for label in range(3):
        pull = eta * float(curvatures[label]) / 2
        step = np.array([[1 - pull, friction], [-pull, friction]])  # of (x - centre, v)
        variance = solve_discrete_lyapunov(step, np.diag([2 * eta * sigma**2, 0.0]))[0, 0]
        if friction == 0:
            assert variance == pytest.approx(2 * eta * sigma**2 / (1 - (1 - pull) ** 2))
        values = x[y == label].flatten()
        assert abs(values.mean() - centres[label, 0]) < 4.5 * (variance / len(values)) ** 0.5
        assert abs(values.var() / variance - 1) < 4.5 * (2 / len(values)) ** 0.5


def test_without_noise_a_quadratic_energy_is_descended_in_closed_form():
    net = QuadraticNet(torch.full((10, 64), 0.4), torch.full((10,), 0.5))
    samples = LangevinSampler(step_size=0.8, noise=0, steps=10)(net, X0, Y, SEEDS)
    torch.testing.assert_close(samples.x, 0.4 + (X0 - 0.4) * (1 - 0.4 * 0.5) ** 10)
    torch.testing.assert_close(samples.energies, 0.25 * (samples.x - 0.4).square().flatten(1).sum(1))


def test_iterates_are_clipped_at_every_step():
    net = QuadraticNet(torch.full((10, 64), 3.0), torch.ones(10))
    assert LangevinSampler(steps=20)(net, X0, Y, SEEDS).x.max() == 1
    assert LangevinSampler(steps=20, clip=False)(net, X0, Y, SEEDS).x.max() > 2


def test_energies_are_those_of_the_returned_images():
    net = ConvNet()
    samples = LangevinSampler(steps=5, energy="marginal")(net, X0, Y, SEEDS)
    torch.testing.assert_close(samples.energies, energies(net, samples.x, Y))
    assert samples.steps.eq(5).all()
    assert not samples.x.requires_grad


def test_without_steps_the_starts_return():
    net = ConvNet()
    samples = LangevinSampler(steps=0)(net, X0, Y, SEEDS)
    assert torch.equal(samples.x, X0)
    torch.testing.assert_close(samples.energies, energies(net, X0, Y))


def targets_midway(net, sampler, quantile=0.6):
    """Targets of which most are reached somewhere on the way, one at once, and one never."""
    before, after = energies(net, X0, Y), sampler(net, X0, Y, SEEDS).energies
    stop = before + (after - before) * torch.linspace(0.1, 1.2, N)
    stop[3], stop[5] = before[3] + 1, -1e6
    return stop


@pytest.mark.parametrize("friction", [0.0, 0.6])
def test_stopping_and_compaction_equal_a_plain_loop_over_each_sample(friction):
    net = ConvNet().eval()
    sampler = LangevinSampler(step_size=0.02, friction=friction, noise=0.005, steps=15)
    stop = targets_midway(net, sampler)
    samples = sampler(net, X0, Y, SEEDS, stop)
    for i in range(N):
        x, energy, steps = reference(sampler, net, X0[i], Y[i], SEEDS[i], stop[i])
        torch.testing.assert_close(samples.x[i], x, atol=1e-5, rtol=0)
        assert float(samples.energies[i]) == pytest.approx(energy, abs=1e-4)
        assert int(samples.steps[i]) == steps
    assert samples.steps[3] == 0
    assert torch.equal(samples.x[3], X0[3])
    assert samples.steps[5] == 15
    assert len(samples.steps.unique()) > 5
    stopped = samples.steps < 15
    assert (samples.energies <= stop)[stopped].all()


def test_work_falls_as_samples_finish():
    net = ConvNet()
    sampler = LangevinSampler(step_size=0.02, steps=15)
    stop = targets_midway(net, sampler)
    net.seen = 0
    samples = sampler(net, X0, Y, SEEDS, stop)
    assert net.seen == int(samples.steps.sum()) + N  # a step each, and the look at the last image
    assert net.seen < 16 * N


@pytest.mark.parametrize("with_stop", [False, True])
def test_images_do_not_depend_on_the_batch(with_stop):
    net = ConvNet()
    sampler = LangevinSampler(step_size=0.02, friction=0.3, noise=0.01, steps=12)
    stop = targets_midway(net, sampler) if with_stop else None
    whole = sampler(net, X0, Y, SEEDS, stop)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    for rows in (*order.split(1), *order.split(7)):
        part = sampler(net, X0[rows], Y[rows], SEEDS[rows], None if stop is None else stop[rows])
        torch.testing.assert_close(part.x, whole.x[rows], atol=1e-5, rtol=0)
        torch.testing.assert_close(part.energies, whole.energies[rows], atol=1e-4, rtol=0)
        assert torch.equal(part.steps, whole.steps[rows])


def test_another_seed_is_another_image():
    net = ConvNet()
    assert not torch.equal(LangevinSampler()(net, X0, Y, SEEDS).x, LangevinSampler()(net, X0, Y, SEEDS + N).x)


def test_the_callers_state_is_kept():
    net = ConvNet().train()
    net.layers[1].eval()
    net.layers[5].weight.grad = torch.ones(10, 512)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x0, y, seeds, stop = X0.clone(), Y.clone(), SEEDS.clone(), torch.zeros(N)
    state = torch.get_rng_state()
    first = LangevinSampler(steps=3)(net, x0, y, seeds, stop)
    assert [layer.training for layer in net.layers] == [True, False, True, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.layers[5].weight.grad.eq(1).all()
    assert net.layers[0].weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x0, X0)
    assert torch.equal(LangevinSampler(steps=3)(net.eval(), x0, y, seeds, stop).x, first.x)  # dropout was off


def test_the_mode_is_kept_after_an_error():
    net = ConvNet().train()
    with pytest.raises(RuntimeError):
        LangevinSampler()(net, X0[:, :, :5], Y, SEEDS)
    assert net.training


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(context):
    net = ConvNet()
    expected = LangevinSampler(steps=3)(net, X0, Y, SEEDS)
    with context():
        found = LangevinSampler(steps=3)(net, X0.clone(), Y.clone(), SEEDS.clone(), torch.full((N,), -1e6))
    assert torch.equal(found.x, expected.x)


def test_it_works_under_autocast():
    net = ConvNet()
    with torch.autocast("cpu", torch.bfloat16):
        half = LangevinSampler(steps=5, step_size=0.05)(net, X0, Y, SEEDS)
    assert half.x.dtype == half.energies.dtype == torch.float32
    torch.testing.assert_close(half.x, LangevinSampler(steps=5, step_size=0.05)(net, X0, Y, SEEDS).x, atol=0.02, rtol=0)


def test_an_empty_batch():
    samples = LangevinSampler()(ConvNet(), X0[:0], Y[:0], SEEDS[:0])
    assert samples.x.shape == (0, 1, 8, 8)
    assert len(samples.energies) == len(samples.steps) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"step_size": 0},
        {"step_size": float("inf")},
        {"friction": 1},
        {"friction": -0.1},
        {"noise": -1},
        {"steps": -1},
        {"energy": "free"},
    ],
)
def test_impossible_values_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"{name} (is )?{value!r}"):
        LangevinSampler(**options)


def test_lengths_that_differ_are_refused():
    with pytest.raises(InputError, match=r"lengths \[24, 24, 23\]"):
        LangevinSampler()(ConvNet(), X0, Y, SEEDS[1:])


def test_energies_that_leave_the_finite_numbers_are_an_error():
    net = QuadraticNet(torch.zeros(10, 64), torch.full((10,), 1e3))
    with pytest.raises(InputError, match="no longer finite with step_size 5"):
        LangevinSampler(step_size=5, steps=30, clip=False)(net, X0, Y, SEEDS)


def test_the_callback_sees_what_the_net_sees_and_changes_nothing():
    net = ConvNet()
    sampler = LangevinSampler(step_size=0.02, friction=0.3, noise=0.01, steps=12)
    stop = targets_midway(net, sampler)
    shown, net.seen = [], 0
    samples = sampler(net, X0, Y, SEEDS, stop, shown.append)
    assert sum(len(step.rows) for step in shown) == net.seen
    assert all(torch.equal(a, b) for a, b in zip(sampler(net, X0, Y, SEEDS, stop), samples, strict=True))
    assert torch.equal(shown[0].x, X0)
    for limit in (0, 1, 5, 12):  # with fewer steps, samples would be as they were then
        fewer = LangevinSampler(step_size=0.02, friction=0.3, noise=0.01, steps=limit)(net, X0, Y, SEEDS, stop)
        last = [step for step in shown if step.step <= limit]
        for row in range(N):
            *_, step = (step for step in last if row in step.rows)
            torch.testing.assert_close(step.x[step.rows == row][0], fewer.x[row], atol=1e-5, rtol=0)
            torch.testing.assert_close(step.energies[step.rows == row][0], fewer.energies[row], atol=1e-4, rtol=0)
            assert step.step == fewer.steps[row]


def test_a_normalised_step_has_its_length_along_the_gradient():
    net = ConvNet().eval()
    sampler = LangevinSampler(step_size=0.3, noise=0, steps=1, clip=False, normalize=True)
    moved = (sampler(net, X0, Y, SEEDS).x - X0).flatten(1)
    downhill = -one_step(net, "joint").flatten(1)
    torch.testing.assert_close(moved.norm(dim=1), torch.full((N,), 0.3), atol=1e-5, rtol=0)
    torch.testing.assert_close(F.cosine_similarity(moved, downhill), torch.ones(N), atol=1e-5, rtol=0)


def test_a_normalised_step_stays_where_nothing_pulls():
    flat = QuadraticNet(torch.zeros(10, 64), torch.zeros(10))
    sampler = LangevinSampler(step_size=0.3, noise=0, steps=3, normalize=True)
    assert torch.equal(sampler(flat, X0, Y, SEEDS).x, X0)


def test_a_sampler_with_other_steps_is_otherwise_the_same():
    sampler = LangevinSampler(step_size=0.3, friction=0.2, steps=7)
    other = sampler.with_steps(2)
    assert vars(other) == {**vars(sampler), "steps": 2}
    assert sampler.steps == 7

import pytest
import torch

from energy_at.attacks.threat import L2, THREATS, Linf
from tests.attacks import NORMS, assert_valid, distances, images

SHAPES = [(1, 1, 1, 1), (1, 3, 5, 2), (4, 1, 1, 7), (3, 2, 4, 4)]
FULL = [torch.float32, torch.float64]
HALF = [torch.float16, torch.bfloat16]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FULL)
@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.3, 5.0])
def test_noise_and_projection_stay_in_the_ball(norm, shape, dtype, eps):
    threat, x = THREATS[norm], images(*shape, dtype=dtype)
    noise = threat.noise(x, eps, generator())
    assert distances(noise, torch.zeros_like(x), norm).max() <= eps * (1 + 1e-6)
    far = x + 10 * torch.randn(shape, generator=generator(1), dtype=dtype)
    for point in (x, x + noise, far):
        projected = threat.project(point, x, eps)
        assert projected.dtype == dtype
        assert_valid(projected, x, eps, norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FULL)
def test_a_ball_without_radius_is_its_centre(norm, dtype):
    threat, x = THREATS[norm], images(3, 2, 4, 4, dtype=dtype)
    assert not threat.noise(x, 0.0, generator()).any()
    assert torch.equal(threat.project(torch.randn_like(x), x, 0.0), x)


@pytest.mark.parametrize("norm", NORMS)
def test_projecting_twice_changes_nothing_and_a_point_inside_stays(norm):
    threat, x = THREATS[norm], images(4, 2, 3, 3)
    once = threat.project(x + torch.randn(x.shape, generator=generator(), dtype=x.dtype), x, 0.4)
    torch.testing.assert_close(threat.project(once, x, 0.4), once, atol=1e-15, rtol=0)


def test_linf_projection_finds_the_nearest_point_of_ball_and_box():
    x, eps = images(1, 1, 2, 2), 0.3
    far = x + torch.randn(x.shape, generator=generator(), dtype=x.dtype)
    candidates = (x + eps * (2 * torch.rand(4000, 1, 2, 2, generator=generator(1), dtype=x.dtype) - 1)).clamp(0, 1)
    projected = Linf.project(far, x, eps)
    assert distances(projected, far, "L2") <= distances(candidates, far.expand_as(candidates), "L2").min()


def test_l2_projection_finds_the_nearest_point_of_the_ball():
    x, eps = images(1, 1, 2, 2, low=0.4, high=0.6), 0.2
    far = x + torch.randn(x.shape, generator=generator(), dtype=x.dtype)
    candidates = x + L2.noise(x.expand(4000, 1, 2, 2), eps, generator(1))
    projected = L2.project(far, x, eps)
    assert distances(projected, far, "L2") <= distances(candidates, far.expand_as(candidates), "L2").min()
    torch.testing.assert_close(distances(projected, far, "L2"), distances(far, x, "L2") - eps)


def test_linf_noise_is_uniform_in_every_pixel():
    noise = Linf.noise(torch.zeros(20000, 1, 1, 2, dtype=torch.float64), 0.5, generator()).flatten(1)
    quantiles = torch.linspace(0, 1, 11, dtype=torch.float64)
    for pixel in noise.T:
        torch.testing.assert_close(pixel.quantile(quantiles), quantiles - 0.5, atol=0.02, rtol=0)
    assert torch.corrcoef(noise.T)[0, 1].abs() < 0.03


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_l2_noise_is_uniform_in_the_ball(pixels):
    noise = L2.noise(torch.zeros(20000, 1, 1, pixels, dtype=torch.float64), 0.5, generator()).flatten(1)
    quantiles = torch.linspace(0, 1, 11, dtype=torch.float64)
    share = (noise.norm(dim=1) / 0.5) ** pixels  # the volume within a sample's own radius
    torch.testing.assert_close(share.quantile(quantiles), quantiles, atol=0.02, rtol=0)
    direction = noise / noise.norm(dim=1, keepdim=True)
    assert direction.mean(dim=0).abs().max() < 0.03
    torch.testing.assert_close(
        direction.T @ direction / 20000, torch.eye(pixels, dtype=torch.float64) / pixels, atol=0.02, rtol=0
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", FULL + HALF)
def test_noise_follows_its_generator_and_keeps_shape_and_dtype(norm, dtype):
    x = images(3, 2, 4, 4, dtype=dtype)
    first, second, other = (THREATS[norm].noise(x, 0.25, generator(seed)) for seed in (0, 0, 1))
    assert (first.shape, first.dtype) == (x.shape, dtype)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dtype", FULL)
def test_a_linf_step_moves_every_pixel_by_alpha_along_its_sign(dtype):
    x = images(3, 2, 4, 4, dtype=dtype)
    grad = torch.randn(x.shape, generator=generator(), dtype=dtype)
    grad[0, 0, 0, 0] = 0
    torch.testing.assert_close(
        Linf.step(x, grad, 0.1), torch.where(grad > 0, x + 0.1, torch.where(grad < 0, x - 0.1, x))
    )


@pytest.mark.parametrize("scale", [1e-35, 1e-20, 1e-10, 1.0, 1e20, 1e35])
@pytest.mark.parametrize("dtype", FULL)
def test_an_l2_step_has_length_alpha_however_small_or_large_the_gradient(scale, dtype):
    x = torch.zeros(3, 2, 4, 4, dtype=dtype)
    direction = torch.randn(x.shape, generator=generator(), dtype=torch.float64)
    step = L2.step(x, (scale * direction).to(dtype), 0.1)
    unit = direction / direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(step.double(), 0.1 * unit, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", FULL + HALF)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("broken", [0.0, float("nan")])
def test_a_gradient_that_is_zero_or_no_number_moves_its_image_nowhere(norm, dtype, broken):
    x = images(3, 2, 4, 4, dtype=dtype, low=0.25, high=0.75)
    grad = torch.randn(x.shape, generator=generator()).to(dtype)
    grad[1] = broken
    moved = THREATS[norm].step(x, grad, 0.125)
    assert moved.dtype == dtype
    assert moved.isfinite().all()
    assert torch.equal(moved[1], x[1])
    assert (distances(moved, x, norm)[[0, 2]] > 0.1).all()


@pytest.mark.parametrize("norm", NORMS)
def test_an_infinite_gradient_leaves_finite_images(norm):
    grad = torch.ones(2, 1, 3, 3)
    grad[0, 0, 0, 0] = torch.inf
    assert THREATS[norm].step(torch.zeros(2, 1, 3, 3), grad, 0.1).isfinite().all()


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_l2_stays_in_the_ball_within_its_rounding(dtype):
    x = images(4, 3, 8, 8, dtype=dtype)
    noise = L2.noise(x, 0.5, generator())
    assert distances(noise, torch.zeros_like(x), "L2").max() <= 0.5 * (1 + torch.finfo(dtype).eps)
    assert_valid(L2.project(x + 3 * noise, x, 0.5), x, 0.5, "L2")
    assert torch.equal(L2.project(x, x, 0.5), x)


@pytest.mark.parametrize("norm", NORMS)
def test_channels_last_images_stay_channels_last_with_the_same_values(norm):
    threat, x = THREATS[norm], images(3, 2, 4, 4)
    grad = torch.randn(x.shape, generator=generator(), dtype=x.dtype)
    expected = threat.project(threat.step(x, grad, 0.4), x, 0.3)
    nhwc = x.to(memory_format=torch.channels_last)
    actual = threat.project(threat.step(nhwc, grad.to(memory_format=torch.channels_last), 0.4), nhwc, 0.3)
    assert actual.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("norm", NORMS)
def test_an_empty_batch_passes_through(norm):
    threat, x = THREATS[norm], torch.rand(0, 3, 4, 4)
    moved = threat.step(x + threat.noise(x, 0.1, generator()), x, 0.1)
    assert threat.project(moved, x, 0.1).shape == (0, 3, 4, 4)

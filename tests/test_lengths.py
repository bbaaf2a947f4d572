"""Lengths of images: closed forms, the smallest gradients there are, and gradients of gradients."""

import pytest
import torch

from energy_at.lengths import l2_length, unit


def test_lengths_are_those_of_torch():
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    expected = torch.linalg.vector_norm(x.flatten(1), dim=1)
    torch.testing.assert_close(l2_length(x), expected.view(5, 1, 1, 1))
    torch.testing.assert_close(unit(x), x / expected.view(5, 1, 1, 1))


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1.0, 1e20, 1e38])
def test_no_length_underflows_or_overflows(scale):
    x = torch.randn(3, 1, 5, 5).clamp(-2, 2)
    torch.testing.assert_close(unit(x * scale), unit(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nothing_has_no_direction(dtype):
    x = torch.zeros(3, 1, 2, 2, dtype=dtype)
    x[1] = torch.nan
    x[2] = 2.0
    found = unit(x)
    assert found.dtype == dtype
    assert found[:2].eq(0).all()
    torch.testing.assert_close(found[2], torch.full((1, 2, 2), 0.5, dtype=dtype))


def test_gradients_pass_through():
    x = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, x)
    assert torch.autograd.gradgradcheck(unit, x)
    zero = torch.zeros(1, 1, 2, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(unit(zero).sum() + l2_length(zero).sum(), zero)
    assert grad.isfinite().all()

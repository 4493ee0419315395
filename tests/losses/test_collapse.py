"""Collapsed and saturated inputs: neither NaN nor a reward, in single precision as in double."""

import math

import pytest
import torch

from gcl.losses import CCASSG, BarlowTwins, MutualInformation
from gcl.losses.moments import standardise
from tests.losses.test_without_negatives import HADAMARD


@pytest.mark.parametrize("form", ["marginal", "joint"])
@pytest.mark.parametrize("scale", [90.0, 110.0, 200.0, 1e4])
def test_information_of_sure_assignments_has_a_finite_gradient(form, scale):
    """The loss drives probabilities to 0, where the slope of p log p is infinite."""
    z = (scale * torch.eye(4)).requires_grad_()
    value = MutualInformation(form)(z, z)
    value.backward()
    assert value.item() == pytest.approx(-math.log(4), abs=1e-6)
    assert bool(torch.isfinite(z.grad).all()) and float(z.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("form", ["marginal", "joint"])
def test_information_in_single_precision_has_the_gradient_of_double(form):
    z = 40 * torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grads = []
    for dtype in (torch.float32, torch.float64):
        leaf = z.to(dtype).requires_grad_()
        MutualInformation(form)(leaf, leaf.flip(1)).backward()
        grads.append(leaf.grad.double())
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-6, 100.3, -7.7e5])
@pytest.mark.parametrize("rows", [3, 64, 4099])
def test_a_collapsed_column_is_not_taken_for_agreement(dtype, size, rows):
    """Its variance is the rounding of its mean: standardised, that noise agrees perfectly with itself."""
    z = torch.full((rows, 4), size, dtype=dtype, requires_grad=True)
    barlow, cca = BarlowTwins()(z, z), CCASSG()(z, z)
    assert barlow.item() == pytest.approx(4.0, abs=1e-3) and cca.item() == pytest.approx(0.008, abs=1e-5)
    (barlow + cca).backward()
    assert bool(torch.isfinite(z.grad).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shifts_and_scales_change_nothing(dtype):
    z = HADAMARD.to(dtype)
    for moved in (1e-7 * z, 1e6 * z, z + 1e3, 1e-2 * z + 100):
        torch.testing.assert_close(standardise(moved), z, rtol=1e-2, atol=1e-2)
        assert BarlowTwins()(moved, z).item() == pytest.approx(0.0, abs=1e-3)

"""The fused mean over a catalogue against cross-entropy."""

import pytest
import torch
import torch.nn.functional as F

from gcl.losses.functional import partition
from gcl.losses.functional.catalogue import mean_catalogue_softmax


def problem(dtype=torch.float64, spread=1.0, rows=40, items=23):
    generator = torch.Generator().manual_seed(0)
    x, y = (spread * torch.randn(n, 5, generator=generator, dtype=dtype) for n in (rows, items))
    return x.requires_grad_(), y.requires_grad_(), torch.randint(items, (rows,), generator=generator)


@pytest.mark.parametrize("spread", [1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("tile", [1, 10**6])
def test_value_and_gradient_are_those_of_cross_entropy(dtype, spread, tile, monkeypatch):
    monkeypatch.setitem(partition.TILE, "cpu", tile)
    monkeypatch.setattr(partition, "LEAST_ROWS", 7)
    x, y, targets = problem(dtype, spread)
    ours, exact = mean_catalogue_softmax(x, y, targets), F.cross_entropy(x.double() @ y.double().T, targets)
    exactness = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(ours.double(), exact, **exactness)
    for a, b in zip(*(torch.autograd.grad(3 * f, (x, y)) for f in (ours, exact)), strict=True):
        torch.testing.assert_close(a, b, **exactness)


def test_half_precision_is_lifted_and_autocast_is_off():
    x, y, targets = problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mean_catalogue_softmax(x, y, targets), mean_catalogue_softmax(x, y, targets))
        found = mean_catalogue_softmax(x, y, targets)
    assert torch.equal(found, mean_catalogue_softmax(x, y, targets))
    half = mean_catalogue_softmax(x.bfloat16(), y.bfloat16(), targets)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, found, rtol=0.05, atol=0.05)


def test_no_rows_give_zero():
    x, y, _ = problem()
    loss = mean_catalogue_softmax(x[:0], y, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0 and bool((y.grad == 0).all())


def test_only_first_derivatives():
    x, y, targets = problem()
    (first,) = torch.autograd.grad(mean_catalogue_softmax(x, y, targets), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()

"""A set against itself: half the matrix gives the value and gradient of the whole."""

import math

import pytest
import torch

from gcl.losses.functional import log_partition
from gcl.losses.functional import partition as module
from gcl.losses.functional.within import _Within, within_partition

IDS = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 7])
DISTINCT = torch.arange(11).flip(0)


@pytest.fixture(params=[1, 40, 2**20], ids=["a row", "ragged", "one tile"])
def tile(request, monkeypatch):
    monkeypatch.setitem(module.TILE, "cpu", request.param)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)


def draw(count=11, dim=5):
    x = torch.randn(count, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=1)


@pytest.mark.parametrize(
    ("keep", "ids"),
    [("different", None), ("different", DISTINCT), ("different", IDS), ("equal", IDS), ("all", None), ("all", IDS)],
)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("inverse", [5.0, 300.0])
def test_equal_to_the_whole_matrix(tile, keep, ids, biased, inverse):
    x, upstream = draw(), torch.rand(11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bias = torch.linspace(-2, 1, 11, dtype=torch.float64)
    results = []
    for halved in (True, False):
        leaves = [x.clone().requires_grad_(), bias.clone().requires_grad_()]
        b = leaves[1] if biased else None
        if halved:
            total = within_partition(leaves[0], inverse, bias=b, ids=ids, keep=keep, stream=True)
        else:
            total, _ = log_partition(
                leaves[0] * inverse, leaves[0], bias=b, row_ids=ids, column_ids=ids, keep=keep, stream=False
            )
            total = total if b is None else total + b
        safe = torch.where(total == -math.inf, 0.0, total)
        grads = torch.autograd.grad((safe * upstream).sum(), leaves, allow_unused=True)
        results.append((total, *grads))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_wide_ranges_take_the_general_way(monkeypatch):
    monkeypatch.setattr(_Within, "apply", lambda *a: pytest.fail("exponentials of one shift would vanish"))
    total = within_partition(-draw().float(), 1000.0, stream=True)
    assert bool(torch.isfinite(total).all())


def test_an_empty_set():
    assert within_partition(torch.zeros(0, 3), 1.0).shape == (0,)


def test_two_backward_passes_give_the_same(tile):
    x = draw().requires_grad_()
    total = within_partition(x, 5.0, stream=True).square().sum()
    (first,) = torch.autograd.grad(total, x, retain_graph=True)
    assert torch.equal(first, torch.autograd.grad(total, x)[0])

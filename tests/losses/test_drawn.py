"""The partition over shared candidates against the dense one."""

import pytest
import torch

from gcl.losses.functional import drawn
from gcl.losses.functional.drawn import drawn_partition, equal_pairs
from gcl.losses.functional.partition import log_partition


def problem(dtype=torch.float64, spread=1.0):
    generator = torch.Generator().manual_seed(0)
    x, y = (spread * torch.randn(n, 4, generator=generator, dtype=dtype) for n in (9, 6))
    bias = torch.randn(6, generator=generator, dtype=dtype) * 3
    rows, columns = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 4]), torch.tensor([4, 9, 4, 2, 8, 8])
    return x.requires_grad_(), y.requires_grad_(), bias, rows, columns


@pytest.mark.parametrize(("dtype", "spread"), [(torch.float64, 1.0), (torch.float32, 1.0), (torch.float32, 30.0)])
def test_value_and_gradient_are_the_dense_ones(dtype, spread):
    x, y, bias, rows, columns = problem(dtype, spread)
    ours = drawn_partition(x, y, bias, rows, columns)
    dense = log_partition(*(t.double() for t in (x, y)), bias=bias.double(), row_ids=rows, column_ids=columns,
                          stream=False)[0]  # fmt: skip
    torch.testing.assert_close(ours.double(), dense, rtol=1e-5, atol=1e-5)
    weight = torch.linspace(-1, 2, 9, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad((f.double() * weight).sum(), (x, y)) for f in (ours, dense)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_row_whose_columns_are_all_its_own_is_empty():
    x, y, bias, _, _ = problem()
    rows = torch.tensor([3, *range(10, 18)])
    found = drawn_partition(x, y, bias, rows, torch.full((6,), 3))
    assert found[0].item() == -torch.inf and bool(torch.isfinite(found[1:]).all())
    dx, dy = torch.autograd.grad(found[1:].sum() + found[0].clamp_min(0), (x, y))
    assert bool((dx[0] == 0).all()) and bool(torch.isfinite(dx).all()) and bool(torch.isfinite(dy).all())


def test_equal_pairs_are_all_of_them():
    _, _, _, rows, columns = problem()
    found = set(zip(*(t.tolist() for t in equal_pairs(rows, columns)), strict=True))
    assert found == {(2, 3), (4, 0), (4, 2), (8, 0), (8, 2)}


@pytest.mark.parametrize("given", ["no ids", "too many"])
def test_other_cases_go_the_streamed_way(given, monkeypatch):
    x, y, bias, rows, columns = problem()
    monkeypatch.setattr(drawn, "_Drawn", None)
    if given == "too many":
        monkeypatch.setattr(drawn, "KEPT", {"cpu": 10, "cuda": 10})
    ids = (None, None) if given == "no ids" else (rows, columns)
    expected = log_partition(x, y, bias=bias, row_ids=ids[0], column_ids=ids[1])[0]
    torch.testing.assert_close(drawn_partition(x, y, bias, *ids), expected)

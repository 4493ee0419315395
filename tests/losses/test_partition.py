"""The streamed log-sum-exp against plain matrices, value and gradient."""

import math

import pytest
import torch

from gcl.losses.functional import log_partition
from gcl.losses.functional import partition as module


def naive(x, y, bias, mask, columns):
    logits = x @ y.T + (0 if bias is None else bias)
    logits = torch.where(mask, -math.inf, logits)
    parts = [logits, *([logits.T] if columns else [])]
    totals = []
    for matrix in parts:
        for row in matrix:
            kept = row[row > -math.inf]
            totals.append(torch.logsumexp(kept, 0) if kept.numel() else row.new_tensor(-math.inf))
    return torch.stack(totals) + 0 * (x.sum() + y.sum())


def draw(rows, count, dim=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(torch.randn(rows, dim, generator=generator, dtype=dtype), dim=1)
    y = torch.nn.functional.normalize(torch.randn(count, dim, generator=generator, dtype=dtype), dim=1)
    return x, y


def compare(x, y, mask, columns, stream, bias=None, rtol=1e-9, **options):
    generator = torch.Generator().manual_seed(3)
    leaves = [t.clone().requires_grad_() for t in ((x, y) if bias is None else (x, y, bias))]
    expected = naive(*leaves[:2], leaves[2] if bias is not None else None, mask, columns)
    upstream = torch.rand(expected.shape, generator=generator, dtype=x.dtype)
    wanted = torch.autograd.grad((expected.nan_to_num(neginf=0.0) * upstream).sum(), leaves, allow_unused=True)
    again = [t.detach().clone().requires_grad_() for t in leaves]
    row, column = log_partition(
        again[0], again[1], bias=again[2] if bias is not None else None, columns=columns, stream=stream, **options
    )
    total = torch.cat([row, column]) if columns else row
    torch.testing.assert_close(total, expected, rtol=rtol, atol=rtol)
    safe = torch.where(total == -math.inf, torch.zeros_like(total), total)
    got = torch.autograd.grad((safe * upstream).sum(), again)
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, torch.zeros_like(g) if w is None else w, rtol=rtol, atol=rtol)


@pytest.fixture(params=[1, 37, 2**20], ids=["row tiles", "ragged tiles", "one tile"])
def tile(request, monkeypatch):
    monkeypatch.setitem(module.TILE, "cpu", request.param)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("temperature", [0.01, 0.2, 10.0])
@pytest.mark.parametrize(("rows", "count"), [(1, 1), (1, 7), (6, 6), (7, 12)])
def test_equal_to_plain(tile, stream, temperature, rows, count):
    x, y = draw(rows, count)
    mask = torch.eye(rows, count, dtype=torch.bool)
    for columns in (False, True):
        compare(x / temperature, y, mask, columns, stream)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("keep", ["different", "equal", "all"])
def test_ids_and_bias(tile, stream, keep):
    x, y = draw(8, 8)
    ids = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4])
    equal = ids[:, None] == ids
    mask = {"different": equal, "equal": ~equal | torch.eye(8, dtype=torch.bool), "all": torch.zeros_like(equal)}[keep]
    bias = torch.linspace(-3, 2, 8, dtype=torch.float64)
    for scale in (4.0, 400.0):
        compare(scale * x, y, mask, True, stream, bias, row_ids=ids, column_ids=ids, keep=keep)


@pytest.mark.parametrize("stream", [True, False])
def test_a_row_without_entries_is_minus_infinity_without_gradient(stream):
    x, y = (t.requires_grad_() for t in draw(3, 3))
    ids = torch.zeros(3, dtype=torch.long)
    row, column = log_partition(x, y, row_ids=ids, column_ids=ids, columns=True, stream=stream)
    assert bool((row == -math.inf).all()) and bool((column == -math.inf).all())
    (torch.logaddexp(row, row.new_zeros(3)).sum()).backward()
    assert bool((x.grad == 0).all()) and bool((y.grad == 0).all())


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_float32_streams_like_float64(scale, tile):
    x, y = draw(9, 11)
    exact, _ = log_partition(x * scale, y, stream=False)
    single, _ = log_partition((x * scale).float(), y.float(), stream=True)
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-5)


def test_large_logits_neither_overflow_nor_vanish():
    x, y = (t.float() for t in draw(6, 6))
    row, column = log_partition(1e4 * x, -y, columns=True, stream=True)
    assert bool(torch.isfinite(row).all()) and bool(torch.isfinite(column).all())
    expected = torch.logsumexp((-1e4 * x @ y.T).fill_diagonal_(-math.inf), 1)
    torch.testing.assert_close(row, expected, rtol=1e-6, atol=1e-2)


@pytest.mark.parametrize("case", ["distinct", "repeated column", "repeated row", "other rows"])
def test_ids_that_say_no_more_than_positions_need_no_mask(tile, case):
    x, y = draw(6, 11)
    ids = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    if case == "repeated column":
        ids[9] = ids[2]
    if case == "repeated row":
        ids[4] = ids[1]
    row_ids = ids[:6].flip(0) if case == "other rows" else ids[:6]
    assert module.positional(row_ids, ids) == (case == "distinct")
    compare(x, y, row_ids[:, None] == ids, True, True, row_ids=row_ids, column_ids=ids)


def test_chosen_by_size(monkeypatch):
    x, y = draw(4, 4)
    seen = []
    monkeypatch.setattr(module._LogPartition, "apply", lambda *a: seen.append(1) or (x[:, 0], y[:, 0]))
    log_partition(x, y)
    monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 15)
    log_partition(x, y)
    assert seen == [1]


def test_the_dense_form_has_second_derivatives():
    x, y = (t.requires_grad_() for t in draw(3, 4))
    assert torch.autograd.gradgradcheck(lambda a, b: log_partition(a, b, stream=False)[0].sum(), (x, y))


@pytest.mark.parametrize("columns", [True, False])
def test_two_backward_passes_give_the_same(tile, columns):
    x, y = (t.requires_grad_() for t in draw(6, 9))
    row, column = log_partition(x, y, columns=columns, stream=True)
    total = row.sum() + (column[:6].square().sum() if columns else 0.0)
    first = torch.autograd.grad(total, (x, y), retain_graph=True)
    for once, twice in zip(first, torch.autograd.grad(total, (x, y)), strict=True):
        assert torch.equal(once, twice)

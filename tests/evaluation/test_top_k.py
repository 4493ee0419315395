"""The K best: exact order with ties, masking, what is left untouched."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gcl.data import CSR, Query
from gcl.errors import InputError
from gcl.evaluation import top_k
from gcl.evaluation.top_k import TILE, best, ranked, scoring


def naive(scores: torch.Tensor, k: int) -> list[list[int]]:
    """Sort every row by (score descending, item ascending); -inf is no item."""
    out = []
    for row in scores.tolist():
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
        out.append([i if row[i] > -math.inf else -1 for i in order])
    return out


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000), size=st.integers(1, 40), k=st.integers(1, 40),
    levels=st.sampled_from([1, 2, 5, 10**6]), hidden=st.sampled_from([0.0, 0.3, 0.95, 1.0]),
)  # fmt: skip
def test_order_is_exact_on_small_rows(seed, size, k, levels, hidden):
    g = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (5, size), generator=g).float()
    scores[torch.rand(5, size, generator=g) < hidden] = -math.inf
    k = min(k, size)
    assert best(scores, k)[0].tolist() == naive(scores, k)


@pytest.mark.parametrize("levels", [1, 3, 40, 10**6])
@pytest.mark.parametrize("size", [40 * TILE, 40 * TILE + 7])
def test_order_is_exact_by_tiles(levels, size, rng):
    scores = torch.randint(0, levels, (70, size), generator=rng).float() / 7
    scores[3] = -math.inf
    scores[4, 5:] = -math.inf
    items, values = best(scores, 8)
    assert items.tolist() == naive(scores, 8)
    known = items >= 0
    assert torch.equal(values[known], scores.gather(1, items.clamp(min=0))[known])
    assert bool((values[~known] == -math.inf).all())


def test_zero_and_minus_zero_are_equal():
    assert best(torch.tensor([[-0.0, 0.0, -0.0, 0.0]]), 3)[0].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("size", [5, 40 * TILE + 3])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("place", [0, 4])
def test_nan_anywhere_is_found(size, k, place):
    scores = torch.zeros(3, size)
    scores[1, place] = math.nan
    with pytest.raises(InputError, match="scores of Model must be numbers, got NaN in row 1 .* smaller lr"):
        ranked(scores, k, None, "Model")


def test_hidden_entries_come_back(rng):
    scores = torch.rand(4, 30, generator=rng)
    before = scores.clone()
    items, _ = ranked(scores, 5, (torch.tensor([0, 0, 2]), scores[[0, 0, 2]].argmax(1)), "x")
    assert torch.equal(scores, before)
    assert items[0, 0] != before[0].argmax()
    assert items[1, 0] == before[1].argmax()


def test_seen_rows_are_users_or_places(table, rng):
    class Histories:
        def scores(self, query):
            return torch.arange(4.0).expand(len(query), -1)

    matrix = torch.rand(6, 4, generator=rng)
    seen = CSR.from_pairs(torch.tensor([5, 5, 5]), torch.tensor([0, 1, 2]), 6)
    items, values = top_k(table(matrix), Query(users=torch.tensor([5, 0])), 2, seen)
    assert items[0].tolist() == [3, -1]
    assert values[0, 1] == -math.inf
    assert items[1].tolist() == matrix[0].topk(2).indices.tolist()
    seen = CSR.from_pairs(torch.tensor([1]), torch.tensor([3]), 2)
    query = Query(history=torch.zeros(2, 1, dtype=torch.int64), length=torch.tensor([1, 1]))
    assert top_k(Histories(), query, 2, seen)[0].tolist() == [[3, 2], [2, 1]]


def test_scores_of_other_types_and_layouts(table):
    rows = torch.tensor([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    query = Query(users=torch.tensor([1, 0]))
    seen = CSR.from_pairs(torch.tensor([0]), torch.tensor([0]), 2)
    with torch.inference_mode():
        frozen = rows.double()
    for matrix in (rows, rows.half(), rows.double(), rows.T.contiguous().T, frozen, nn.Parameter(rows)):
        assert top_k(table(matrix), query, 2, seen)[0].tolist() == [[2, 1], [2, 1]]


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_outside_the_catalogue(table, k):
    with pytest.raises(InputError, match=rf"k must lie in 1 \.\. 3, the size of the catalogue, got {k}\."):
        top_k(table(torch.zeros(2, 3)), Query(users=torch.tensor([0])), k)


def test_wrong_shape_names_the_scorer(table):
    class Short:
        def scores(self, query):
            return torch.zeros(1, 3)

    with pytest.raises(InputError, match=r"scores of Short must have one row .*\(2, 3\), got \(1, 3\); return scores"):
        top_k(Short(), Query(users=torch.tensor([0, 1])), 2)


def test_modes_of_all_modules_are_restored():
    model = nn.Sequential(nn.Dropout(), nn.Dropout()).train()
    model[1].eval()
    with scoring(model):
        assert not any(m.training for m in model.modules())
        assert not torch.is_grad_enabled()
    assert [m.training for m in model.modules()] == [True, True, False]
    with pytest.raises(RuntimeError), scoring(model):
        raise RuntimeError
    assert [m.training for m in model.modules()] == [True, True, False]
    assert torch.is_grad_enabled()

"""Graphs of neighbours against naive ones."""

import pytest
import torch
import torch.nn.functional as F

from gcl.data import Interactions, TrainInteractions
from gcl.errors import InputError
from gcl.graph import cooccurrence_graph, knn_graph


def edges(adj):
    return {
        (int(r), int(c)): v for r, c, v in zip(adj.row.tolist(), adj.indices.tolist(), adj.values.tolist(), strict=True)
    }


def naive(scores, k):
    """Row by row: the k best columns above -inf, lower columns first among equals."""
    found = {}
    for i, row in enumerate(scores.tolist()):
        for j in sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]:
            if row[j] > -float("inf"):
                found[i, j] = row[j]
    return found


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_neighbours_are_the_largest_cosines(loops, memory, rng):
    x = torch.randn(23, 5, generator=rng)
    scores = F.normalize(x) @ F.normalize(x).T
    if not loops:
        scores.fill_diagonal_(-torch.inf)
    found, expected = edges(knn_graph(x, 4, loops=loops, memory_bytes=memory)), naive(scores, 4)
    assert found.keys() == expected.keys()
    assert all(found[e] == pytest.approx(expected[e], abs=1e-6) for e in found)


def test_binary_neighbours(rng):
    adj = knn_graph(torch.randn(9, 3, generator=rng), 4, weights="one")
    assert adj.values.unique().tolist() == [1.0] and adj.degree().unique().tolist() == [4.0]
    torch.testing.assert_close(adj.normalize("sym").values, torch.full((36,), 0.25))


def test_of_equal_cosines_the_lower_row_is_taken_and_a_row_is_its_own_first():
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    assert set(edges(knn_graph(x, 2))) == {(0, 0), (0, 1), (1, 1), (1, 0), (2, 2), (2, 0), (3, 3), (3, 0)}


def test_rows_that_are_absent_or_zero_have_no_edges(rng):
    x = torch.randn(8, 3, generator=rng)
    x[2] = 0
    x[5] = torch.nan
    present = torch.ones(8, dtype=torch.bool)
    present[5] = False
    adj = knn_graph(x, 20, present=present)
    assert adj.num_rows == 8
    assert set(adj.row.tolist()) == set(adj.indices.tolist()) == {0, 1, 3, 4, 6, 7}
    assert adj.num_edges == 36


def test_one_row_and_none():
    assert knn_graph(torch.ones(1, 2), 3).num_edges == 1
    assert knn_graph(torch.ones(1, 2), 3, loops=False).num_edges == 0
    assert knn_graph(torch.zeros(3, 2), 3).num_edges == 0
    assert knn_graph(torch.zeros(3, 2), 3, loops=False).num_edges == 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: knn_graph(x, 0), "k must be at least 1, got 0"),
        (lambda x: knn_graph(x, 1, weights="two"), "weights must be 'cosine' or 'one', got 'two'"),
        (lambda x: knn_graph(x[0], 1), "features must be a float matrix"),
        (lambda x: knn_graph(x, 1, present=torch.ones(2)), "present must be a bool vector of length 3"),
        (lambda x: knn_graph(x / 0, 1), "features must be finite where present, but row 0 is not; mark it absent"),
    ],
)
def test_wrong_features_are_errors(call, text):
    with pytest.raises(InputError, match=text):
        call(torch.ones(3, 2))


@pytest.fixture
def train(rng):
    user, item = (torch.rand(30, 14, generator=rng) < 0.2).nonzero(as_tuple=True)
    order = torch.randperm(len(user), generator=rng)
    return TrainInteractions(user[order], item[order], 31, 16)


@pytest.mark.parametrize("weights", ["cosine", "count"])
@pytest.mark.parametrize("memory", [1, 5000, 1 << 30])
def test_cooccurrence_counts_common_users(train, weights, memory):
    matrix = torch.zeros(31, 16, dtype=torch.float64)
    matrix[train.user, train.item] = 1
    scores = matrix.T @ matrix
    if weights == "cosine":
        users = matrix.sum(0).clamp(min=1)
        scores = (scores**2 / (users[:, None] * users)).sqrt()
    scores = scores.masked_fill(scores == 0, -torch.inf).fill_diagonal_(-torch.inf)
    adj = cooccurrence_graph(train, 3, weights=weights, memory_bytes=memory)
    expected, found = naive(scores, 3), edges(adj)
    assert (adj.num_rows, adj.num_cols) == (16, 16)
    assert found.keys() == expected.keys()
    assert all(found[e] == pytest.approx(expected[e]) for e in found)


def test_items_without_company_have_no_edges():
    adj = cooccurrence_graph(TrainInteractions(torch.tensor([0, 1]), torch.tensor([0, 1]), 2, 3))
    assert adj.num_edges == 0 and adj.num_rows == 3


def test_cooccurrence_takes_train_interactions_only(train):
    with pytest.raises(TypeError, match="built from TrainInteractions alone, got Interactions"):
        cooccurrence_graph(Interactions(train.user, train.item, 31, 16))
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        cooccurrence_graph(train, 0)
    with pytest.raises(InputError, match="weights must be 'cosine' or 'count', got 'log'"):
        cooccurrence_graph(train, 1, weights="log")

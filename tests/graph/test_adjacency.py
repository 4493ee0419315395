"""Adjacency: structure, normalisation, sharing, conversions."""

import pytest
import torch

from gcl.data import Interactions, TrainInteractions
from gcl.errors import InputError
from gcl.graph import Adjacency
from gcl.graph.structure import check_size
from gcl.testing import tiny_dataset


def dense(adj, values=None):
    out = torch.zeros(adj.num_rows, adj.num_cols)
    values = adj.values if values is None else values.to(out.dtype)
    return out.index_put((adj.row.long(), adj.indices.long()), values, accumulate=True)


@pytest.fixture
def train():
    user, item = (torch.rand(24, 18, generator=torch.Generator().manual_seed(0)) < 0.3).nonzero(as_tuple=True)
    order = torch.randperm(user.numel(), generator=torch.Generator().manual_seed(1))
    return TrainInteractions(user[order], item[order], 24, 18)


def random_graph(rows=7, cols=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    row, col = (torch.rand(rows, cols, generator=generator) < 0.4).nonzero(as_tuple=True)
    order = torch.randperm(row.numel(), generator=generator)
    return row[order], col[order], torch.rand(row.numel(), generator=generator) + 0.1


def test_bipartite_graph_is_the_matrix_of_train(train):
    adj = Adjacency.bipartite(train)
    matrix = torch.zeros(train.num_users + train.num_items, train.num_users + train.num_items)
    matrix[train.user, train.num_users + train.item] = 1
    assert torch.equal(dense(adj), matrix + matrix.T)
    assert adj.symmetric and adj.num_edges == 2 * len(train) and adj.num_undirected == len(train)
    for name in ("indptr", "indices", "row", "transpose", "undirected"):
        assert getattr(adj, name).dtype == torch.int32


def test_bipartite_undirected_ids_count_interactions_by_user_then_item(train):
    adj = Adjacency.bipartite(train)
    assert torch.equal(adj.undirected[: len(train)], torch.arange(len(train), dtype=torch.int32))
    ids = dense(adj, adj.undirected)
    assert torch.equal(ids, ids.T)


def test_bipartite_structure_is_that_of_the_edges(train):
    adj = Adjacency.bipartite(train)
    item = train.item + train.num_users
    size = train.num_users + train.num_items
    other = Adjacency.from_edges(torch.cat([train.user, item]), torch.cat([item, train.user]), size, size)
    for name in ("indptr", "indices", "row", "transpose", "values", "undirected"):
        assert torch.equal(getattr(adj, name), getattr(other, name)), name
    assert other.symmetric and other.num_undirected == adj.num_undirected


def test_bipartite_takes_train_interactions_only(train):
    other = Interactions(train.user, train.item, train.num_users, train.num_items)
    with pytest.raises(TypeError, match="built from TrainInteractions alone, got Interactions"):
        Adjacency.bipartite(other)


def test_bipartite_keeps_users_and_items_without_rows():
    adj = Adjacency.bipartite(TrainInteractions(torch.tensor([1]), torch.tensor([2]), 3, 4))
    assert (adj.num_rows, adj.num_edges) == (7, 2)
    assert adj.normalize("sym").values.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("rows", "cols"), [(7, 7), (5, 8)])
def test_edges_in_any_order_give_the_matrix_and_its_transpose(rows, cols):
    row, col, values = random_graph(rows, cols)
    adj = Adjacency.from_edges(row, col, rows, cols, values)
    expected = torch.zeros(rows, cols)
    expected[row, col] = values
    assert torch.equal(dense(adj), expected)
    assert not adj.symmetric
    t_indptr, t_indices, transpose = adj.transposed
    t_row = torch.repeat_interleave(torch.arange(cols), t_indptr.diff())
    back = torch.zeros(cols, rows)
    back[t_row, t_indices.long()] = adj.values[transpose]
    assert torch.equal(back, expected.T)


def test_undirected_ids_number_unordered_pairs():
    row, col = torch.tensor([0, 1, 2, 1, 2, 2]), torch.tensor([1, 0, 1, 2, 0, 2])
    adj = Adjacency.from_edges(row, col, 3, 3)
    ids = {(int(r), int(c)): int(i) for r, c, i in zip(adj.row, adj.indices, adj.undirected, strict=True)}
    assert ids[0, 1] == ids[1, 0] and ids[1, 2] == ids[2, 1]
    assert adj.num_undirected == len(set(ids.values())) == 4
    assert Adjacency.from_edges(row, col, 3, 4).num_undirected == 6


def test_symmetry_is_that_of_values():
    row, col = torch.tensor([0, 1]), torch.tensor([1, 0])
    assert Adjacency.from_edges(row, col, 2, 2, torch.tensor([0.5, 0.5])).symmetric
    assert not Adjacency.from_edges(row, col, 2, 2, torch.tensor([0.5, 0.6])).symmetric


def test_sym_normalisation_of_a_symmetric_graph(train):
    adj = Adjacency.bipartite(train).normalize("sym")
    matrix = dense(Adjacency.bipartite(train))
    scale = matrix.sum(1).rsqrt()
    scale[matrix.sum(1) == 0] = 0
    torch.testing.assert_close(dense(adj), scale[:, None] * matrix * scale)
    assert adj.symmetric


def test_sym_normalisation_of_a_rectangle_takes_rows_and_columns():
    row, col, values = random_graph(5, 8)
    adj = Adjacency.from_edges(row, col, 5, 8, values)
    matrix = dense(adj)
    torch.testing.assert_close(adj.degree(), matrix.sum(1))
    torch.testing.assert_close(adj.column_degree(), matrix.sum(0))
    left, right = (torch.where(s > 0, s, torch.inf).rsqrt() for s in (matrix.sum(1), matrix.sum(0)))
    torch.testing.assert_close(dense(adj.normalize("sym")), left[:, None] * matrix * right)


def test_sym_normalisation_of_a_directed_graph_is_that_of_torch_geometric():
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    row, col, values = random_graph()
    data = Adjacency.from_edges(row, col, 7, 7, values).to_pyg()
    _, expected = gcn_norm(data.edge_index, data.edge_weight, 7, add_self_loops=False)
    torch.testing.assert_close(Adjacency.from_pyg(data).normalize("sym").values, expected)


def test_row_normalisation_and_rows_without_weight():
    adj = Adjacency.from_edges(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 3, 2, torch.tensor([1.0, 3.0, 0.0]))
    assert dense(adj.normalize("row")).tolist() == [[0.25, 0.75], [0.0, 0.0], [0.0, 0.0]]
    assert not adj.normalize("row").symmetric
    with pytest.raises(ValueError, match="kind must be 'sym' or 'row', got 'col'"):
        adj.normalize("col")


@pytest.mark.parametrize("kind", ["sym", "row"])
def test_normalisation_is_differentiable_and_zero_rows_get_finite_gradients(kind):
    row, col, values = random_graph()
    values = values.double().requires_grad_()
    adj = Adjacency.from_edges(row, col, 7, 7)
    assert torch.autograd.gradcheck(lambda v: adj.with_values(v).normalize(kind).values, (values,))
    zero = torch.zeros(adj.num_edges, requires_grad=True)
    adj.with_values(zero).normalize(kind).values.sum().backward()
    assert bool(torch.isfinite(zero.grad).all())


def test_scaled_renormalises_the_weights_or_scales_the_values(train):
    plain = Adjacency.bipartite(train)
    adj = plain.normalize("sym")
    mask = (torch.rand(adj.num_undirected) < 0.6).float().index_select(0, adj.undirected)
    kept = adj.scaled(mask, symmetric=True)
    assert kept.symmetric and torch.equal(kept.values, adj.values * mask)
    again = adj.scaled(mask, renormalize=True, symmetric=True)
    expected = plain.with_values(mask, symmetric=True).normalize("sym")
    assert again.symmetric and torch.equal(again.values, expected.values)
    twice = kept.scaled(mask, renormalize=True, symmetric=True)
    assert torch.equal(twice.values, again.values)
    assert not adj.scaled(mask).symmetric
    assert torch.equal(plain.scaled(mask, renormalize=True).values, mask)


def test_new_values_share_the_structure_and_leave_the_graph_alone(train):
    adj = Adjacency.bipartite(train).normalize("sym")
    before = adj.values.clone()
    other = adj.with_values(torch.zeros(adj.num_edges))
    assert other.indices is adj.indices and other.transpose is adj.transpose
    assert torch.equal(adj.values, before) and adj.symmetric and not other.symmetric
    assert adj.normalization == "sym" and other.normalization is None
    assert not adj.state_dict()


def test_a_graph_moves_with_its_module(train):
    adj = Adjacency.bipartite(train).normalize("sym")
    holder = torch.nn.ModuleList([adj]).to(torch.float64)
    assert holder[0].values.dtype == torch.float64 and holder[0].indices.dtype == torch.int32
    assert "symmetric=True" in repr(adj)


def test_values_are_checked():
    adj = Adjacency.from_edges(torch.tensor([0]), torch.tensor([1]), 2, 2)
    with pytest.raises(ValueError, match=r"values must be one an edge, \(1,\), got \(2,\)"):
        adj.with_values(torch.ones(2))
    with pytest.raises(ValueError, match="symmetric must be False for a graph in which some edge lacks its reverse"):
        adj.with_values(torch.ones(1), symmetric=True)
    with pytest.raises(ValueError, match="values must be floats, one an edge"):
        Adjacency.from_edges(torch.tensor([0]), torch.tensor([1]), 2, 2, torch.tensor([1]))


@pytest.mark.parametrize(
    ("row", "col", "text"),
    [
        (torch.tensor([0, 1]), torch.tensor([0]), "row and col must have equal length, got 2 and 1"),
        (torch.tensor([0]), torch.tensor([2]), r"col must lie in \[0, 2\), got 2 .. 2"),
        (torch.tensor([-1]), torch.tensor([0]), r"row must lie in \[0, 2\), got -1 .. -1"),
        (torch.tensor([[0]]), torch.tensor([0]), "row must be a vector of integers"),
        (torch.tensor([0.0]), torch.tensor([0]), "row must be a vector of integers"),
    ],
)
def test_edges_are_checked(row, col, text):
    with pytest.raises(ValueError, match=text):
        Adjacency.from_edges(row, col, 2, 2)


def test_sizes_beyond_int32_are_an_error():
    check_size(2**31 - 1, 10)
    with pytest.raises(InputError, match=r"fewer than 2\^31 edges and nodes, got 2147483648 edges and 10 nodes"):
        check_size(2**31, 10)


def test_round_trip_through_torch_geometric():
    from torch_geometric.data import Data
    from torch_geometric.nn import SimpleConv

    row, col, values = random_graph()
    adj = Adjacency.from_edges(row, col, 7, 7, values)
    data = adj.to_pyg()
    x = torch.randn(7, 3)
    torch.testing.assert_close(adj @ x, SimpleConv(aggr="sum")(x, data.edge_index, data.edge_weight))
    back = Adjacency.from_pyg(data)
    assert torch.equal(dense(back), dense(adj))
    unweighted = Adjacency.from_pyg(Data(edge_index=data.edge_index, num_nodes=9))
    assert unweighted.num_rows == 9 and unweighted.values.unique().tolist() == [1.0]


def test_conversions_that_cannot_be_are_errors():
    from torch_geometric.data import Data

    with pytest.raises(InputError, match="Data with edge_index, got Data without"):
        Adjacency.from_pyg(Data(x=torch.ones(3, 1)))
    with pytest.raises(ValueError, match="only a square graph can be a Data, got 2 x 3"):
        Adjacency.from_edges(torch.tensor([0]), torch.tensor([2]), 2, 3).to_pyg()


def test_a_union_with_other_parts_is_no_training_data():
    data = tiny_dataset()
    for rows in (data.train.union(data.test), data.split.seen):
        with pytest.raises(TypeError, match="TrainInteractions alone, got Interactions"):
            Adjacency.bipartite(rows)
    assert Adjacency.bipartite(data.refit().train).num_undirected == len(data.train) + len(data.valid)

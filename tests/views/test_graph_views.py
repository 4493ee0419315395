"""Graph views: what they keep, what they drop, how they chain."""

import pytest
import torch

from gcl.graph import Adjacency
from gcl.testing import check_graph_view, tiny_dataset
from gcl.views import DropEdge, DropNode, Noise, RandomWalk, chain


@pytest.fixture
def adj():
    return Adjacency.bipartite(tiny_dataset().train).normalize("sym")


@pytest.mark.parametrize(
    ("build", "nothing"),
    [
        (lambda: DropEdge(0.3), lambda: DropEdge(0.0)),
        (lambda: DropEdge(0.3, renormalize=False), lambda: DropEdge(0.0, renormalize=False)),
        (lambda: DropNode(0.3), lambda: DropNode(0.0)),
        (lambda: DropNode(0.3, renormalize=False), lambda: DropNode(0.0, renormalize=False)),
        (lambda: RandomWalk(0.3), lambda: RandomWalk(0.0)),
        (lambda: Noise(0.1), lambda: Noise(0.0)),
    ],
)
def test_view_holds_its_contract(build, nothing):
    check_graph_view(build, nothing)


def dense(adj):
    out = torch.zeros(adj.num_rows, adj.num_cols)
    out[adj.row.long(), adj.indices.long()] = adj.values
    return out


def test_drop_edge_renormalises_by_the_degrees_that_are_left(adj, rng):
    dropped = dense(DropEdge(0.4).draw(adj, rng))
    torch.testing.assert_close(dropped, dropped.T)
    kept = (dropped > 0).float()
    scale = kept.sum(1).clamp(min=1).rsqrt()
    torch.testing.assert_close(dropped, scale[:, None] * kept * scale)
    assert 0 < kept.sum() < adj.num_edges


def test_drop_edge_without_renormalisation_has_the_expectation_of_the_graph(adj, rng):
    view = DropEdge(0.4, renormalize=False)
    draws = torch.stack([dense(view.draw(adj, rng)) for _ in range(3000)])
    full = dense(adj)
    values = draws[:, full > 0] / full[full > 0]
    torch.testing.assert_close(values[values > 0], torch.full_like(values[values > 0], 1 / 0.6))
    torch.testing.assert_close(draws.mean(0), full, atol=0.03, rtol=0)


def test_drop_node_isolates_nodes(adj, rng):
    kept = (dense(DropNode(0.5).draw(adj, rng)) > 0).float()
    alive = kept.sum(1) > 0
    full = (dense(adj) > 0).float()
    torch.testing.assert_close(kept[alive][:, alive], full[alive][:, alive])
    assert 0 < alive.sum() < adj.num_rows


def test_random_walk_draws_a_graph_a_layer(adj, rng):
    x = torch.eye(adj.num_rows)
    step = chain([RandomWalk(0.5)], adj, rng)
    assert not torch.equal(step(x, 1), step(x, 2))
    shared = chain([DropEdge(0.5)], adj, rng)
    assert torch.equal(shared(x, 1), shared(x, 2))


def test_noise_has_its_length_and_keeps_the_orthant(adj, rng):
    h = torch.randn(adj.num_rows, 16, generator=rng)
    noise = Noise(0.3).draw(h, rng)
    torch.testing.assert_close(noise.norm(dim=1), torch.full((adj.num_rows,), 0.3))
    assert bool((noise * h >= 0).all())


def test_noise_passes_the_gradient_unchanged(adj, rng):
    x = torch.randn(adj.num_rows, 4, requires_grad=True)
    chain([Noise(0.2)], adj, rng)(x, 1).sum().backward()
    expected = dense(adj).T @ torch.ones(adj.num_rows, 4)
    torch.testing.assert_close(x.grad, expected)


def test_chain_runs_in_order_and_rejects_edges_after_noise(adj, rng):
    x = torch.randn(adj.num_rows, 4)
    both = chain([DropEdge(0.3), Noise(0.0)], adj, torch.Generator().manual_seed(3))(x, 1)
    one = chain([DropEdge(0.3)], adj, torch.Generator().manual_seed(3))(x, 1)
    torch.testing.assert_close(both, one)
    with pytest.raises(ValueError, match="DropEdge changes edges and cannot follow"):
        chain([Noise(0.1), DropEdge(0.1)], adj, rng)


@pytest.mark.parametrize("view", [DropEdge, DropNode, RandomWalk])
@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_probabilities_are_checked(view, p):
    with pytest.raises(ValueError, match="p must be a probability"):
        view(p)


def test_noise_length_is_checked():
    with pytest.raises(ValueError, match="eps must not be negative"):
        Noise(-1.0)


def test_drop_node_needs_a_square_graph():
    rectangle = Adjacency.from_edges(torch.tensor([0, 1]), torch.tensor([2, 0]), 2, 3)
    with pytest.raises(ValueError, match="DropNode needs a square graph, got 2 x 3"):
        DropNode(0.1).draw(rectangle, None)

"""Learnt gates against their formula, in float64 and on dense matrices."""

import pytest
import torch

from gcl.graph import Adjacency
from gcl.views import DropEdge, EdgeGates, chain
from tests.views.graphs import DATA, SIDES

N = sum(SIDES)


@pytest.fixture
def adj():
    return Adjacency.bipartite(DATA.train).normalize("sym").double()


def solved(products, keep):
    """The threshold at which the mean of sigmoid(products - θ) is ``keep``, by bisection, as a function of products."""
    low, high = products.detach().min() - 20, products.detach().max() + 20
    for _ in range(80):
        theta = (low + high) / 2
        low, high = (theta, high) if torch.sigmoid(products.detach() - theta).mean() > keep else (low, theta)
    p = torch.sigmoid(products.detach() - theta)
    share = p * (1 - p) / (p * (1 - p)).sum()
    return theta + (share * (products - products.detach())).sum()  # dθ = Σ p' dω / Σ p'


@pytest.mark.parametrize("relaxation", ["concrete", "straight_through"])
@pytest.mark.parametrize("renormalize", [True, False])
def test_gates_are_their_formula(adj, relaxation, renormalize):
    torch.manual_seed(0)
    view = EdgeGates(0.6, relaxation, temperature=0.7, hidden=4, renormalize=renormalize).double()
    view.allocate(adj, 8, SIDES)
    view.double()
    with torch.no_grad():
        for p in view.parameters():
            p.mul_(3)
    x = torch.randn(N, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    out = chain([view], adj, torch.Generator().manual_seed(2))(x, 1)

    row, col = adj.row.long(), adj.indices.long()
    f = torch.relu(x @ view.ends[0].weight.T + view.ends[0].bias) @ view.ends[2].weight.T + view.ends[2].bias
    omega = 6 * torch.tanh((f @ f.T)[row, col] / (6 * 4**0.5))
    u = torch.rand(adj.num_undirected, generator=torch.Generator().manual_seed(2)).clamp(1e-4, 1 - 1e-4)
    noise = (u.log() - (1 - u).log())[adj.undirected.long()].double()
    soft = torch.sigmoid((noise + omega - solved(omega, 0.6)) / 0.7)
    gate = (soft > 0.5).double() + soft - soft.detach() if relaxation == "straight_through" else soft
    assert bool(((soft > 0.5) != (noise > 0)).any())  # what is learnt matters to the draw
    zero = torch.zeros(N, N, dtype=torch.float64)
    if renormalize:
        mask = zero.index_put((row, col), gate)
        total = mask.sum(1)
        scale = torch.where(total > 0, total, 1.0).rsqrt() * (total > 0)
        expected = scale[:, None] * mask * scale @ x
    else:
        expected = zero.index_put((row, col), gate * adj.values) @ x
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)
    leaves = [x, *view.parameters()]
    found = torch.autograd.grad(out.square().sum(), leaves)
    wanted = torch.autograd.grad(expected.square().sum(), leaves)
    for g, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(g, w, atol=1e-5, rtol=1e-4)


def test_gates_after_a_drop_leave_dropped_edges_dropped(adj):
    view = EdgeGates(0.9)
    view.allocate(adj, 8, SIDES)
    x = torch.eye(N)[:, :8].contiguous()
    dropped = DropEdge(0.5).draw(adj.float(), torch.Generator().manual_seed(0))
    step = chain([DropEdge(0.5), view], adj.float(), torch.Generator().manual_seed(0))
    reached = torch.zeros(N, N).index_put((dropped.row.long(), dropped.indices.long()), dropped.values)[:, :8] > 0
    assert torch.equal(step(x, 1) > 0, reached)

"""The learnt hypergraph against its formula."""

import pytest
import torch

from gcl.views import Hypergraph, chain
from tests.views.graphs import SIDES, ready


@pytest.mark.parametrize(("scale", "slope"), [(1.0, 1.0), (0.3, 1.0), (2.0, 0.2)])
def test_hypergraph_is_its_formula(adj, x, scale, slope):
    view = ready(Hypergraph(6, scale=scale, slope=slope), adj)
    step = chain([view], adj)
    y = torch.randn_like(x)
    first, second = step(x, 1), step(y, 2)

    def bent(z):
        return torch.where(z > 0, z, slope * z)

    for rows, w in ((slice(0, SIDES[0]), view.weights[0]), (slice(SIDES[0], None), view.weights[1])):
        h = scale * x[rows] @ w
        torch.testing.assert_close(first[rows], bent(h @ bent(h.T @ x[rows])))
        torch.testing.assert_close(second[rows], bent(h @ bent(h.T @ y[rows])))


def test_hypergraph_drops_entries_anew_at_every_layer_and_keeps_their_mean(adj):
    view = ready(Hypergraph(6, p=0.4), adj)
    ones = torch.ones(200, 300)
    generator = torch.Generator().manual_seed(0)
    dropped = view._dropped(ones, generator)
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / 0.6]))
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)
    x = torch.randn(sum(SIDES), 8, generator=generator)
    step = chain([view], adj, generator)
    assert not torch.equal(step(x, 1), step(x, 2))
    step = chain([view.eval()], adj, generator)
    torch.testing.assert_close(step(x, 1), step(x, 2))


def test_hypergraph_reports_how_far_it_outgrows_what_it_is_given(adj):
    torch.manual_seed(0)
    table = torch.cat([torch.nn.init.xavier_uniform_(torch.empty(n, 16)) for n in (4000, 4000)])
    view = Hypergraph(128)
    view.allocate(adj, 16, (4000, 4000))
    gain = view.report(adj, table)["gain"]
    step = chain([view], adj)(table, 1)
    assert gain == pytest.approx((step.norm() / table.norm()).item())
    assert gain == pytest.approx(4 * 4000 * 128 / (4016 * 144), rel=0.1)
    view.scale = 0.1
    assert view.report(adj, table)["gain"] == pytest.approx(gain / 100)

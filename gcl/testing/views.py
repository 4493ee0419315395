"""What every view of a graph must hold."""

from collections.abc import Callable

import torch

from gcl.graph import Adjacency
from gcl.testing.data import tiny_dataset
from gcl.views import GraphView, chain


def check_graph_view(build: Callable[[], GraphView], nothing: Callable[[], GraphView] | None = None) -> None:
    """Hold a graph view against its contract.

    Args:
        build: makes the view.
        nothing: makes it with the setting that changes nothing (p = 0, eps = 0), where there is one.

    Raises:
        AssertionError: naming the rule that is broken.
    """
    data = tiny_dataset()
    adj = Adjacency.bipartite(data.train).normalize("sym")
    sides = (data.num_users, data.num_items)
    torch.manual_seed(0)
    x = torch.randn(adj.num_rows, 8, requires_grad=True)
    values, before = adj.values.clone(), x.detach().clone()
    users, items = data.train.user[:8], data.train.item[:8] + data.num_users
    nodes = (users, items, items.roll(3)[:, None])

    def ready(view: GraphView) -> GraphView:
        view.allocate(adj, 8, sides)
        return view

    view = ready(build())

    def run(view: GraphView, seed: int) -> torch.Tensor:
        step = chain([view], adj, torch.Generator().manual_seed(seed))
        return step(step(x, 1), 2)

    out = run(view, 0)
    assert out.shape == x.shape, f"a step must keep the shape {tuple(x.shape)}, got {tuple(out.shape)}"
    assert bool(torch.isfinite(out).all()), "a step must give finite values"
    assert torch.equal(run(view, 0), out), "equal generators must give equal views"
    own = view.terms(adj, x, nodes, torch.Generator().manual_seed(0))
    assert all(t.dim() == 0 and bool(torch.isfinite(t)) for t in own.values()), "terms must be finite scalars"
    (out.square().sum() + sum(own.values())).backward()
    assert x.grad is not None and bool(x.grad.abs().sum() > 0), "the gradient must reach the representations"
    idle = [n for n, p in view.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not idle, f"parameters that get no gradient: {', '.join(idle)}"
    assert torch.equal(adj.values, values), "a view must not change the graph it is given"
    assert torch.equal(x.detach(), before), "a view must not change the representations it is given"
    rebuilt = ready(type(view)(**view.arguments))
    rebuilt.load_state_dict(view.state_dict())
    assert torch.equal(run(rebuilt, 0), out), "a view built from its recorded arguments must be the same view"
    if nothing is not None:
        plain = adj @ (adj @ x)
        torch.testing.assert_close(
            run(ready(nothing()), 0), plain, msg="the neutral setting must leave the plain steps"
        )

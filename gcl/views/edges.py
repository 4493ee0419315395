"""Views that take edges or nodes away: new values over the same structure."""

from collections.abc import Callable

import torch
from torch import Tensor

from gcl.graph import Adjacency
from gcl.views.base import GraphView, Linear, Step, as_linear


def _probability(p: float) -> float:
    if not 0.0 <= p < 1.0:
        raise ValueError(f"p must be a probability in [0, 1), got {p}.")
    return p


def _keep(size: int, p: float, adj: Adjacency, generator: torch.Generator | None) -> Tensor:
    return (torch.rand(size, device=adj.values.device, generator=generator) >= p).to(adj.values.dtype)


class DropEdge(GraphView):
    """Each undirected edge is dropped with probability p, both directions together.

    ``renormalize=True``: the degrees of what is left normalise it, Â' = D'^-1/2 A' D'^-1/2 (SGL, SIGIR 2021).
    ``renormalize=False``: kept values of Â are scaled by 1 / (1 - p), so that the expectation is Â (LightGCN's own
    dropout, SIGIR 2020).
    """

    def __init__(self, p: float = 0.1, renormalize: bool = True) -> None:
        super().__init__()
        self.p, self.renormalize = _probability(p), renormalize

    def draw(self, adj: Adjacency, generator: torch.Generator | None) -> Adjacency:
        """One graph with edges dropped."""
        keep = _keep(adj.num_undirected, self.p, adj, generator)
        if not self.renormalize:
            keep = keep / (1.0 - self.p)
        return adj.scaled(keep.index_select(0, adj.undirected), renormalize=self.renormalize, symmetric=True)

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """One draw for all layers."""
        return _each(source, "DropEdge", lambda adj: self.draw(adj, generator))


class DropNode(GraphView):
    """Each node loses all its edges with probability p; it keeps its own row. SGL's ND (SIGIR 2021).

    ``renormalize`` as in :class:`DropEdge`; without it kept values are scaled by 1 / (1 - p)², the inverse of the
    probability that an edge survives.
    """

    def __init__(self, p: float = 0.1, renormalize: bool = True) -> None:
        super().__init__()
        self.p, self.renormalize = _probability(p), renormalize

    def draw(self, adj: Adjacency, generator: torch.Generator | None) -> Adjacency:
        """One graph with nodes isolated."""
        if adj.num_rows != adj.num_cols:
            raise ValueError(f"DropNode needs a square graph, got {adj.num_rows} x {adj.num_cols}.")
        keep = _keep(adj.num_rows, self.p, adj, generator)
        if not self.renormalize:
            keep = keep / (1.0 - self.p)
        values = keep.index_select(0, adj.row) * keep.index_select(0, adj.indices)
        return adj.scaled(values, renormalize=self.renormalize, symmetric=True)

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """One draw for all layers."""
        return _each(source, "DropNode", lambda adj: self.draw(adj, generator))


class RandomWalk(GraphView):
    """:class:`DropEdge` with an independent draw at every layer. SGL's RW (SIGIR 2021)."""

    def __init__(self, p: float = 0.1, renormalize: bool = True) -> None:
        super().__init__()
        self.drop = DropEdge(p, renormalize)

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """A draw a layer, made when the layer is taken."""
        before = as_linear(source, "RandomWalk")
        return Linear(lambda layer: self.drop.draw(before.graph(layer), generator))


def _each(source: Adjacency | Step, asker: str, draw: Callable[[Adjacency], Adjacency]) -> Step:
    before = as_linear(source, asker)
    if before.shared is None:
        return Linear(lambda layer: draw(before.graph(layer)))
    dropped = draw(before.shared)
    return Linear(lambda layer: dropped, shared=dropped)

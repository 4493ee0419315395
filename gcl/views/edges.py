"""Views that take edges or nodes away: new values over the same structure of an Adjacency, fewer of them in Data."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gcl.graph import Adjacency
from gcl.views.base import DataView, GraphView, Linear, Step, as_linear
from gcl.views.batches import Memo, edges_of, graphs_of, pair_ids, put_weight, take_edges, take_nodes, weight_of

if TYPE_CHECKING:
    from torch_geometric.data import Data


def _probability(p: float) -> float:
    if not 0.0 <= p < 1.0:
        raise ValueError(f"p must be a probability in [0, 1), got {p}.")
    return p


def _keep(size: int, p: float, adj: Adjacency, generator: torch.Generator | None) -> Tensor:
    return (torch.rand(size, device=adj.values.device, generator=generator) >= p).to(adj.values.dtype)


class DropEdge(GraphView, DataView):
    """Each undirected edge is dropped with probability p, both directions together.

    ``renormalize=True``: the degrees of what is left normalise it, Â' = D'^-1/2 A' D'^-1/2 (SGL, SIGIR 2021); in
    ``Data`` weights stay as they are, and a convolution normalises by what is left.
    ``renormalize=False``: kept values of Â, or ``edge_weight`` in ``Data``, are scaled by 1 / (1 - p), so that the
    expectation is what it was (LightGCN's own dropout, SIGIR 2020).

    Args:
        p: probability that an edge is dropped.
        renormalize: see above.
        pairs: one coin for both directions; False: one for each, as the code of GRACE and BGRL has it.
    """

    def __init__(self, p: float = 0.1, renormalize: bool = True, pairs: bool = True) -> None:
        super().__init__()
        self.p, self.renormalize, self.pairs = _probability(p), renormalize, pairs
        self._memo = Memo()

    def draw(self, adj: Adjacency, generator: torch.Generator | None) -> Adjacency:
        """One graph with edges dropped."""
        keep = _keep(adj.num_undirected if self.pairs else adj.num_edges, self.p, adj, generator)
        if not self.renormalize:
            keep = keep / (1.0 - self.p)
        keep = keep.index_select(0, adj.undirected) if self.pairs else keep
        return adj.scaled(keep, renormalize=self.renormalize, symmetric=self.pairs)

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with fewer edges, and all its nodes."""
        edges = edges_of(data)
        if self.pairs:
            size = int(data.num_nodes)
            ids, count = self._memo(lambda: pair_ids(edges, size), (edges,), size)
            keep = (torch.rand(count, device=edges.device, generator=generator) >= self.p)[ids]
        else:
            keep = torch.rand(edges.shape[1], device=edges.device, generator=generator) >= self.p
        out = take_edges(data, keep.nonzero()[:, 0])
        return out if self.renormalize else _weighed(out, 1.0 / (1.0 - self.p))

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """One draw for all layers."""
        return _each(source, "DropEdge", lambda adj: self.draw(adj, generator))


class DropNode(GraphView, DataView):
    """Each node loses all its edges with probability p; it keeps its own row. SGL's ND (SIGIR 2021).

    In ``Data`` a dropped node is gone, from ``x``, ``batch`` and all else that nodes have, and a graph keeps at least
    one node (GraphCL, NeurIPS 2020, drops a fixed number in place of a fixed probability).
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

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with fewer nodes."""
        batch, graphs = graphs_of(data)
        coin = torch.rand(len(batch), device=batch.device, generator=generator)
        best = coin.new_zeros(graphs).scatter_reduce(0, batch, coin, "amax")
        keep = (coin >= self.p) | (coin == best.index_select(0, batch))
        out = take_nodes(data, keep.nonzero()[:, 0])
        return out if self.renormalize else _weighed(out, 1.0 / (1.0 - self.p) ** 2)

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


def _weighed(data: "Data", factor: float) -> "Data":
    """The same graph with its ``edge_weight`` times a number."""
    return put_weight(data, weight_of(data) * factor)


def _each(source: Adjacency | Step, asker: str, draw: Callable[[Adjacency], Adjacency]) -> Step:
    before = as_linear(source, asker)
    if before.shared is None:
        return Linear(lambda layer: draw(before.graph(layer)))
    dropped = draw(before.shared)
    return Linear(lambda layer: dropped, shared=dropped)

"""Edges that were not there."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gcl.views.base import DataView
from gcl.views.batches import add_edges, edges_of, graphs_of, offsets

if TYPE_CHECKING:
    from torch_geometric.data import Data

ROUNDS = 64


class AddEdge(DataView):
    """Every graph gets round(p E) edges between nodes of it that have none, drawn uniformly; E counts its edges.

    E is that of unordered pairs with ``pairs``, and both directions are added; else of directed edges. Loops are not
    counted, nor added. A graph that lacks fewer edges gets those; one that is nearly complete may get a few less than
    round(p E), as draws that meet an edge are repeated 64 times and not for ever. New edges have ``edge_weight`` 1, and
    0 in every other attribute. You et al., GraphCL (NeurIPS 2020).

    Args:
        p: new edges as a share of those there are, from 0.
        pairs: see above.
    """

    level = "graph"

    def __init__(self, p: float = 0.1, pairs: bool = True) -> None:
        super().__init__()
        if p < 0:
            raise ValueError(f"p must not be negative, got {p}.")
        self.p, self.pairs = p, pairs

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with more edges, and the same nodes."""
        edges, (batch, graphs) = edges_of(data), graphs_of(data)
        first = offsets(batch, graphs)
        sizes = first.diff()
        known = torch.unique(self._key(edges[:, edges[0] != edges[1]], len(batch)))
        count = torch.bincount(batch[known // max(len(batch), 1)], minlength=graphs)
        room = sizes * (sizes - 1) // (2 if self.pairs else 1) - count
        wanted = torch.minimum((self.p * count).round().long(), room)
        found = known[:0]
        for _ in range(ROUNDS):
            left = wanted - torch.bincount(batch[found // max(len(batch), 1)], minlength=graphs)
            owner = torch.repeat_interleave(torch.arange(graphs, device=edges.device), 2 * left.clamp(min=0))
            if not len(owner):
                break
            coins = torch.rand(2, len(owner), dtype=torch.float64, device=edges.device, generator=generator)
            drawn = first[owner] + torch.minimum((coins * sizes[owner]).long(), sizes[owner] - 1)
            keys = self._key(drawn[:, drawn[0] != drawn[1]], len(batch))
            found = _first_of(torch.cat([found, keys[~torch.isin(keys, known)]]), wanted, batch)
        more = torch.stack([found // max(len(batch), 1), found % max(len(batch), 1)])
        return add_edges(data, torch.cat([more, more.flip(0)], dim=1) if self.pairs else more)

    def _key(self, edges: Tensor, num_nodes: int) -> Tensor:
        """A number for every edge [m], the same for both directions with ``pairs``."""
        first, second = (edges.amin(0), edges.amax(0)) if self.pairs else edges
        return first * num_nodes + second


def _first_of(keys: Tensor, wanted: Tensor, batch: Tensor) -> Tensor:
    """Different keys in the order in which they came, at most ``wanted`` a graph; ordered by graph."""
    place = torch.arange(len(keys), device=keys.device)
    unique, inverse = torch.unique(keys, return_inverse=True)
    came = torch.full_like(unique, len(keys)).scatter_reduce(0, inverse, place, "amin")
    keys = keys[came.sort().values]
    owner, order = torch.sort(batch[keys // max(len(batch), 1)], stable=True)
    rank = torch.arange(len(keys), device=keys.device) - offsets(owner, len(wanted))[owner]
    return keys[order[rank < wanted[owner]]]

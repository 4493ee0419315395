"""A part of every graph that hangs together."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gcl.views.base import DataView
from gcl.views.batches import Memo, edges_of, graphs_of, offsets, take_nodes

if TYPE_CHECKING:
    from torch_geometric.data import Data


class Subgraph(DataView):
    """The nodes that random walks meet, at most ceil(ratio n) of the n nodes of each graph, and the edges among them.

    Each graph has ceil(ratio n / length) walks at once, from nodes drawn uniformly, of 4 · ``length`` steps each; nodes
    are taken in the order in which they are met, so one walk, as in small graphs, gives one connected part. A node
    without neighbours stays where it is. In parts that the walks do not leave, fewer nodes are met.
    Qiu et al., GCC (KDD 2020); You et al., GraphCL (NeurIPS 2020).

    Args:
        ratio: share of nodes of a graph that stay, in (0, 1].
        length: nodes that one walk stands for, at least 1.
    """

    level = "graph"

    def __init__(self, ratio: float = 0.8, length: int = 20) -> None:
        super().__init__()
        if not 0.0 < ratio <= 1.0:
            raise ValueError(f"ratio must be a share in (0, 1], got {ratio}.")
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}.")
        self.ratio, self.length = ratio, length
        self._memo = Memo()

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with fewer nodes."""
        edges, (batch, graphs) = edges_of(data), graphs_of(data)
        first = offsets(batch, graphs)
        sizes = first.diff()
        wanted = torch.ceil(self.ratio * sizes - 1e-9).long()
        owner = torch.repeat_interleave(torch.arange(graphs, device=edges.device), -(-wanted // self.length))
        coins = torch.rand(len(owner), dtype=torch.float64, device=edges.device, generator=generator)
        start = first[owner] + torch.minimum((coins * sizes[owner]).long(), sizes[owner] - 1)
        size = len(batch)
        links = self._memo(lambda: neighbours(edges, size), (edges,), size)
        path = walk(links, start, 4 * self.length, generator)
        return take_nodes(data, _met(path, batch, wanted))


def neighbours(edges: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Where the targets of every source begin [N + 1], and the targets [E]."""
    order = torch.argsort(edges[0], stable=True)
    return offsets(edges[0], num_nodes), edges[1].index_select(0, order)


def walk(links: tuple[Tensor, Tensor], start: Tensor, steps: int, generator: torch.Generator | None) -> Tensor:
    """Uniform random walks [steps + 1, W] from nodes ``start`` [W]; a node without neighbours is not left."""
    first, targets = links
    degree = first.diff()
    path = [start]
    for _ in range(steps if len(targets) else 0):
        here = path[-1]
        coin = torch.rand(here.shape, dtype=torch.float64, device=here.device, generator=generator)
        choice = torch.minimum((coin * degree[here]).long(), (degree[here] - 1).clamp(min=0))
        there = targets[(first[here] + choice).clamp(max=len(targets) - 1)]
        path.append(torch.where(degree[here] > 0, there, here))
    return torch.stack(path)


def _met(path: Tensor, batch: Tensor, wanted: Tensor) -> Tensor:
    """The nodes that the walks meet first, ``wanted`` a graph at most, ascending."""
    nodes = path.flatten()
    time = torch.arange(len(nodes), device=nodes.device)
    never = len(nodes)
    came = torch.full((len(batch),), never, device=nodes.device).scatter_reduce(0, nodes, time, "amin")
    order = torch.argsort(batch * (never + 1) + came)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - offsets(batch, len(wanted))[batch[order]]
    return ((came < never) & (rank < wanted[batch])).nonzero()[:, 0]

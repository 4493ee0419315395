"""Diffusion in place of edges: everybody is joined to those whom a walk, or heat, reaches from there."""

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gcl.views.base import DataView
from gcl.views.batches import Memo, edges_of, graphs_of, offsets, put_edges, weight_of

if TYPE_CHECKING:
    from torch_geometric.data import Data


class _Diffusion(DataView):
    """Base: edges of every graph give way to the ``k`` largest entries a column of a diffusion matrix of it.

    Dense and exact, as ``torch_geometric.transforms.GDC(exact=True)`` is: O(n²) memory and O(n³) time a graph of n
    nodes. A graph that comes again unchanged is not computed again.
    """

    level = "graph"

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}.")
        self.k = k
        self._memo = Memo()

    @abstractmethod
    def diffuse(self, graph: Tensor) -> Tensor:
        """The diffusion matrix [n, n] of a normalised graph [n, n], all with loops."""

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with other edges, of which ``edge_weight`` is all that is known."""
        weight = getattr(data, "edge_weight", None)
        batch = getattr(data, "batch", None)
        made = self._memo(lambda: self._edges(data), (edges_of(data), weight, batch), int(data.num_nodes))
        return put_edges(data, made[0], edge_weight=made[1])

    @torch.no_grad()
    def _edges(self, data: "Data") -> tuple[Tensor, Tensor]:
        edges, (batch, graphs) = edges_of(data), graphs_of(data)
        first = offsets(batch, graphs)
        order = torch.argsort(batch[edges[0]], stable=True)
        edges, weight = edges[:, order], weight_of(data)[order]
        bounds = offsets(batch[edges[0]], graphs).tolist()
        found = []
        for at, (begin, end) in enumerate(zip(first[:-1].tolist(), first[1:].tolist(), strict=True)):
            own = slice(bounds[at], bounds[at + 1])
            found.append(self._one(edges[:, own] - begin, weight[own], end - begin, begin))
        return torch.cat([e for e, _ in found], dim=1), torch.cat([w for _, w in found])

    def _one(self, edges: Tensor, weight: Tensor, size: int, begin: int) -> tuple[Tensor, Tensor]:
        graph = torch.eye(size, device=weight.device, dtype=weight.dtype)
        graph.view(-1).index_add_(0, edges[1] * size + edges[0], weight)
        scale = graph.sum(1).clamp(min=1e-12).rsqrt()
        matrix = self.diffuse(scale[:, None] * graph * scale)
        values, source = torch.topk(matrix, min(self.k, size), dim=1)
        target = torch.arange(size, device=weight.device)[:, None].expand_as(source)
        kept = values > 0
        return torch.stack([source[kept], target[kept]]) + begin, values[kept]


class PPR(_Diffusion):
    """S = α (I - (1 - α) Â)^-1, personalised PageRank; every node is reached from its ``k`` nearest.

    Â = D^-1/2 (A + I) D^-1/2. Gasteiger et al., GDC (NeurIPS 2019); Hassani & Khasahmadi, MVGRL (ICML 2020).

    Args:
        alpha: probability of a return, in (0, 1].
        k: entries kept a node.
    """

    def __init__(self, alpha: float = 0.2, k: int = 32) -> None:
        super().__init__(k)
        if not 0.0 < alpha <= 1.0:
            raise ValueError(f"alpha must be a probability in (0, 1], got {alpha}.")
        self.alpha = alpha

    def diffuse(self, graph: Tensor) -> Tensor:
        """S."""
        eye = torch.eye(len(graph), device=graph.device, dtype=graph.dtype)
        return self.alpha * torch.linalg.inv(eye - (1.0 - self.alpha) * graph)


class Heat(_Diffusion):
    """S = exp(t (Â - I)), heat after the time t; every node is reached from its ``k`` nearest. Sources as in PPR.

    Args:
        t: time, positive.
        k: entries kept a node.
    """

    def __init__(self, t: float = 5.0, k: int = 32) -> None:
        super().__init__(k)
        if t <= 0:
            raise ValueError(f"t must be positive, got {t}.")
        self.t = t

    def diffuse(self, graph: Tensor) -> Tensor:
        """S."""
        eye = torch.eye(len(graph), device=graph.device, dtype=graph.dtype)
        return torch.linalg.matrix_exp(self.t * (graph - eye))

"""GCA's views: what is central is dropped less often."""

import copy
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from gcl.views.base import DataView
from gcl.views.batches import Memo, edges_of, graphs_of, pair_ids, take_edges, weight_of
from gcl.views.features import features_of

if TYPE_CHECKING:
    from torch_geometric.data import Data

Centrality = Literal["degree", "pagerank", "eigenvector"]
NAMES = ("degree", "pagerank", "eigenvector")
EPS = 1e-8
EQUAL = 1e-5
"""Relative spread below which scores are equal: more than float32 rounds."""


class AdaptiveDropEdge(DataView):
    """Each undirected edge is dropped with p_ab = min(p (s_max - s_ab) / (s_max - s_mean), cap), in both directions.

    s_ab = (log φ(a) + log φ(b)) / 2 for a centrality φ; maximum and mean are those of a graph. Where all s are equal
    p_ab is p. Zhu et al., GCA (WWW 2021); the authors' code reads φ of the target alone.

    Args:
        p: mean probability before the cap.
        centrality: φ, see :func:`centrality`.
        cap: the highest probability.
    """

    level = "graph"

    def __init__(self, p: float = 0.3, centrality: Centrality = "degree", cap: float = 0.7) -> None:
        super().__init__()
        self.p, self.centrality, self.cap = _share("p", p), _known(centrality), _share("cap", cap)
        self._memo = Memo()

    def probabilities(self, data: "Data") -> tuple[Tensor, Tensor]:
        """p of every unordered pair of ends, and the pair of every edge [E]."""
        edges, (batch, graphs) = edges_of(data), graphs_of(data)
        log = (centrality(data, self.centrality) + EPS).log()
        ids, count = pair_ids(edges, len(batch))
        some = torch.zeros(count, dtype=torch.long, device=edges.device)
        some[ids] = torch.arange(len(ids), device=edges.device)
        ends = edges[:, some]
        score = log[ends].mean(0)
        return _adapted(score, batch[ends[0]], graphs, self.p, self.cap), ids

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with fewer edges, and all its nodes."""
        edges, weight = edges_of(data), getattr(data, "edge_weight", None)
        batch = getattr(data, "batch", None)
        p, ids = self._memo(lambda: self.probabilities(data), (edges, weight, batch), int(data.num_nodes))
        keep = torch.rand(len(p), device=edges.device, generator=generator) >= p
        return take_edges(data, keep[ids].nonzero()[:, 0])


class AdaptiveMaskFeature(DataView):
    """A column i of ``x`` is masked with p_i = min(p (w_max - w_i) / (w_max - w_mean), cap), for all nodes of a graph.

    w_i = log Σ_u |x_ui| φ(u) for a centrality φ, which for features 0 / 1 counts whoever has the feature; maximum and
    mean are over the columns of a graph where the sum is not 0, the others have p. Zhu et al., GCA (WWW 2021).

    Args:
        p: mean probability before the cap.
        centrality: φ, see :func:`centrality`.
        cap: the highest probability.
    """

    level = "feature"

    def __init__(self, p: float = 0.3, centrality: Centrality = "degree", cap: float = 0.7) -> None:
        super().__init__()
        self.p, self.centrality, self.cap = _share("p", p), _known(centrality), _share("cap", cap)
        self._memo = Memo()

    def probabilities(self, data: "Data") -> Tensor:
        """p of every column, [graphs, F]."""
        batch, graphs = graphs_of(data)
        phi = centrality(data, self.centrality)
        weight = data.x.new_zeros(graphs, data.x.shape[1]).index_add_(0, batch, data.x.abs() * phi[:, None])
        rows = torch.arange(graphs, device=batch.device)[:, None].expand_as(weight)
        used = weight > 0
        p = torch.full_like(weight, min(self.p, self.cap))
        p[used] = _adapted(weight[used].log(), rows[used], graphs, self.p, self.cap)
        return p

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with columns masked."""
        x, weight = features_of(data, "AdaptiveMaskFeature"), getattr(data, "edge_weight", None)
        batch, size = getattr(data, "batch", None), int(data.num_nodes)
        p = self._memo(lambda: self.probabilities(data), (edges_of(data), weight, batch, x), size)
        hidden = torch.rand(p.shape, device=x.device, generator=generator) < p
        out = copy.copy(data)
        out.x = x.masked_fill(hidden if len(p) == 1 else hidden.index_select(0, data.batch), 0.0)
        return out


def centrality(data: "Data", kind: Centrality) -> Tensor:
    """How central every node is in its graph, [N], from 0.

    ``degree``: sum of weights of its edges, those out and those in halved. ``pagerank``: x = (1 - d) + d Σ x_v w_vu /
    degree_v, d = 0.85, 100 steps from 1; the mean is at most 1. ``eigenvector``: that of the largest eigenvalue of
    A + I, whose eigenvectors are those of A, by 100 steps of the power method from 1, of length 1 a graph; in a graph
    of several parts only those of the largest eigenvalue count.
    """
    edges, (batch, graphs) = edges_of(data), graphs_of(data)
    weight = weight_of(data)
    degree = weight.new_zeros(len(batch)).index_add_(0, edges[0], weight)
    if kind == "degree":
        return degree.index_add_(0, edges[1], weight) / 2
    x = torch.ones_like(degree)
    for _ in range(100):
        if kind == "pagerank":
            spread = (x / degree.clamp(min=EPS)).index_select(0, edges[0]) * weight
            x = torch.full_like(x, 0.15).index_add_(0, edges[1], 0.85 * spread)
        else:
            x = x.index_add(0, edges[1], x.index_select(0, edges[0]) * weight)
            length = x.new_zeros(graphs).index_add_(0, batch, x.square()).sqrt()
            x = x / length.index_select(0, batch).clamp(min=EPS)
    return x


def _adapted(s: Tensor, g: Tensor, graphs: int, p: float, cap: float) -> Tensor:
    """min(p (max - s) / (max - mean), cap) within groups; ``s`` and ``g`` [n]."""
    given, s = s.dtype, s.double()
    count = torch.bincount(g, minlength=graphs).clamp(min=1)
    mean = s.new_zeros(graphs).index_add_(0, g, s) / count
    top = torch.full_like(mean, -torch.inf).scatter_reduce(0, g, s, "amax")
    spread = (top - mean)[g]
    apart = spread > EQUAL * (1 + mean[g].abs())
    share = torch.where(apart, (top[g] - s) / spread.clamp(min=EPS), torch.ones_like(s))
    return (p * share).clamp(max=cap).to(given)


def _share(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value}.")
    return value


def _known(name: Centrality) -> Centrality:
    if name not in NAMES:
        raise ValueError(f"centrality must be 'degree', 'pagerank' or 'eigenvector', got {name!r}.")
    return name

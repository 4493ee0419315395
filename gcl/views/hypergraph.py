"""A learnt hypergraph: nodes of a kind meet in a few hyperedges."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gcl.graph import Adjacency
from gcl.views.base import GraphView, Step


class Hypergraph(GraphView):
    """h <- H (H^T h) a side, H = dropout(E0 W) [rows, K], E0 what enters layer 1 and W [d, K] learnt, a side each.

    Users meet in hyperedges of users, items in those of items; no edge of the graph is read, O(N K d). H is made once
    for all layers; its dropout is drawn anew at every layer. In a chain the step before is not taken.
    Xia et al., Hypergraph Contrastive Collaborative Filtering (SIGIR 2022), in the form of the authors' torch code:
    linear, without the layers between hyperedges. In eval mode nothing is dropped.

    H is not normalised: its products grow with the number of rows and can drown what they are added to. Xavier-uniform
    tables are small (entries of H of the order of d / √(N K)), and a penalty on W keeps them so.

    Args:
        hyperedges: K.
        p: probability that an entry of H is dropped; the rest is scaled by 1 / (1 - p).
    """

    def __init__(self, hyperedges: int = 128, p: float = 0.0) -> None:
        super().__init__()
        if hyperedges < 1:
            raise ValueError(f"hyperedges must be at least 1, got {hyperedges}.")
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p must be a probability in [0, 1), got {p}.")
        self.hyperedges, self.p = hyperedges, p
        self.weights = nn.ParameterList()
        self.sizes: list[int] = []

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Tables of hyperedges for every side."""
        self.sizes = list(sides)
        self.weights = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(dim, self.hyperedges)) for _ in sides)

    def incidence(self, ego: Tensor) -> list[Tensor]:
        """H of every side, [rows, K], for the table ego [N, d]."""
        return [side @ w for side, w in zip(torch.split(ego, self.sizes), self.weights, strict=True)]

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """Hyperedges made when layer 1 is taken, dropped anew at every layer."""
        made: list[Tensor] = []

        def step(h: Tensor, layer: int) -> Tensor:
            if layer == 1 or not made:
                made[:] = self.incidence(h)
            dropped = [self._dropped(side, generator) for side in made]
            return torch.cat([m @ (m.T @ x) for m, x in zip(dropped, torch.split(h, self.sizes), strict=True)])

        return step

    def _dropped(self, incidence: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.p or not self.training:
            return incidence
        keep = torch.rand(incidence.shape, device=incidence.device, generator=generator) >= self.p
        return incidence * keep / (1.0 - self.p)

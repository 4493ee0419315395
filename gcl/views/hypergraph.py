"""A learnt hypergraph: nodes of a kind meet in a few hyperedges."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.graph import Adjacency
from gcl.views.base import GraphView, Step


class Hypergraph(GraphView):
    """h <- σ(H σ(H^T h)) a side, H = dropout(scale E0 W) [rows, K], E0 what enters layer 1, W [d, K] learnt a side.

    Users meet in hyperedges of users, items in those of items; no edge of the graph is read, O(N K d). H is made once
    for all layers; its dropout is drawn anew at every layer. In a chain it comes first.
    Xia et al., Hypergraph Contrastive Collaborative Filtering (SIGIR 2022), in the form of the authors' torch code:
    without the layers between hyperedges, and linear (σ is LeakyReLU; its slope there is 1).

    H is not normalised, and its products drown the graph that they are added to: at the start, from Xavier-uniform
    tables, a linear step multiplies h by about 4 scale² N K / ((N + d) (d + K)), nearly 3 for N >> d = 64, K = 128 and
    scale 1, where Â shrinks it; in training that grows with ||E0||² ||W||². ``scale`` below 1 prevents it,
    and :meth:`report` shows it.

    Args:
        hyperedges: K.
        p: probability that an entry of H is dropped in training; the rest is scaled by 1 / (1 - p).
        scale: factor of H.
        slope: of σ below 0; 1 is linear.
    """

    replaces = True

    def __init__(self, hyperedges: int = 128, p: float = 0.0, scale: float = 1.0, slope: float = 1.0) -> None:
        super().__init__()
        if hyperedges < 1:
            raise ValueError(f"hyperedges must be at least 1, got {hyperedges}.")
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p must be a probability in [0, 1), got {p}.")
        if scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}.")
        if not 0.0 <= slope <= 1.0:
            raise ValueError(f"slope must lie in [0, 1], 1 is linear, got {slope}.")
        self.hyperedges, self.p, self.scale, self.slope = hyperedges, p, scale, slope
        self.weights = nn.ParameterList()
        self.sizes: list[int] = []

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Tables of hyperedges for every side."""
        self.sizes = list(sides)
        self.weights = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(dim, self.hyperedges)) for _ in sides)

    def incidence(self, ego: Tensor) -> list[Tensor]:
        """H of every side, [rows, K], for the table ego [N, d]."""
        return [side @ (self.scale * w) for side, w in zip(torch.split(ego, self.sizes), self.weights, strict=True)]

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """``gain``: how many times longer than h, as a whole, a step without dropout leaves it."""
        sides = zip(self.incidence(h), torch.split(h, self.sizes), strict=True)
        out = torch.cat([self._through(m, x) for m, x in sides])
        return {"gain": (out.norm() / h.norm().clamp(min=1e-12)).item()}

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """Hyperedges made when layer 1 is taken, dropped anew at every layer."""
        made: list[Tensor] = []

        def step(h: Tensor, layer: int) -> Tensor:
            if layer == 1 or not made:
                made[:] = self.incidence(h)
            dropped = [self._dropped(side, generator) for side in made]
            sides = zip(dropped, torch.split(h, self.sizes), strict=True)
            return torch.cat([self._through(m, x) for m, x in sides])

        return step

    def _through(self, m: Tensor, x: Tensor) -> Tensor:
        """σ(H σ(H^T x))."""
        if self.slope == 1.0:
            return m @ (m.T @ x)
        return F.leaky_relu(m @ F.leaky_relu(m.T @ x, self.slope), self.slope)

    def _dropped(self, incidence: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.p or not self.training:
            return incidence
        keep = torch.rand(incidence.shape, device=incidence.device, generator=generator) >= self.p
        return incidence * keep / (1.0 - self.p)

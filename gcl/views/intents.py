"""Intents: every node is told by a few prototypes that all nodes of its kind share."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.graph import Adjacency
from gcl.views.base import GraphView, Step, as_step
from gcl.views.report import share_entropy


class Intents(GraphView):
    """h <- y + softmax(y C) C^T, y the step before and C [d, K] prototypes a side: users have theirs, items theirs.

    Nodes meet through the prototypes that they share, at O(N K d) and without a further edge. Softmax without
    temperature over plain dot products; Xavier-uniform prototypes. The module itself, called with h, is the map
    softmax(h C) C^T alone, as DCCF takes it of the representations that enter a layer.
    Ren et al., Disentangled Contrastive Collaborative Filtering (SIGIR 2023).

    Fails where prototypes become one: all nodes then look alike, and a contrast with them says nothing. Losses that
    contrast different nodes hold against it; so does :meth:`similarity`, weighed into a loss.

    Args:
        intents: K, prototypes a side.
        residual: whether y itself stays in the sum.
    """

    def __init__(self, intents: int = 128, residual: bool = True) -> None:
        super().__init__()
        if intents < 1:
            raise ValueError(f"intents must be at least 1, got {intents}.")
        self.intents, self.residual = intents, residual
        self.prototypes = nn.ParameterList()
        self.sizes: list[int] = []

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Prototypes for every side."""
        self.sizes = list(sides)
        self.prototypes = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(dim, self.intents)) for _ in sides)

    def forward(self, h: Tensor) -> Tensor:
        """Representations by intents alone, [N, d] -> [N, d]."""
        return torch.cat([p @ c.T for p, c in zip(self.shares(h), self.prototypes, strict=True)])

    def shares(self, h: Tensor) -> list[Tensor]:
        """What share each intent has in each node, [rows, K] a side; rows sum to 1."""
        return [
            torch.softmax(side @ c, dim=1) for side, c in zip(torch.split(h, self.sizes), self.prototypes, strict=True)
        ]

    def similarity(self) -> Tensor:
        """Mean squared cosine of different prototypes of a side, averaged over sides: 0 where all are orthogonal."""
        found = []
        for cosine in self.cosines():
            others = cosine - torch.diag(cosine.diagonal())
            found.append(others.square().sum() / max(self.intents * (self.intents - 1), 1))
        return torch.stack(found).mean()

    def cosines(self) -> list[Tensor]:
        """Cosines of the prototypes of each side with each other, [K, K]."""
        units = [F.normalize(c, dim=0) for c in self.prototypes]
        return [unit.T @ unit for unit in units]

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Entropy of the shares, as a part of the highest, and likeness of different prototypes."""
        return {"entropy": share_entropy(self.shares(h)), "similarity": self.similarity().item()}

    def pictures(self, adj: Adjacency, h: Tensor) -> dict[str, Tensor]:
        """``similarity/<side>``: absolute cosines of the prototypes, white where two are one."""
        return {f"similarity/{side}": cosine.abs().clamp(max=1.0) for side, cosine in enumerate(self.cosines())}

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """The same map at every layer, of what the step before makes of h."""
        before = as_step(source)

        def step(h: Tensor, layer: int) -> Tensor:
            y = before(h, layer)
            mapped = self.forward(y)
            return y + mapped if self.residual else mapped

        return step

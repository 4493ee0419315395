"""The low-rank view of LightGCL: what the graph's strongest directions say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gcl.graph import Adjacency
from gcl.views.base import GraphView, Step

OVERSAMPLED = 10
"""Directions that the randomised algorithm follows beyond those that are kept."""


class SVD(GraphView):
    """Propagation by the truncated singular value decomposition of the graph, at O(N q d) and without its edges.

    Of a bipartite graph R̂ ≈ U_q S_q V_q^T: users <- U_q S_q (V_q^T h_items), items <- V_q S_q (U_q^T h_users); of any
    other, the same of Â itself. Nothing is learnt. In a chain it comes first: its factors stand in for
    the graph. Cai et al., LightGCL (ICLR 2023).

    Fails where the factors, which come from a randomised algorithm, are made anew for a stored model: they are in
    the state dict. At q = 1 only popularity is left; from q = min(U, I) on it is the plain step.

    Args:
        rank: q, number of singular values kept.
        iterations: power iterations of the randomised algorithm; more are more exact.
    """

    left: Tensor
    right: Tensor
    strength: Tensor

    replaces = True

    def __init__(self, rank: int = 5, iterations: int = 4) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}.")
        if iterations < 0:
            raise ValueError(f"iterations must not be negative, got {iterations}.")
        self.rank, self.iterations = rank, iterations
        self.cut: int | None = None

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Factorise the graph; two sides without edges inside are taken as a bipartite graph."""
        row, col, values, shape = adj.row.long(), adj.indices.long(), adj.values, (adj.num_rows, adj.num_cols)
        first = sides[0]
        if len(sides) == 2 and bool(((row < first) != (col < first)).all()):
            self.cut, half = first, row < first
            row, col, values, shape = row[half], col[half] - first, values[half], (first, sides[1])
        matrix = torch.sparse_coo_tensor(torch.stack([row, col]), values, shape, check_invariants=True)
        u, s, v = torch.svd_lowrank(matrix, min(self.rank + OVERSAMPLED, *shape), self.iterations)
        self.register_buffer("left", u[:, : self.rank].contiguous())
        self.register_buffer("strength", s[: self.rank].contiguous())
        self.register_buffer("right", v[:, : self.rank].contiguous())

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """The same product at every layer."""

        def step(h: Tensor, layer: int) -> Tensor:
            if self.cut is None:
                return self.left @ (self.strength[:, None] * (self.right.T @ h))
            users, items = h[: self.cut], h[self.cut :]
            to_users = self.left @ (self.strength[:, None] * (self.right.T @ items))
            return torch.cat([to_users, self.right @ (self.strength[:, None] * (self.left.T @ users))])

        return step

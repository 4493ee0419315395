"""LightGCN's encoder: one table of ids, propagated without weights or non-linearity."""

from collections.abc import Iterable, Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from gcl.data import TrainInteractions
from gcl.encoders.readout import Readout, read
from gcl.errors import one_of
from gcl.graph import Adjacency, look_up, propagate
from gcl.views.base import Linear, chain


class LightGCNEncoder(nn.Module):
    r"""Table E(0) [U + I, d], users first, and its propagation E(k) = Â E(k - 1), k = 1 .. L.

    Â = D^-1/2 A D^-1/2 of the bipartite graph of train interactions, without self-loops. How a step is taken can be
    replaced by views; without them all L steps are one fused operation. Xavier-uniform initialisation by the users'
    and the items' own sizes. He et al., LightGCN (SIGIR 2020).

    Args:
        train: the training part; no other interactions can enter the graph.
        dim: width d.
        layers: number of steps L; 0 is matrix factorisation.
        readout: see :func:`gcl.encoders.read`.
    """

    def __init__(self, train: TrainInteractions, dim: int, layers: int, readout: Readout = "mean") -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}.")
        if layers < 0:
            raise ValueError(f"layers must be at least 0, got {layers}.")
        one_of("readout", readout, get_args(Readout))
        self.num_users, self.num_layers, self.readout = train.num_users, layers, readout
        self.dim, self.sides = dim, (train.num_users, train.num_items)
        users, items = torch.empty(train.num_users, dim), torch.empty(train.num_items, dim)
        self.table = nn.Parameter(torch.cat([nn.init.xavier_uniform_(users), nn.init.xavier_uniform_(items)]))
        self.adj: Adjacency = Adjacency.bipartite(train).normalize("sym")

    def forward(self, views: Iterable[nn.Module] = (), generator: torch.Generator | None = None) -> list[Tensor]:
        """Representations of every layer, L + 1 tensors [U + I, d], steps taken as ``views`` say."""
        step = chain(views, self.adj, generator)
        if isinstance(step, Linear) and step.shared is not None:
            return (
                [self.table, *propagate(step.shared, self.table, self.num_layers)] if self.num_layers else [self.table]
            )
        layers: list[Tensor] = [self.table]
        for k in range(1, self.num_layers + 1):
            layers.append(step(layers[-1], k))
        return layers

    def check(self, views: Iterable[nn.Module]) -> None:
        """An error, at construction, for views that cannot follow one another on this graph."""
        chain(views, self.adj, torch.Generator(self.adj.values.device).manual_seed(0))

    def read(self, layers: Sequence[Tensor]) -> Tensor:
        """One representation [U + I, d] out of those of every layer."""
        return read(layers, self.readout)

    def split(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of users and those of items of a table [U + I, d]; their gradients come back in one piece."""
        users, items = torch.split(table, [self.num_users, table.shape[0] - self.num_users])
        return users, items

    def rows(self, table: Tensor, users: Tensor, *items: Tensor) -> list[Tensor]:
        """Rows of users [B] and of each index of items [B] or [B, m], in one lookup (one dense gradient)."""
        indices = [users, *(i + self.num_users for i in items)]
        rows = look_up(table, torch.cat([i.reshape(-1) for i in indices]))
        parts = torch.split(rows, [i.numel() for i in indices])
        return [part.view(*index.shape, -1) for part, index in zip(parts, indices, strict=True)]

"""The fixed part of a graph: where its edges are, where each edge's reverse is, which edges are one."""

from typing import NamedTuple

import torch
from torch import Tensor

from gcl.data import TrainInteractions
from gcl.errors import InputError

LIMIT = 2**31 - 1


class Structure(NamedTuple):
    """Edges in CSR order, all tensors int32.

    ``indptr`` [R + 1], ``indices`` [E], ``row`` [E]; ``transpose`` [E]: position of every edge of the transpose, taken
    in the transpose's CSR order; ``t_indptr`` [C + 1], ``t_indices`` [E]: the transpose's structure, None where it is
    this one (``mirrored``: every edge has its reverse); ``undirected`` [E]: number of the undirected edge.
    """

    indptr: Tensor
    indices: Tensor
    row: Tensor
    transpose: Tensor
    undirected: Tensor
    t_indptr: Tensor | None
    t_indices: Tensor | None
    num_cols: int
    num_undirected: int

    @property
    def mirrored(self) -> bool:
        """Whether every edge has its reverse."""
        return self.t_indptr is None


def bipartite(train: TrainInteractions) -> Structure:
    """Users then items, an edge each way an interaction; undirected ids count interactions by user, then item."""
    count, users = len(train), train.num_users
    check_size(2 * count, users + train.num_items)
    items = train.by_user.indices
    degrees = torch.cat([train.by_user.counts, train.by_item.counts])
    order = torch.argsort(items, stable=True)
    forward = torch.arange(count, device=items.device)
    back = torch.empty_like(order).scatter_(0, order, forward)
    return Structure(
        indptr=_pointers(degrees),
        indices=torch.cat([items + users, train.by_item.indices]).int(),
        row=_rows(degrees),
        transpose=torch.cat([back + count, order]).int(),
        undirected=torch.cat([forward, order]).int(),
        t_indptr=None,
        t_indices=None,
        num_cols=users + train.num_items,
        num_undirected=count,
    )


def general(row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> tuple[Structure, Tensor]:
    """Structure of any edges, sorted by row and column, and the order [E] that sorts them; equal edges stay apart.

    In a square matrix (i, j) and (j, i) are one undirected edge; in a rectangular one every edge is its own.
    """
    check_edges(row, col, num_rows, num_cols)
    order = torch.argsort(row.long() * num_cols + col, stable=True)
    row, col = row[order].long(), col[order].long()
    transpose = torch.argsort(col * num_rows + row, stable=True)
    indptr, indices = _pointers(torch.bincount(row, minlength=num_rows)), col.int()
    t_indptr, t_indices = _pointers(torch.bincount(col, minlength=num_cols)), row[transpose].int()
    undirected, number = torch.arange(row.numel(), device=row.device), row.numel()
    if num_rows == num_cols:
        pairs = torch.minimum(row, col) * num_cols + torch.maximum(row, col)
        distinct, undirected = torch.unique(pairs, return_inverse=True)
        number = distinct.numel()
    mirrored = torch.equal(indptr, t_indptr) and torch.equal(indices, t_indices)
    made = Structure(
        indptr=indptr,
        indices=indices,
        row=row.int(),
        transpose=transpose.int(),
        undirected=undirected.int(),
        t_indptr=None if mirrored else t_indptr,
        t_indices=None if mirrored else t_indices,
        num_cols=num_cols,
        num_undirected=number,
    )
    return made, order


def check_size(num_edges: int, num_nodes: int) -> None:
    """An error where edges or nodes cannot be numbered by int32."""
    if max(num_edges, num_nodes) > LIMIT:
        raise InputError(
            f"a graph must have fewer than 2^31 edges and nodes, got {num_edges} edges and {num_nodes} nodes; "
            "drop users or items with few interactions."
        )


def check_edges(row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> None:
    """Errors for ends of edges of unequal number, wrong type or out of range."""
    for name, ends, size in (("row", row, num_rows), ("col", col, num_cols)):
        if ends.dtype not in (torch.int64, torch.int32) or ends.dim() != 1:
            raise ValueError(f"{name} must be a vector of integers, got {ends.dtype} of shape {tuple(ends.shape)}.")
        if ends.numel() and (int(ends.min()) < 0 or int(ends.max()) >= size):
            raise ValueError(f"{name} must lie in [0, {size}), got {int(ends.min())} .. {int(ends.max())}.")
    if row.shape != col.shape:
        raise ValueError(f"row and col must have equal length, got {row.numel()} and {col.numel()}.")
    check_size(row.numel(), max(num_rows, num_cols))


def _pointers(counts: Tensor) -> Tensor:
    indptr = torch.zeros(counts.numel() + 1, dtype=torch.int32, device=counts.device)
    indptr[1:] = torch.cumsum(counts, 0)
    return indptr


def _rows(counts: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.arange(counts.numel(), device=counts.device, dtype=torch.int32), counts)

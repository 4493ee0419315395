"""User-item interactions as a handful of tensors."""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

log = logging.getLogger("gcl.data")


class CSR(NamedTuple):
    """Rows of a 0/1 matrix: the columns of row ``r`` are ``indices[indptr[r]:indptr[r + 1]]``.

    Shapes: ``indptr`` [rows + 1], ``indices`` [nnz], both int64.
    """

    indptr: Tensor
    indices: Tensor

    @property
    def counts(self) -> Tensor:
        """Number of entries of every row, [rows] int64."""
        return self.indptr[1:] - self.indptr[:-1]

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Entries of ``rows`` [B], flat: (position in ``rows`` [n], column [n]), in row order."""
        counts = self.counts[rows]
        owner = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), counts)
        first = self.indptr[rows] - torch.cumsum(counts, 0) + counts
        position = torch.arange(owner.numel(), device=rows.device) + first[owner]
        return owner, self.indices[position]

    @classmethod
    def from_pairs(cls, row: Tensor, column: Tensor, num_rows: int) -> "CSR":
        """CSR of the pairs, each row's columns in the order in which the pairs stand."""
        order = torch.argsort(row, stable=True)
        indptr = torch.zeros(num_rows + 1, dtype=torch.int64, device=row.device)
        torch.cumsum(torch.bincount(row, minlength=num_rows), 0, out=indptr[1:])
        return cls(indptr, column[order])


@dataclass(frozen=True, eq=False)
class Interactions:
    """N pairs (user, item) with optional time and value; internal ids are dense from 0.

    Shapes: ``user``, ``item`` [N] int64; ``time`` [N] int64 or float64 or None; ``value`` [N] float32 or None.
    Pairs are distinct: build from raw columns with :meth:`from_columns`, which keeps the first of equal pairs.
    The order of rows is kept; it decides between equal times.
    """

    user: Tensor
    item: Tensor
    num_users: int
    num_items: int
    time: Tensor | None = None
    value: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("user", "item", "time", "value"):
            column = getattr(self, name)
            if column is not None and column.shape != self.user.shape:
                raise ValueError(
                    f"{name} must have one entry an interaction, {tuple(self.user.shape)}, got {tuple(column.shape)}."
                )
        for name, size in (("user", self.num_users), ("item", self.num_items)):
            column = getattr(self, name)
            if column.dtype != torch.int64 or column.dim() != 1:
                raise ValueError(
                    f"{name} must be a vector of int64 ids, got {column.dtype} of shape {tuple(column.shape)}."
                )
            if column.numel() and (int(column.min()) < 0 or int(column.max()) >= size):
                raise ValueError(f"{name} ids must lie in [0, {size}), got {int(column.min())} .. {int(column.max())}.")

    def __len__(self) -> int:
        return self.user.numel()

    @classmethod
    def from_columns(
        cls,
        user: Tensor,
        item: Tensor,
        num_users: int,
        num_items: int,
        time: Tensor | None = None,
        value: Tensor | None = None,
    ) -> Self:
        """Interactions of raw columns; of equal pairs the first row stays, and how many went is logged."""
        rows = cls(user, item, num_users, num_items, time, value)
        order = torch.argsort(user * num_items + item, stable=True)
        key = (user * num_items + item)[order]
        repeated = torch.zeros(len(rows), dtype=torch.bool, device=user.device)
        repeated[order[1:]] = key[1:] == key[:-1]
        dropped = int(repeated.sum())
        if not dropped:
            return rows
        log.warning("dropped %d duplicate rows of %d: the first of equal pairs is kept", dropped, len(rows))
        return rows.select(~repeated)

    def select(self, rows: Tensor) -> Self:
        """The rows of a mask [N] or of an index."""
        time = None if self.time is None else self.time[rows]
        value = None if self.value is None else self.value[rows]
        return type(self)(self.user[rows], self.item[rows], self.num_users, self.num_items, time, value)

    def to(self, device: torch.device | str) -> Self:
        """The same interactions on another device."""
        time = None if self.time is None else self.time.to(device)
        value = None if self.value is None else self.value.to(device)
        return type(self)(self.user.to(device), self.item.to(device), self.num_users, self.num_items, time, value)

    @cached_property
    def by_user(self) -> CSR:
        """Items of every user, ascending by item id."""
        order = torch.argsort(self.user * self.num_items + self.item)
        return CSR.from_pairs(self.user[order], self.item[order], self.num_users)

    @cached_property
    def by_item(self) -> CSR:
        """Users of every item, ascending by user id."""
        order = torch.argsort(self.item * self.num_users + self.user)
        return CSR.from_pairs(self.item[order], self.user[order], self.num_items)

    @cached_property
    def history(self) -> CSR:
        """Items of every user from the earliest to the latest; equal times, or no times, keep the order of rows."""
        if self.time is None:
            return CSR.from_pairs(self.user, self.item, self.num_users)
        order = torch.argsort(self.time, stable=True)
        return CSR.from_pairs(self.user[order], self.item[order], self.num_users)

    @cached_property
    def keys(self) -> Tensor:
        """Sorted ``user * num_items + item`` [N]: membership of a pair is one searchsorted."""
        return torch.sort(self.user * self.num_items + self.item).values

    def contains(self, user: Tensor, item: Tensor) -> Tensor:
        """Which of the pairs are interactions: a bool tensor of their shape."""
        if not len(self):
            return torch.zeros_like(user, dtype=torch.bool)
        key = user * self.num_items + item
        position = torch.searchsorted(self.keys, key).clamp_(max=len(self) - 1)
        return self.keys[position] == key

    def union(self, other: "Interactions") -> "Interactions":
        """These rows, then those of ``other`` (same users and items); a column that one lacks is dropped.

        Plain interactions, whatever these are: what was added may not be training data.
        """
        time = None if self.time is None or other.time is None else torch.cat([self.time, other.time])
        value = None if self.value is None or other.value is None else torch.cat([self.value, other.value])
        user, item = torch.cat([self.user, other.user]), torch.cat([self.item, other.item])
        return Interactions(user, item, self.num_users, self.num_items, time, value)


class TrainInteractions(Interactions):
    """Interactions of the training part. Graphs are built from this type alone, so no test edge can enter one."""

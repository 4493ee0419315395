"""Batches of train sequences: cut, bucketed by length, padded on the right."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gcl.data.batch import Batch, Sequences
from gcl.data.interactions import CSR
from gcl.errors import InputError, one_of

POOL = 50
"""Batches whose rows are sorted by length together: padding stays small, and batches stay random."""


def windows(csr: CSR, last: Tensor, length: Tensor, width: int) -> Tensor:
    """The ``length`` entries up to the flat position ``last``, [B] each, padded on the right with 0: [B, width]."""
    place = torch.arange(width, device=last.device)
    if not csr.indices.numel():
        return last.new_zeros(len(last), width)
    position = (last - length + 1)[:, None] + place
    inside = place < length[:, None]
    return torch.where(inside, csr.indices[position.clamp_(0, csr.indices.numel() - 1)], 0)


class SequenceRows:
    """The rows of one epoch: which stretch of the flat train history each of them reads.

    A row reads ``length`` items up to the flat position ``last`` and predicts the item at ``last + 1``. With ``prefix``
    every item but a user's first is the target of a row; else each user's last item is. Of more than ``max_length``
    items before the target the earliest are left out: with ``all`` and ``last`` they are seen in no row of the epoch,
    with ``windows`` they are read by the user's next rows, with ``prefix`` each has its own rows. Users with a single
    train item have none.
    """

    def __init__(self, history: CSR, sampling: Sequences) -> None:
        if sampling.max_length < 1:
            raise InputError(f"max_length must be at least 1, got {sampling.max_length}.")
        one_of("targets", sampling.targets, ("all", "windows", "last", "prefix"))
        self.history, self.targets = history, sampling.targets
        counts = history.counts
        if sampling.targets == "prefix":
            owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
            last = torch.arange(len(owner), device=counts.device) - 1
            before = last + 1 - history.indptr[owner]
            self.user, self.last, before = owner[before > 0], last[before > 0], before[before > 0]
        else:
            self.user = (counts > 1).nonzero().flatten()
            self.last, before = history.indptr[self.user + 1] - 2, counts[self.user] - 1
            if sampling.targets == "windows":
                number = -(-before // sampling.max_length)
                row = torch.repeat_interleave(torch.arange(len(number), device=counts.device), number)
                skipped = torch.arange(len(row), device=counts.device) - (number.cumsum(0) - number)[row]
                skipped = skipped * sampling.max_length
                self.user, self.last, before = self.user[row], self.last[row] - skipped, before[row] - skipped
        if not len(self.user):
            raise InputError("sequences need a user with at least 2 train items, and there is none.")
        self.length = before.clamp(max=sampling.max_length)

    def __len__(self) -> int:
        return self.user.numel()

    def batches(self, batch_size: int, generator: torch.Generator, start: int) -> Iterator[Batch]:
        """The epoch's batches from ``start`` on; its order is drawn now."""
        order = self._order(batch_size, generator)
        parts = torch.split(order, batch_size)
        shuffle = torch.randperm(len(parts), generator=generator, device=generator.device).tolist()
        widths = torch.stack([self.length[rows].max() for rows in parts]).tolist()
        return (self._batch(parts[b], widths[b]) for b in shuffle[start:])

    def _order(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Rows in random order, sorted by length within pools of batches."""
        order = torch.randperm(len(self), generator=generator, device=generator.device).to(self.user.device)
        pool = torch.arange(len(self), device=order.device) // (batch_size * POOL)
        return order[torch.argsort(pool * (int(self.length.max()) + 1) + self.length[order], stable=True)]

    def _batch(self, rows: Tensor, width: int) -> Batch:
        last, length = self.last[rows], self.length[rows]
        item = self.history.indices[last + 1]
        targets = item
        if self.targets in ("all", "windows"):
            beyond = torch.arange(width, device=rows.device) >= length[:, None]
            targets = windows(self.history, last + 1, length, width).masked_fill(beyond, -1)
        return Batch(self.user[rows], item, None, windows(self.history, last, length, width), length, targets)

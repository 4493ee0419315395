"""What encoders of sequences share: a table of items with a row for what was masked, and the vector of a history."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.data import Modality
from gcl.encoders.modality import Projection
from gcl.encoders.packing import Packing
from gcl.graph import look_up
from gcl.views.sequence import MASKED

ROWS = 256
"""Rows encoded at once where no gradient is needed: short histories are not padded to the longest of all."""


class SequenceEncoder(nn.Module, ABC):
    """Base of encoders of sequences: table [I + 1, d] of N(0, 0.02), the last row for masked items.

    After :meth:`describe` an item's vector, read and scored alike, is its row of the table plus Σ_m W_m f_m + b_m.
    Sequences are [B, T] item ids in order of time, padded on the right beyond ``length`` [B]; padding is never read.

    Args:
        num_items: size I of the catalogue.
        dim: width d.
        max_length: items that are read, the latest of a sequence.
    """

    def __init__(self, num_items: int, dim: int, max_length: int) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("max_length", max_length)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.num_items, self.max_length = num_items, max_length
        self.table = nn.Parameter(torch.randn(num_items + 1, dim) * 0.02)
        self.projections = nn.ModuleList()

    def describe(self, modalities: Sequence[Modality]) -> None:
        """Let items be told by their features, too: rows of length 1, 0 where an item lacks them, projected."""
        dim = self.table.shape[1]
        unit = (Modality(F.normalize(m.values.float(), dim=1), m.present) for m in modalities)
        self.projections.extend(Projection(m, dim) for m in unit)

    @abstractmethod
    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after each position, [B, T, d], of sequences of at most ``max_length`` items."""

    def states(self, items: Tensor, length: Tensor) -> Tensor:
        """The states after the items alone, [n, d], sequence after sequence; one of length 0 has one."""
        return self(items, length).flatten(0, 1).index_select(0, Packing(length, items.shape[1]).flat)

    def items(self) -> Tensor:
        """The vectors of the catalogue, [I, d]."""
        rows = self.table[: self.num_items]
        for projection in self.projections:
            rows = rows + projection()
        return rows

    def look_up(self, items: Tensor) -> Tensor:
        """Vectors of items of any shape, [..., d]; masked items have the last row of the table."""
        ids = torch.where(items == MASKED, self.num_items, items)
        rows = look_up(self.table, ids)
        if not len(self.projections):
            return rows
        once, place = torch.unique(ids, return_inverse=True)
        told = torch.stack([p(once.clamp(max=self.num_items - 1)) for p in self.projections]).sum(0)
        return rows + look_up(told * (once < self.num_items)[:, None], place)

    def cut(self, items: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The latest items of every sequence, as many as are read."""
        return cut(items, length, self.max_length)

    def last(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after the last item, [B, d]; zero for an empty history, which then likes all items equally."""
        items, length = self.cut(items, length)
        if torch.is_grad_enabled() or len(length) <= ROWS:
            return self._last(items, length)
        order = torch.argsort(length, stable=True)
        states = [self._last(*self.cut(items[rows], length[rows])) for rows in torch.split(order, ROWS)]
        return torch.empty_like(torch.cat(states)).index_copy_(0, order, torch.cat(states))

    def _last(self, items: Tensor, length: Tensor) -> Tensor:
        return torch.where((length > 0)[:, None], self._ends(items, length), 0.0)

    def _ends(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after the last item, or any finite value where there is none, [B, d]."""
        states = self(items, length)
        rows = torch.arange(len(length), device=length.device) * states.shape[1] + (length - 1).clamp_min(0)
        return torch.as_tensor(states.flatten(0, 1).index_select(0, rows))


def cut(items: Tensor, length: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The latest ``most`` items of every sequence, padded with 0 to the longest, to width 1 at least."""
    kept = length.clamp(max=most)
    if not items.shape[1]:
        items = items.new_zeros(len(items), 1)
    place = torch.arange(max(1, int(kept.max())) if len(kept) else 1, device=items.device)
    source = ((length - kept)[:, None] + place).clamp_(max=items.shape[1] - 1)
    return items.gather(1, source).masked_fill_(place >= kept[:, None], 0), kept

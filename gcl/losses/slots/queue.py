"""A memory of past rows: first in, first out, without gradient."""

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.base import Stateful


class Queue(Recorded, Stateful, nn.Module):
    """Ring of the last ``size`` rows and their ids; empty at first, allocated by ``Objective.build``.

    Any number of rows may be pushed at a time. Rows without id have id -1.
    """

    memory: Tensor | None
    ids: Tensor
    written: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f"the size of a queue must be at least 0, got {size}.")
        self.size = size
        self.remembers = size > 0
        self.register_buffer("memory", None)
        self.register_buffer("ids", torch.full((size,), -1))
        self.register_buffer("written", torch.zeros((), dtype=torch.long))

    def allocate(self, num_ids: int, dim: int) -> None:
        """Room for rows of width ``dim``."""
        self.memory = torch.zeros(self.size, dim)

    def stored(self) -> tuple[Tensor, Tensor]:
        """The rows held [K, d] and their ids [K], in no particular order."""
        filled = min(int(self.written), self.size)
        return self._rows()[:filled].clone(), self.ids[:filled].clone()

    @torch.no_grad()
    def push(self, rows: Tensor, ids: Tensor | None = None) -> None:
        """Write rows [n, d], the oldest are lost."""
        if not self.size or not len(rows):
            return
        start = int(self.written)
        count = min(len(rows), self.size)
        place = (start + torch.arange(len(rows) - count, len(rows), device=rows.device)) % self.size
        memory = self._rows()
        memory[place] = rows[-count:].detach().to(memory.dtype)
        self.ids[place] = -1 if ids is None else ids[-count:]
        self.written += len(rows)

    def _rows(self) -> Tensor:
        if self.memory is None:
            raise RuntimeError("The queue has no room yet: call objective.build(num_ids, dim) first.")
        return self.memory

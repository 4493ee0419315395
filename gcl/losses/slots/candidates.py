"""Candidates beside the batch: a memory of past rows, mixtures of them, noise."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.base import Stateful
from gcl.losses.checks import expect_places
from gcl.losses.functional.mixing import beta
from gcl.losses.slots.resolve import resolve
from gcl.losses.slots.temperatures import positive_temperature


class Candidates(Recorded, nn.Module, ABC):
    """Further negatives of every row, not of the batch: rows [K, d] without gradient and their ids [K], -1 for none."""

    remembers: bool = False
    """Whether a training call changes the next one."""

    @abstractmethod
    def draw(self, keys: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The rows and ids that stand beside the batch's keys [B, d], of their type and device."""

    def observe(self, keys: Tensor, ids: Tensor | None) -> None:
        """Take note of a training call's keys [B, d], after its loss."""


class Queue(Stateful, Candidates):
    """Ring of the last ``size`` rows and their ids; empty at first, allocated by ``Objective.build``.

    Any number of rows may be pushed at a time. Rows without id have id -1. With ``age`` rows of more than so many
    pushes ago are not shown: their encoder is too far from today's.
    """

    memory: Tensor | None
    ids: Tensor
    written: Tensor
    pushes: Tensor
    pushed: Tensor

    def __init__(self, size: int, age: int | None = None) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f"the size of a queue must be at least 0, got {size}.")
        if age is not None and age < 1:
            raise ValueError(f"the age of a queue must be at least 1 push, or None for no limit, got {age}.")
        self.size, self.age = size, age
        self.remembers = size > 0
        self.register_buffer("memory", None)
        self._empty()

    def allocate(self, num_ids: int, dim: int) -> None:
        """Room for rows of width ``dim``, of which none is held."""
        self.memory = torch.zeros(self.size, dim)
        self._empty()

    def stored(self) -> tuple[Tensor, Tensor]:
        """The rows held [K, d] and their ids [K], in no particular order."""
        filled = min(int(self.written), self.size)
        rows, ids = self._rows()[:filled], self.ids[:filled]
        if self.age is None:
            return rows.clone(), ids.clone()
        young = self.pushes - self.pushed[:filled] < self.age
        return rows[young], ids[young]

    def draw(self, keys: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The rows held."""
        rows, ids = self.stored()
        return rows.to(keys.dtype), ids

    def observe(self, keys: Tensor, ids: Tensor | None) -> None:
        """Write them."""
        self.push(keys, ids)

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
        self.ids[place] = -1 if ids is None else ids[-count:].long()
        self.written += len(rows)
        self.pushes += 1
        self.pushed[place] = self.pushes

    def _empty(self) -> None:
        self.register_buffer("ids", torch.full((self.size,), -1))
        self.register_buffer("written", torch.zeros((), dtype=torch.long))
        self.register_buffer("pushes", torch.zeros((), dtype=torch.long))
        self.register_buffer("pushed", torch.zeros(self.size, dtype=torch.long))

    def _rows(self) -> Tensor:
        if self.memory is None:
            raise RuntimeError("The queue has no room yet: call objective.build(num_ids, dim) first.")
        return self.memory


class BalancedQueue(Stateful, Recorded, nn.Module):
    """A ring for every label: the last rows of each, so that frequent labels do not drive rare ones out.

    Label y, of 0 .. C - 1, has room for ``base`` rows and its share of ``size`` more, in proportion to ``prior``. Suh &
    Seo, Long-Tailed Recognition by Mutual Information Maximization (ICML 2023).
    """

    memory: Tensor | None
    room: Tensor
    written: Tensor

    def __init__(self, size: int, prior: Sequence[float], base: int = 5) -> None:
        super().__init__()
        if size < 0 or base < 0:
            raise ValueError(f"size and base must be at least 0, got {size} and {base}.")
        if not len(prior) or min(prior) < 0 or not 0 < sum(prior) < math.inf:
            rule = "prior must hold a finite number >= 0 for every label and one above 0"
            raise ValueError(f"{rule}, got {list(prior)}.")
        share = torch.tensor(list(prior), dtype=torch.float64) / sum(prior)
        room = base + (share * size).round().long()
        self.size = int(room.sum())
        self.remembers = self.size > 0
        self.register_buffer("memory", None)
        self.register_buffer("room", room)
        self.register_buffer("written", torch.zeros_like(room))

    def allocate(self, num_ids: int, dim: int) -> None:
        """Room for rows of width ``dim``, of which none is held."""
        self.memory, self.written = torch.zeros(self.size, dim), torch.zeros_like(self.room)

    def stored(self) -> tuple[Tensor, Tensor]:
        """The rows held [K, d] and their labels [K], label by label."""
        if self.memory is None:
            raise RuntimeError("The queue has no room yet: call objective.build(num_ids, dim) first.")
        place = torch.arange(self.size, device=self.room.device)
        label = torch.repeat_interleave(torch.arange(len(self.room), device=self.room.device), self.room)
        held = place - self._starts()[label] < self.written[label]
        return self.memory[held], label[held]

    @torch.no_grad()
    def push(self, rows: Tensor, labels: Tensor) -> None:
        """Write rows [n, d] of labels [n], the oldest of each label are lost."""
        if self.memory is None:
            raise RuntimeError("The queue has no room yet: call objective.build(num_ids, dim) first.")
        expect_places("labels", labels, len(self.room), "the labels that prior has a number for")
        order = labels.argsort(stable=True)
        label = labels[order].long()
        count = torch.zeros_like(self.room).index_add(0, label, torch.ones_like(label))
        rank = torch.arange(len(label), device=label.device) - (count.cumsum(0) - count)[label]
        last = rank >= count[label] - self.room[label]
        label, rank, order = label[last], rank[last], order[last]
        place = self._starts()[label] + (self.written[label] + rank) % self.room[label].clamp_min(1)
        self.memory[place] = rows[order].detach().to(self.memory.dtype)
        self.written += count

    def _starts(self) -> Tensor:
        return self.room.cumsum(0) - self.room


class Interpolated(Queue):
    """A queue whose rows are shown as μ n + (1 - μ) n', n' another of its rows, μ ~ Beta(b, b); made anew every call.

    Rows keep the id of n. Zhu et al., Improving Contrastive Learning by Visualizing Feature Transformation (ICCV 2021).
    """

    def __init__(self, size: int, b: float = 1.6, per_dimension: bool = False, age: int | None = None) -> None:
        super().__init__(size, age)
        self.b, self.per_dimension = positive_temperature(b, "b"), per_dimension

    def draw(self, keys: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The mixtures of the rows held."""
        held, ids = super().draw(keys, generator)
        if not len(held):
            return held, ids
        width = held.shape[1] if self.per_dimension else 1
        share = beta(held, self.b, self.b, len(held), width, generator=generator)
        other = torch.randperm(len(held), generator=generator, device=held.device)
        return share * held + (1 - share) * held[other], ids


class Noise(Candidates):
    """``ratio`` B rows of N(0, I) that are nobody: uniform negatives on the sphere for cosines.

    Zhou et al., DCLR (ACL 2022), without the ascent of :class:`gcl.losses.DCLR`.
    """

    def __init__(self, ratio: float = 1.0) -> None:
        super().__init__()
        if not 0 <= ratio < math.inf:
            raise ValueError(f"ratio must be finite and at least 0, got {ratio}.")
        self.ratio = ratio

    def draw(self, keys: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The noise."""
        count = round(self.ratio * len(keys))
        rows = torch.randn(count, keys.shape[1], generator=generator, dtype=keys.dtype, device=keys.device)
        return rows, torch.full((count,), -1, device=keys.device)


CANDIDATES: dict[str, Callable[..., Candidates]] = {"queue": Queue, "interpolated": Interpolated, "noise": Noise}

CandidatesLike = str | Candidates | dict[str, Any] | None


def candidates_of(value: CandidatesLike) -> Candidates | None:
    """The candidates that a name, mapping or instance means; None: the batch alone."""
    return None if value is None else resolve("candidates", value, Candidates, CANDIDATES)

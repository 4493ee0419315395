"""What a training step reads (Batch), what a scorer is asked (Query), how a model wants its steps (Sampling)."""

from dataclasses import dataclass, fields, replace
from typing import Literal, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One training step.

    Shapes, B rows: ``users``, ``items`` [B]; ``negatives`` [B, m]; ``history`` [B, T] item ids, padded on the right
    with 0 beyond ``length`` [B]; ``targets`` [B, T] (the item after each position, -1 where there is none) or [B].
    :class:`Pairs` fills users, items, negatives. :class:`Sequences` fills users, history, length, targets and
    items = the last target. :class:`Users` fills users, length = number of train items, and items [sum of length]:
    the train items of the users, one after the other.
    """

    users: Tensor
    items: Tensor
    negatives: Tensor | None = None
    history: Tensor | None = None
    length: Tensor | None = None
    targets: Tensor | None = None

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: t.to(device) for name, t in moved.items() if t is not None})

    def __len__(self) -> int:
        return self.users.numel()


@dataclass(frozen=True)
class Query:
    """A question to a scorer: known users, histories, or both.

    Shapes, B rows: ``users`` [B] internal ids or None; ``history`` [B, T] items from the earliest to the latest,
    padded on the right with 0 beyond ``length`` [B], or None.
    """

    users: Tensor | None = None
    history: Tensor | None = None
    length: Tensor | None = None

    def __len__(self) -> int:
        for rows in (self.users, self.length):
            if rows is not None:
                return rows.numel()
        return 0

    def to(self, device: torch.device | str) -> Self:
        """The same query on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: t.to(device) for name, t in moved.items() if t is not None})


@dataclass(frozen=True)
class Pairs:
    """Every train interaction once an epoch, with ``negatives`` items that the user has not in train.

    ``popularity`` is the exponent of the item degree in the negative distribution: 0 uniform, 0.75 word2vec's.
    ``known``: only items with a train row are drawn, so that nothing is learnt of cold ones.
    """

    negatives: int = 1
    popularity: float = 0.0
    known: bool = False


@dataclass(frozen=True)
class Users:
    """Every user with a train row once an epoch."""


@dataclass(frozen=True)
class Sequences:
    """Every user's train sequence once an epoch, at most the last ``max_length`` items as input.

    ``targets``: ``all`` the next item at every position; ``windows`` the same, and what is before the last
    ``max_length`` items is cut into rows of its own, so that every item but a user's first is a target once an epoch;
    ``last`` the last item only; ``prefix`` every prefix of every sequence is a row of its own whose target is the next
    item.
    """

    targets: Literal["all", "windows", "last", "prefix"] = "all"
    max_length: int = 50


Sampling = Pairs | Users | Sequences

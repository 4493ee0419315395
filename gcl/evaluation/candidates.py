"""Sampled candidates: N items a user that the user has no interaction with, in any part."""

import torch
from torch import Tensor

from gcl.data import CSR, Dataset


def draw(data: Dataset, users: Tensor, number: int, seed: int) -> CSR:
    """``number`` distinct items for each of ``users`` [n], uniform over the items in none of the user's parts.

    One row a position in ``users``, ascending. A user with fewer such items gets them all. Exact: ranks are drawn in
    the complement of the user's items, distinct by redrawing repeats (every set is equally likely), then mapped to
    items. Drawn on the CPU, so that equal seeds give equal candidates on every device. Memory: 8 bytes a candidate.
    """
    split = data.split
    known = split.seen.union(split.test).to("cpu").by_user
    users = users.cpu()
    free = data.num_items - known.counts[users]
    wanted = free.clamp(max=number)
    ranks = _distinct(free, wanted, number, torch.Generator().manual_seed(seed))
    owner = torch.repeat_interleave(torch.arange(len(users)), wanted)
    rank = ranks[torch.arange(number) < wanted[:, None]]
    return CSR.from_pairs(owner, _unrank(rank, users[owner], known, data.num_items), len(users))


def _distinct(free: Tensor, wanted: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """[n, width]: in row r, ``wanted[r]`` ascending distinct numbers below ``free[r]``, then numbers to be ignored."""
    unused = torch.arange(width) >= wanted[:, None]
    filler = free[:, None] + torch.arange(width)
    ranks = _uniform(free, width, generator)
    ranks = torch.where(unused, filler, ranks).sort(1).values
    open_rows = torch.arange(len(free))
    while True:
        rows = ranks[open_rows]
        repeated = torch.zeros_like(rows, dtype=torch.bool)
        repeated[:, 1:] = rows[:, 1:] == rows[:, :-1]
        bad = repeated.any(1)
        if not bool(bad.any()):
            return ranks
        open_rows, rows, repeated = open_rows[bad], rows[bad], repeated[bad]
        fresh = _uniform(free[open_rows], width, generator)
        ranks[open_rows] = torch.where(repeated, fresh, rows).sort(1).values


def _uniform(below: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """[n, width] whole numbers, row r uniform below ``below[r]`` (float64 has room for any catalogue)."""
    draws = torch.rand(len(below), width, dtype=torch.float64, generator=generator)
    return (draws * below[:, None]).long()


def _unrank(rank: Tensor, user: Tensor, known: CSR, num_items: int) -> Tensor:
    """The item at a rank [m] among the items that ``user`` [m] has not: rank + number of known items below it.

    The known item at position j of a user's ascending list has ``item - j`` unknown items below it: the count wanted
    is the number of positions with ``item_j - j <= rank``, one searchsorted over all users at once.
    """
    owner = torch.repeat_interleave(torch.arange(len(known.counts)), known.counts)
    gap = known.indices - (torch.arange(len(owner)) - known.indptr[owner])
    below = torch.searchsorted(owner * (num_items + 1) + gap, user * (num_items + 1) + rank, right=True)
    return rank + below - known.indptr[user]

"""Items that a user has not in train: exact, on the device, a whole epoch at once."""

import torch
from torch import Tensor

from gcl.data.interactions import Interactions
from gcl.errors import InputError

BLOCK = 1 << 22
"""Draws made at once: bounds the working memory of an epoch, never what is drawn."""
REDRAWS = 8


class RankMap:
    r"""Uniform items outside a user's train items, without rejection.

    With the sorted train items c_0 < .. < c_{n-1} of a user, gap_k = c_k - k of the other items lie below c_k. A rank r
    uniform in [0, I - n) is the item r + #{k : gap_k <= r}: a bijection onto the complement. All users' gaps stand in
    one sorted array ``keys`` [N], u (I + 1) + gap, so that a draw is one searchsorted.

    Raises:
        InputError: where a user has every item in train, and no negative exists.
    """

    def __init__(self, train: Interactions) -> None:
        rows, items = train.by_user, train.num_items
        self.num_items = items
        self.indptr, self.free = rows.indptr, items - rows.counts
        full = (self.free == 0).nonzero()
        if full.numel():
            raise InputError(
                f"negatives cannot be drawn for user {int(full[0])} (internal id), who has all {items} items in train "
                f"({full.numel()} such users); drop these users, or choose a model that draws no negatives."
            )
        user = torch.repeat_interleave(torch.arange(train.num_users, device=train.user.device), rows.counts)
        rank = torch.arange(len(train), device=train.user.device) - rows.indptr[user]
        self.keys = user * (items + 1) + rows.indices - rank

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``count`` items for each of ``users`` [B], drawn with replacement, [B, count] int64."""
        out = users.new_empty(len(users), count)
        for start, end in _blocks(len(users), count):
            owner = users[start:end, None]
            chance = torch.rand(end - start, count, dtype=torch.float64, generator=generator, device=generator.device)
            free = self.free[owner]
            rank = torch.minimum((chance.to(users.device) * free).long(), free - 1)
            below = torch.searchsorted(self.keys, owner * (self.num_items + 1) + rank, right=True)
            out[start:end] = rank + below - self.indptr[owner]
        return out


class KnownRankMap:
    """:class:`RankMap` over the items with a train row alone: their numbers are made dense, and drawn ones turned back.

    Raises:
        InputError: where a user has every such item in train.
    """

    def __init__(self, train: Interactions) -> None:
        warm = train.by_item.counts > 0
        self.items = warm.nonzero().flatten()
        place = torch.cumsum(warm, 0) - 1
        self.ranks = RankMap(Interactions(train.user, place[train.item], train.num_users, len(self.items)))

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``count`` items for each of ``users`` [B], drawn with replacement, [B, count] int64."""
        return self.items[self.ranks.draw(users, count, generator)]


class AliasTable:
    """Draws from a fixed distribution in constant time: Walker's alias method, built without a loop.

    Weights [n], not negative, of positive sum, are scaled to mean 1. Entries below 1 (light) are served in order by
    entries above (heavy), so that who serves whom follows from the running sums of what light entries lack and heavy
    ones have over. Walker (1977); Vose (1991).
    """

    def __init__(self, weights: Tensor) -> None:
        scaled = weights.double() * (weights.numel() / weights.double().sum())
        mean = scaled.max().clamp(max=1)  # rounding may leave equal weights all below 1
        light, heavy = (scaled < mean).nonzero().flatten(), (scaled >= mean).nonzero().flatten()
        lacking, over = torch.cumsum(1 - scaled[light], 0), torch.cumsum(scaled[heavy] - 1, 0)
        last = heavy.numel() - 1
        self.keep = torch.ones_like(scaled)
        self.alias = torch.arange(scaled.numel(), device=scaled.device)
        before = torch.cat([lacking.new_zeros(1), lacking[:-1]])[: light.numel()]
        self.keep[light] = scaled[light]
        self.alias[light] = heavy[torch.searchsorted(over, before, right=True).clamp_(max=last)]
        crossing = torch.searchsorted(lacking, over)  # the light entry that empties each heavy one
        emptied = (crossing < light.numel()) & (over > 0)  # who has nothing over before the first light one serves none
        emptied[last] = False  # rounding may leave the last heavy entry short of what it owes
        short = lacking[crossing[emptied]] - over[emptied]
        self.keep[heavy[emptied]] = 1 - short
        self.alias[heavy[emptied]] = heavy[1:][emptied[:-1]]

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Entries drawn independently, int64 of ``shape``."""
        chance = torch.rand(shape, dtype=torch.float64, generator=generator, device=generator.device)
        place = chance.to(self.keep.device) * self.keep.numel()
        entry = place.long().clamp_(max=self.keep.numel() - 1)
        return torch.where(place - entry < self.keep[entry], entry, self.alias[entry])


class Popular:
    """Items by degree ** ``power`` outside a user's train items.

    An alias draw that hits a train item is drawn again, 8 times at most; what still hits is drawn uniformly by
    :class:`RankMap`. So no train item ever appears, and only users who hold nearly all popular items are drawn for
    a little more evenly than the distribution says.
    """

    def __init__(self, train: Interactions, power: float) -> None:
        self.train, self.ranks = train, RankMap(train)
        self.table = AliasTable(train.by_item.counts.double() ** power)

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``count`` items for each of ``users`` [B], drawn with replacement, [B, count] int64."""
        out = users.new_empty(len(users), count)
        for start, end in _blocks(len(users), count):
            owner = users[start:end, None].expand(-1, count).reshape(-1)
            item = self.table.draw((owner.numel(),), generator)
            hit = self.train.contains(owner, item).nonzero().flatten()
            for _ in range(REDRAWS):
                again = self.table.draw((hit.numel(),), generator)
                item[hit] = again
                hit = hit[self.train.contains(owner[hit], again)]
            item[hit] = self.ranks.draw(owner[hit], 1, generator).flatten()
            out[start:end] = item.view(end - start, count)
        return out


def _blocks(rows: int, count: int) -> list[tuple[int, int]]:
    size = max(1, BLOCK // max(1, count))
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]

"""The K best items of every row of a score matrix: masked, deterministic, without sorting whole rows."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from gcl.data import CSR, Query
from gcl.errors import InputError

TILE = 64
SLAB = 64


class Scorer(Protocol):
    """Anything that scores the catalogue: a recommender, a baseline, a stored matrix."""

    def scores(self, query: Query) -> Tensor:
        """Score of every item for every row of the query, [B, num_items]."""
        ...


@contextmanager
def scoring(scorer: Scorer) -> Iterator[None]:
    """No gradient, and every module of the scorer in eval mode; each one's own mode is restored at the end."""
    modes = [(m, m.training) for m in scorer.modules()] if isinstance(scorer, nn.Module) else []
    if isinstance(scorer, nn.Module):
        scorer.eval()  # a recommender forgets here what it kept for scoring
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def top_k(scorer: Scorer, query: Query, k: int, seen: CSR | None = None) -> tuple[Tensor, Tensor]:
    """The k best items of every row of the query, and their scores, both [B, k].

    Ordered by score, equal scores by lower item id. ``seen`` lists items that are left out: its rows are user ids
    where the query names users, else positions in the query. Where fewer than k items remain, the rest is item -1
    with score -inf. Scores that are -inf count as left out.

    Raises:
        InputError: k outside 1 .. catalogue; scores of the wrong shape, or NaN.
    """
    rows = query.users if query.users is not None else torch.arange(len(query))
    with scoring(scorer):
        scores = score_matrix(scorer, query)
        if not 1 <= k <= scores.shape[1]:
            raise InputError(f"k must lie in 1 .. {scores.shape[1]}, the size of the catalogue, got {k}.")
        hidden = None if seen is None else seen.take(rows.to(seen.indptr.device))
        return ranked(scores, k, hidden, type(scorer).__name__)


def score_matrix(scorer: Scorer, query: Query, num_items: int | None = None) -> Tensor:
    """Scores of a query in float32, contiguous, free to be written on; the shape is checked."""
    scores = scorer.scores(query)
    name = type(scorer).__name__
    wanted = (len(query), scores.shape[-1] if num_items is None else num_items)
    if tuple(scores.shape) != wanted:
        raise InputError(
            f"scores of {name} must have one row a query row and one column an item, {wanted}, "
            f"got {tuple(scores.shape)}; return scores for the whole catalogue of the data set it is evaluated on."
        )
    scores = scores.detach().float()
    return scores.clone() if scores.is_inference() else scores.contiguous()


def ranked(scores: Tensor, k: int, hidden: tuple[Tensor, Tensor] | None, name: str) -> tuple[Tensor, Tensor]:
    """:func:`best` with the entries ``hidden`` (rows, columns) at -inf meanwhile; NaN is an error naming the scorer."""
    if hidden is None:
        items, values = best(scores, k)
    else:
        place = (hidden[0].to(scores.device), hidden[1].to(scores.device))
        kept = scores[place]
        scores[place] = -math.inf
        items, values = best(scores, k)
        scores[place] = kept
    if bool(values[:, 0].isnan().any()):
        row = int(values[:, 0].isnan().nonzero()[0])
        raise InputError(
            f"scores of {name} must be numbers, got NaN in row {row} of a block; its parameters are probably not "
            "finite: train again with a smaller lr, or evaluate an earlier checkpoint."
        )
    return items, values


def best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Items and values [B, k] of the k highest entries of every row of ``scores`` [B, I], 1 <= k <= I.

    Ordered by (value descending, item ascending); -inf entries come back as item -1. One entry more than asked for is
    looked at, so that only rows in which values are equal need the exact treatment of ties. A row that holds NaN has
    NaN as its first value.
    """
    values, items = _highest(scores, min(k + 1, scores.shape[1]))
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -math.inf)
    for rows in equal.any(1).nonzero().flatten().split(SLAB):
        items[rows, :k] = _settle(scores[rows], values[rows], items[rows], k)
    items, values = items[:, :k], values[:, :k]
    return items.masked_fill(values == -math.inf, -1), values


def _highest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """``scores.topk(k)`` by tiles: the k highest entries of a row lie in the k tiles of highest maximum, or the rest.

    About 2.3 times faster than a plain top-k on one CPU thread at 41,000 items and k = 21.
    """
    whole = scores.shape[1] // TILE * TILE
    if 4 * k * TILE > whole:
        values, items = scores.topk(k)
        return values, items
    tiles = scores[:, :whole].unflatten(1, (-1, TILE))
    tile = tiles.amax(2).topk(k).indices
    rows = torch.arange(len(scores), device=scores.device).unsqueeze(1)
    near = torch.cat([tiles[rows, tile].flatten(1), scores[:, whole:]], 1)
    values, place = near.topk(k)
    inside = tile.gather(1, (place // TILE).clamp_(max=k - 1)) * TILE + place % TILE
    return values, torch.where(place < k * TILE, inside, place - k * TILE + whole)


def _settle(scores: Tensor, values: Tensor, items: Tensor, k: int) -> Tensor:
    """Items [b, k] of rows with equal values: (value descending, item ascending), exact at the boundary too."""
    order = items[:, :k].argsort(1)
    order = order.gather(1, values[:, :k].gather(1, order).argsort(dim=1, descending=True, stable=True))
    items = items[:, :k].gather(1, order)
    if values.shape[1] == k:
        return items
    level = values[:, k - 1 : k]
    size = scores.shape[1]
    reverse = torch.arange(size, 0, -1, dtype=torch.int32, device=scores.device)
    at_level = torch.where(scores == level, reverse, 0)
    lowest = size - _highest(at_level, k)[0].long()
    above = (values[:, :k] > level).sum(1, keepdim=True)
    place = torch.arange(k, device=scores.device).expand_as(items)
    return torch.where(place < above, items, lowest.gather(1, (place - above).clamp_(min=0)))

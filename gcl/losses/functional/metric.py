"""Metric learning on a block of rows: triplets, circles, thresholds."""

import math

import torch
from torch import Tensor

from gcl.losses.functional.numerics import lse, softplus

Chosen = tuple[Tensor, Tensor]
"""Sum of the values of every row [R], and their number [R]."""


def ordered(distances: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of the row's negatives in rising order [R, N], +inf behind them, and their number [R]."""
    return distances.masked_fill(~negative, math.inf).sort(1).values, negative.sum(1)


def all_triplets(distances: Tensor, positive: Tensor, negative: Tensor, margin: float, active: bool) -> Chosen:
    """Σ over all triplets of max(0, D_ap - D_an + m), and the number of them or of the ``active`` ones.

    In O(N² log N) for all rows: for every positive the negatives below D_ap + m are a prefix of the sorted ones.
    """
    rising, count = ordered(distances, negative)
    sums = rising.masked_fill(rising == math.inf, 0.0).cumsum(1)
    sums = torch.cat([torch.zeros_like(sums[:, :1]), sums], 1)
    edge = distances + margin
    below = torch.searchsorted(rising.detach(), edge.detach())
    value = (below * edge - sums.gather(1, below)).masked_fill(~positive, 0.0)
    number = below.masked_fill(~positive, 0).sum(1) if active else positive.sum(1) * count
    return value.sum(1), number


def weighted_triplets(
    distances: Tensor, positive: Tensor, negative: Tensor, margin: float, active: bool, dim: int
) -> Chosen:
    """Every positive against a negative drawn by distance, in expectation; ``distances`` are 1 - cosines.

    A negative at the Euclidean distance r of unit rows, held at 0.5 or above, is drawn with a chance that falls with
    the share of the sphere at that distance: 1 / (r^(d-2) (1 - r²/4)^((d-3)/2)). The chances carry no gradient.
    """
    with torch.no_grad():
        square = (2 * distances).clamp(0.25, 3.99)
        log = -((dim - 2) / 2 * square.log() + (dim - 3) / 2 * torch.log1p(-square / 4))
        chance = log.masked_fill(~negative, torch.finfo(log.dtype).min / 4).softmax(1).masked_fill(~negative, 0.0)
        order = distances.masked_fill(~negative, math.inf).argsort(1)
        below = torch.searchsorted(distances.masked_fill(~negative, math.inf).gather(1, order), distances + margin)
    chance = chance.gather(1, order)
    sums = torch.stack([chance, chance * distances.gather(1, order)]).cumsum(2)
    weight, total = torch.cat([torch.zeros_like(sums[..., :1]), sums], 2).gather(2, below.expand(2, -1, -1))
    held = positive & negative.any(1)[:, None]
    value = (weight * (distances + margin) - total).masked_fill(~held, 0.0)
    return value.sum(1), (value > 0 if active else held).sum(1)


def price(gap: Tensor, soft: bool) -> Tensor:
    """softplus or max(0, .)."""
    return softplus(gap) if soft else gap.clamp_min(0.0)


def hardest_triplets(
    distances: Tensor, positive: Tensor, negative: Tensor, margin: float, active: bool, soft: bool
) -> Chosen:
    """The farthest positive against the closest negative of every row."""
    far = distances.masked_fill(~positive, -math.inf).amax(1)
    near = distances.masked_fill(~negative, math.inf).amin(1)
    held = positive.any(1) & negative.any(1)
    gap = far.masked_fill(~held, 0.0) - near.masked_fill(~held, 0.0) + margin
    value = price(gap, soft).masked_fill(~held, 0.0)
    return value, (value > 0 if active else held).long()


def semi_hard_triplets(
    distances: Tensor, positive: Tensor, negative: Tensor, margin: float, active: bool, soft: bool
) -> Chosen:
    """Every positive against the closest negative that is farther than it, or the farthest negative."""
    rising, count = ordered(distances, negative)
    place = torch.searchsorted(rising.detach(), distances.detach(), right=True)
    place = torch.minimum(place, (count - 1).clamp_min(0)[:, None])
    chosen = rising.gather(1, place)
    held = positive & (count > 0)[:, None]
    gap = distances - chosen.masked_fill(~held, 0.0) + margin
    value = price(gap, soft).masked_fill(~held, 0.0)
    return value.sum(1), (value > 0 if active else held).sum(1)


def circle(s: Tensor, positive: Tensor, negative: Tensor, margin: float, scale: float) -> Tensor:
    """softplus(lse_n(g a_n (s_n - m)) + lse_p(-g a_p (s_p - 1 + m))), a_p = max(0, 1 + m - s_p), a_n = max(0, s_n + m).

    Weights a carry no gradient. Rows without a positive or a negative are 0.
    """
    pull = (1 + margin - s.detach()).clamp_min(0.0) * (s - (1 - margin)) * -scale
    push = (s.detach() + margin).clamp_min(0.0) * (s - margin) * scale
    total = lse(push.masked_fill(~negative, -math.inf)) + lse(pull.masked_fill(~positive, -math.inf))
    return softplus(total)


def multi_similarity(
    s: Tensor, positive: Tensor, negative: Tensor, threshold: float, alpha: float, beta: float
) -> Tensor:
    """(1/α) log(1 + Σ_p e^{-α (s_p - t)}) + (1/β) log(1 + Σ_n e^{β (s_n - t)})."""
    near = lse((-alpha * (s - threshold)).masked_fill(~positive, -math.inf))
    far = lse((beta * (s - threshold)).masked_fill(~negative, -math.inf))
    return softplus(near) / alpha + softplus(far) / beta


def target_triplets(distances: Tensor, gaps: Tensor, other: Tensor, span: Tensor) -> Chosen:
    """Σ of max(0, D_ap - D_an + (g_an - g_ap) / span) over others p, n with g_ap < g_an, and their number."""
    shifted = distances - gaps / span
    value = (shifted[:, :, None] - shifted[:, None, :]).clamp_min(0.0)
    held = (gaps[:, :, None] < gaps[:, None, :]) & other[:, :, None] & other[:, None, :]
    return value.masked_fill(~held, 0.0).sum((1, 2)), held.sum((1, 2))

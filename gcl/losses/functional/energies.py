"""Energies of points: attraction of pairs, repulsion of a cloud."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gcl.losses.functional.negatives import identities, partner_counts
from gcl.losses.functional.numerics import common_centre, lse, square_distances
from gcl.losses.functional.partition import Keep, log_partition
from gcl.losses.functional.streaming import by_rows
from gcl.losses.functional.within import within_partition


def alignment(x: Tensor, y: Tensor, power: float = 2.0) -> Tensor:
    """||x_i - y_i||^power of aligned rows [B]."""
    square = (x - y).square().sum(-1)
    return square if power == 2 else square.clamp_min(1e-12) ** (power / 2)


def gaussian_lse(
    x: Tensor, y: Tensor, t: float, *, skip_own: bool, ids: Tensor | None = None, stream: bool | None = None
) -> Tensor:
    """log Σ_j exp(-t ||x_i - y_j||²) of every row of x, [n]; ``skip_own``: over j of another id, without ids j ≠ i."""
    x, y = common_centre(x, y)
    bias = -t * y.square().sum(1)
    keep: Keep = "different" if skip_own else "all"
    if x is y:
        return within_partition(x, 2 * t, bias=bias, ids=ids, keep=keep, stream=stream)
    total, _ = log_partition(2 * t * x, y, bias=bias, row_ids=ids, column_ids=ids, keep=keep, stream=stream)
    return total - t * x.square().sum(1)


def log_mean_potential(
    x: Tensor, t: float = 2.0, ids: Tensor | None = None, *, self_pairs: bool = False, stream: bool | None = None
) -> Tensor:
    """Uniformity: log mean_{i ≠ j} exp(-t ||x_i - x_j||²), a scalar; no pair: zero attached to the graph.

    Pairs of one id do not count; with ``self_pairs`` every pair does, a row with itself too. Wang & Isola (ICML 2020).
    Streamed: memory O(n d).
    """
    total = lse(gaussian_lse(x, x, t, skip_own=not self_pairs, ids=None if self_pairs else ids, stream=stream), 0)
    n = x.shape[0]
    count = x.new_tensor(float(n * n)) if self_pairs else partner_counts(ids, n, n, x.device).sum().to(x.dtype)
    pairs = count.clamp_min(1).log()
    return torch.where(total > -math.inf, total - pairs, (x * 0.0).sum())


def log_mean_cosine(x: Tensor, tau: float, *, self_pairs: bool, stream: bool | None = None) -> Tensor:
    """log mean exp(<x_i, x_j> / τ) over all pairs, or those of different rows."""
    n = x.shape[0]
    total = lse(within_partition(x, 1 / tau, keep="all" if self_pairs else "different", stream=stream), 0)
    return torch.where(total > -math.inf, total - math.log(max(n * n if self_pairs else n * (n - 1), 1)), (x * 0).sum())


def mean_gaussian(x: Tensor, t: float, ids: Tensor | None = None) -> Tensor:
    """mean over pairs of different ids of exp(-t ||x_i - x_j||²)."""
    rows = gaussian_lse(x, x, t, skip_own=True, ids=ids)
    return torch.exp(rows).sum() / partner_counts(ids, len(x), len(x), x.device).sum().clamp_min(1)


def mean_of_pairs(x: Tensor, kernel: Callable[[Tensor], Tensor], ids: Tensor | None = None) -> Tensor:
    """mean over pairs of different ids of a function of ||x_i - x_j||², elementwise, closing over numbers only."""
    keys = identities(ids, len(x), len(x), x.device)[1]

    def block(a: Tensor, i: Tensor, c: Tensor, j: Tensor) -> Tensor:
        return kernel(square_distances(a, c)).masked_fill(i[:, None] == j, 0.0).sum(1)

    rows = by_rows(block, (x, keys), (x, keys), columns=len(x))
    return rows.sum() / partner_counts(ids, len(x), len(x), x.device).sum().clamp_min(1)


def hinge_dispersion(x: Tensor, reach: float, *, self_pairs: bool) -> Tensor:
    """mean over pairs of max(0, reach - ||x_i - x_j||²)²."""
    keys = torch.arange(len(x), device=x.device)

    def block(a: Tensor, i: Tensor, c: Tensor, j: Tensor) -> Tensor:
        near = (reach - square_distances(a, c)).clamp_min(0.0).square()
        return (near if self_pairs else near.masked_fill(i[:, None] == j, 0.0)).sum(1)

    n = len(x)
    total = by_rows(block, (x, keys), (x, keys), columns=n).sum()
    return total / max(n * n if self_pairs else n * (n - 1), 1)


def weighted_repulsion(
    x: Tensor, y: Tensor, keys: tuple[Tensor, Tensor], t: float, detach: bool, sharpness: float | None = None
) -> Tensor:
    """-Σ_j softmax_j(-t c_ij) c_ij over candidates of another id, c = ||x_i - y_j||², [B]; -inf without candidates.

    With ``sharpness`` s: log Σ_j softmax_j(-t c_ij) exp(-s c_ij).
    """

    def block(a: Tensor, i: Tensor, c: Tensor, j: Tensor) -> Tensor:
        cost = square_distances(a, c)
        hidden = i[:, None] == j
        share = (-t * (cost.detach() if detach else cost)).masked_fill(hidden, torch.finfo(a.dtype).min / 4)
        if sharpness is not None:
            return lse((share.log_softmax(1) - sharpness * cost).masked_fill(hidden, -math.inf))
        total = -(share.softmax(1) * cost.masked_fill(hidden, 0.0)).sum(1)
        return total.masked_fill(hidden.all(1), -math.inf)

    return by_rows(block, (x, keys[0]), (y, keys[1]), columns=len(y))


def square_products(x: Tensor, y: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:
    """Σ_j <x_i, y_j>² over rows of another id, [B]."""

    def block(a: Tensor, i: Tensor, c: Tensor, j: Tensor) -> Tensor:
        return (a @ c.T).square().masked_fill(i[:, None] == j, 0.0).sum(1)

    return by_rows(block, (x, keys[0]), (y, keys[1]), columns=len(y))

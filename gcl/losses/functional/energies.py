"""Energies of points: attraction of pairs, repulsion of a cloud."""

import math

from torch import Tensor

from gcl.losses.functional.numerics import lse
from gcl.losses.functional.partition import log_partition


def alignment(x: Tensor, y: Tensor, power: float = 2.0) -> Tensor:
    """||x_i - y_i||^power of aligned rows [B]."""
    square = (x - y).square().sum(-1)
    return square if power == 2 else square.clamp_min(1e-12) ** (power / 2)


def gaussian_lse(x: Tensor, y: Tensor, t: float, *, skip_own: bool, stream: bool | None = None) -> Tensor:
    """log Σ_j exp(-t ||x_i - y_j||²) of every row of x, [n]; ``skip_own``: j ≠ i."""
    bias = -t * y.square().sum(1)
    total, _ = log_partition(2 * t * x, y, bias=bias, keep="different" if skip_own else "all", stream=stream)
    return total - t * x.square().sum(1)


def log_mean_potential(x: Tensor, t: float = 2.0, *, stream: bool | None = None) -> Tensor:
    """Uniformity: log mean_{i ≠ j} exp(-t ||x_i - x_j||²), a scalar; fewer than two rows: zero attached to the graph.

    Wang & Isola (ICML 2020). Streamed: memory O(n d).
    """
    n = x.shape[0]
    if n < 2:
        return (x * 0.0).sum()
    return lse(gaussian_lse(x, x, t, skip_own=True, stream=stream), 0) - math.log(n * (n - 1))

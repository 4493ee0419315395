"""k-means by Lloyd's algorithm."""

import torch
from torch import Tensor

BLOCK = 1 << 24
"""Entries of the matrix of scores that is held at once."""


def kmeans(x: Tensor, clusters: int, generator: torch.Generator | None, iterations: int = 20) -> tuple[Tensor, Tensor]:
    """Centroids [k, d] and the nearest of them for every row of x [n, d], [n] int64, by Euclidean distance.

    Starts from k different rows drawn from ``generator``; a centroid that loses all rows stays where it was; ends early
    where no row moves. O(n k d) an iteration. Lloyd (1982).
    """
    if not 1 <= clusters <= x.shape[0]:
        raise ValueError(f"clusters must lie in [1, {x.shape[0]}], the number of rows, got {clusters}.")
    x = x.detach()
    start = torch.randperm(x.shape[0], generator=generator, device=x.device)[:clusters]
    centroids, nearest = x.index_select(0, start), x.new_full((x.shape[0],), -1, dtype=torch.long)
    for _ in range(iterations):
        before, nearest = nearest, assign(x, centroids)
        if torch.equal(before, nearest):
            break
        total = torch.zeros_like(centroids).index_add_(0, nearest, x)
        size = torch.bincount(nearest, minlength=clusters)[:, None]
        centroids = torch.where(size > 0, total / size.clamp(min=1), centroids)
    return centroids, assign(x, centroids)


def assign(x: Tensor, centroids: Tensor) -> Tensor:
    """The nearest centroid of every row [n], the first of equally near ones; by blocks of rows."""
    half = 0.5 * centroids.square().sum(1)
    rows = max(1, BLOCK // centroids.shape[0])
    return torch.cat([(block @ centroids.T - half).argmax(1) for block in x.split(rows)])

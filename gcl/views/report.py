"""What learnt masks and intents look like, in numbers and in pictures."""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gcl.graph import Adjacency

SIDE = 32
"""Rows and columns of a picture of a mask."""


@runtime_checkable
class Reports(Protocol):
    """What tells TensorBoard of itself: learnt views and generators."""

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Numbers, from the graph and the representations h [N, d] that enter layer 1."""
        ...


@runtime_checkable
class Pictured(Protocol):
    """What shows itself to TensorBoard as well."""

    def pictures(self, adj: Adjacency, h: Tensor) -> dict[str, Tensor]:
        """Pictures [rows, columns] in [0, 1], of the same."""
        ...


def mask_report(adj: Adjacency, weights: Tensor) -> dict[str, float]:
    """Mean and deviation of the weights of edges [E], and how they go with the edge's degree.

    ``degree_correlation`` is Pearson's, of the weight and log √(d_a d_b): whether the mask has learnt popularity alone.
    It is left out where either is constant.
    """
    if not weights.numel():
        return {}
    both = _log_degree(adj)
    found = {"keep": weights.mean().item(), "deviation": weights.std(correction=0).item()}
    correlation = torch.corrcoef(torch.stack([weights.double(), both]))[0, 1].item()
    return {**found, "degree_correlation": correlation} if math.isfinite(correlation) else found


def mask_picture(adj: Adjacency, weights: Tensor) -> Tensor:
    """How weights in [0, 1] go with degree: [32, 32] shares of edges in [0, 1], columns log √(d_a d_b) from the lowest
    to the highest, rows the weight from 1 at the top to 0; every column is scaled by its fullest cell.
    """
    both = _log_degree(adj)
    span = (both.max() - both.min()).clamp(min=1e-12) if len(both) else both.sum()
    column = ((both - both.min()) / span * SIDE).long().clamp(max=SIDE - 1) if len(both) else both.long()
    row = ((1.0 - weights.double()) * SIDE).long().clamp(0, SIDE - 1)
    counts = torch.bincount(row * SIDE + column, minlength=SIDE * SIDE).reshape(SIDE, SIDE).float()
    return counts / counts.amax(0).clamp(min=1.0)


def _log_degree(adj: Adjacency) -> Tensor:
    degree = adj.indptr.diff().clamp(min=1).to(torch.float64).log()
    return (degree.index_select(0, adj.row) + degree.index_select(0, adj.indices)) / 2


def share_entropy(shares: list[Tensor]) -> float:
    """Mean entropy of rows of shares [n, K], over log K: 1 where all are alike, 0 where one has all."""
    rows = torch.cat([torch.special.entr(s).sum(1) / math.log(max(s.shape[1], 2)) for s in shares])
    return rows.mean().item()

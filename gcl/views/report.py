"""What learnt masks and intents look like, in numbers."""

import math

import torch
from torch import Tensor

from gcl.graph import Adjacency


def mask_report(adj: Adjacency, weights: Tensor) -> dict[str, float]:
    """Mean and deviation of the weights of edges [E], and how they go with the edge's degree.

    ``degree_correlation`` is Pearson's, of the weight and log √(d_a d_b): whether the mask has learnt popularity alone.
    It is left out where either is constant.
    """
    if not weights.numel():
        return {}
    degree = adj.indptr.diff().clamp(min=1).to(torch.float64).log()
    both = (degree.index_select(0, adj.row) + degree.index_select(0, adj.indices)) / 2
    found = {"keep": weights.mean().item(), "deviation": weights.std(correction=0).item()}
    correlation = torch.corrcoef(torch.stack([weights.double(), both]))[0, 1].item()
    return {**found, "degree_correlation": correlation} if math.isfinite(correlation) else found


def share_entropy(shares: list[Tensor]) -> float:
    """Mean entropy of rows of shares [n, K], over log K: 1 where all are alike, 0 where one has all."""
    rows = torch.cat([torch.special.entr(s).sum(1) / math.log(max(s.shape[1], 2)) for s in shares])
    return rows.mean().item()

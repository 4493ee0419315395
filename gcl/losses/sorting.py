"""Ordering groups by a differentiable sorting network."""

import math

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional.memory import closest
from gcl.losses.functional.negatives import partner_counts
from gcl.losses.functional.numerics import normalise

__all__ = ["GroCo"]


def soft_sort(x: Tensor, beta: float) -> Tensor:
    """Chance that element e of a row ends at rank r (rising), [B, n, n], by an odd-even network of n layers.

    A comparator swaps with the chance of a Cauchy law: it keeps (a, b) with 1/2 + atan(β (b - a)) / π. Rows and columns
    sum to 1. Petersen et al. (ICML 2021, ICLR 2022).
    """
    n = x.shape[1]
    order = torch.eye(n, dtype=x.dtype, device=x.device).expand(len(x), n, n)
    for layer in range(n):
        pairs = range(layer % 2, n - 1, 2)
        if not pairs:
            continue
        first = torch.tensor(list(pairs), device=x.device)
        a, b = x.index_select(1, first), x.index_select(1, first + 1)
        keep = 0.5 + torch.atan(beta * (b - a)) / math.pi
        x = x.index_copy(1, first, keep * a + (1 - keep) * b).index_copy(1, first + 1, keep * b + (1 - keep) * a)
        p, q = order.index_select(2, first), order.index_select(2, first + 1)
        keep = keep[:, None]
        order = order.index_copy(2, first, keep * p + (1 - keep) * q)
        order = order.index_copy(2, first + 1, keep * q + (1 - keep) * p)
    return order


class GroCo(Objective):
    r"""Group ordering: all positives of an anchor above its closest negatives, by differentiable sorting.

    View 0 is the anchor, all other views of the thing its positives, the k closest other rows of view 0 its negatives;
    candidates carry no gradient. Their cosines are sorted softly; L is the mean over elements of the binary
    cross-entropy between the chance to end among the top ranks and being a positive. One positive and one negative:
    -log(1/2 + atan(β (s_p - s_n)) / π), a BPR with a Cauchy link. With fewer than k others all are taken; a thing alone
    is 0. Shvetsova et al., Learning by Sorting (ICCV 2023).

    Args:
        negatives: k.
        beta: β > 0, steepness of a comparison.
    """

    kind = "multiview"
    detached = True
    reference = "Shvetsova et al., ICCV 2023"
    reduces = ("-log(1/2 + atan(β (s_p - s_n)) / π), a BPR with a Cauchy link, with one positive and one negative",)
    slots = {
        "similarity": "Cosine()",
        "positives": "other views of the thing",
        "negatives": "closest rows of the anchor's own view",
        "temperature": "1 / beta",
        "kernel": "SoftSort, binary cross-entropy of ranks",
        "views": "star around view 0",
    }

    def __init__(self, negatives: int = 10, beta: float = 1.0) -> None:
        super().__init__()
        if negatives < 1 or beta <= 0:
            raise ValueError(f"negatives must be at least 1 and beta positive, got {negatives}, {beta}.")
        self.negatives, self.beta = negatives, beta

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        z = normalise(views)
        anchor, fixed = z[0], z.detach()
        count, others = len(anchor), min(self.negatives, len(anchor) - 1)
        key = torch.arange(count, device=z.device) if ids is None else ids
        mine = (anchor * fixed[1:]).sum(-1).T
        chosen = _others(fixed[0], key, others)
        near = (fixed[0].index_select(0, chosen.flatten()).view(count, others, z.shape[2]) @ anchor[:, :, None])[..., 0]
        held = partner_counts(ids, count, count, z.device).clamp_max(others)
        values = torch.zeros_like(mine[:, 0])
        for number in held.unique().tolist():  # Rows with fewer negatives have a network of their own.
            rows = (held == number).nonzero()[:, 0]
            part = self._ordering(near.index_select(0, rows)[:, :number], mine.index_select(0, rows))
            values = values.index_copy(0, rows, part)
        return values, None

    def _ordering(self, negative: Tensor, positive: Tensor) -> Tensor:
        """Loss of rows that have the same number of negatives [R, k] and positives [R, p]; without negatives 0."""
        others = negative.shape[1]
        if not others:
            return 0.0 * positive.sum(1)
        row = torch.cat([negative.sort(1).values, positive.sort(1).values], 1)
        top = soft_sort(row, self.beta)[:, :, others:].sum(2)
        tiny = torch.finfo(top.dtype).tiny
        ranked = torch.cat([1 - top[:, :others], top[:, others:]], 1)
        return -ranked.clamp_min(tiny).log().mean(1)


@torch.no_grad()
def _others(x: Tensor, key: Tensor, count: int) -> Tensor:
    """Places [B, count] of the closest rows of another id; rows of the own id come last."""
    wide = min(len(x), count + int(torch.unique(key, return_counts=True)[1].max()))
    near = closest(x, x, wide)
    order = (key[near] == key[:, None]).long().argsort(dim=1, stable=True)
    return near.gather(1, order)[:, :count]

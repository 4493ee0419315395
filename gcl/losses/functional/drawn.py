"""Log-sum-exp over a small sample of candidates that all rows share, of which almost none is the row's own."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gcl.losses.functional.partition import log_partition

KEPT = {"cpu": 2**22, "cuda": 2**28}
"""Most exponentials that are kept for the backward pass, by device type; a larger matrix is streamed."""


def drawn_partition(x: Tensor, y: Tensor, bias: Tensor, row_ids: Tensor | None, column_ids: Tensor | None) -> Tensor:
    r"""log Σ_j exp(<x_i, y_j> + b_j) over the columns with another id than row i's, [B]; -inf where there is none.

    :func:`gcl.losses.functional.partition.log_partition` for columns that are few: the exponentials are kept, so that
    the backward pass makes none, and equal ids are looked for in the rows that have any. First derivatives only.

    Args:
        x: rows [B, d].
        y: columns [M, d].
        bias: b [M]; it gets no gradient.
        row_ids: identity of the rows [B]; None, as in :func:`log_partition`: row i is column i.
        column_ids: identity of the columns [M].
    """
    few = len(x) * len(y) <= KEPT.get(x.device.type, KEPT["cuda"])
    if row_ids is None or column_ids is None or not few or not len(x) or not len(y) or bias.requires_grad:
        return log_partition(x, y, bias=bias, row_ids=row_ids, column_ids=column_ids)[0]
    total: Tensor = _Drawn.apply(x, y, bias, row_ids, column_ids)
    return total


def equal_pairs(row_ids: Tensor, column_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of equal id."""
    ordered = torch.sort(column_ids).values
    place = torch.searchsorted(ordered, row_ids).clamp_(max=len(ordered) - 1)
    rows = (ordered[place] == row_ids).nonzero().flatten()
    at, columns = (row_ids[rows, None] == column_ids).nonzero(as_tuple=True)
    return rows[at], columns


class _Drawn(torch.autograd.Function):
    """Saves e_ij = exp(<x_i, y_j> - max_j) and Σ_j e_ij f_j, f = exp(b): b costs no pass over the matrix.

    dx = (g / Σ) e (f y), dy = f e' ((g / Σ) x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, bias: Tensor, row_ids: Tensor, column_ids: Tensor) -> Tensor:
        e = torch.mm(x, y.T)
        e[equal_pairs(row_ids, column_ids)] = -math.inf
        top = e.amax(1).clamp_min_(torch.finfo(e.dtype).min)
        highest = bias.amax()
        factor = torch.exp(bias - highest)
        total = torch.mv(e.sub_(top[:, None]).exp_(), factor)
        ctx.save_for_backward(x, y, e, factor, total)
        return total.log().add_(top).add_(highest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, e, factor, total = ctx.saved_tensors
        scale = torch.where(total > 0, grad / total, 0.0)[:, None]
        with torch.autocast(x.device.type, enabled=False):
            dx = torch.mm(e, y * factor[:, None]).mul_(scale)
            return dx, torch.mm(e.T, x * scale).mul_(factor[:, None]), None, None, None

"""Log-sum-exp of a set against itself: half of a symmetric matrix, tile by tile."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gcl.losses.functional.partition import SAFE_RANGE, Keep, Rule, fits, log_partition, positional, tile_rows


def within_partition(
    x: Tensor,
    inverse: Tensor | float,
    *,
    bias: Tensor | None = None,
    ids: Tensor | None = None,
    keep: Keep = "different",
    stream: bool | None = None,
) -> Tensor:
    r"""log Σ_{j kept} exp(<x_i, x_j> / τ + b_i + b_j) of every row, [n]: a set with itself at half the cost.

    Args:
        x: rows [n, d].
        inverse: 1 / τ > 0, one number for all.
        bias: b [n].
        ids: identity of the rows [n]; None: every row is its own.
        keep: see :func:`log_partition`.
        stream: force or forbid streaming; None: chosen by size.
    """
    x = x * torch.as_tensor(inverse, dtype=x.dtype, device=x.device).sqrt()
    count = x.shape[0]
    if stream is None:
        stream = not fits(count, count, x.device)
    shift = _shift(x.detach(), None if bias is None else bias.detach()) if stream and count else None
    if shift is not None:
        if keep == "different" and positional(ids, ids):
            ids = None
        halved: Tensor = _Within.apply(x, bias, Rule(ids, ids, keep), shift)
        return halved
    total, _ = log_partition(x, x, bias=bias, row_ids=ids, column_ids=ids, keep=keep, stream=stream)
    return total if bias is None else total + bias


def _shift(x: Tensor, bias: Tensor | None) -> float | None:
    """A constant that may be subtracted from every logit, or None where their range may be too wide for it."""
    top = float(x.square().sum(1).max())
    low, high = -top, top
    if bias is not None:
        low, high = low + 2 * float(bias.min()), high + 2 * float(bias.max())
    return high if high - low <= SAFE_RANGE else None


def _parts(count: int, device: torch.device) -> Iterator[slice]:
    """Slices of rows; tiles reach from a slice's first row to the last column, so later ones are taller."""
    start = 0
    while start < count:
        stop = min(start + tile_rows(count - start, device), count)
        yield slice(start, stop)
        start = stop


def _exponentials(x: Tensor, bias: Tensor | None, rule: Rule, part: slice, shift: float) -> Tensor:
    """exp(logit - shift) of the rows of a slice and the columns from its first on, 0 where not kept."""
    logits = x[part] @ x[part.start :].T
    if bias is not None:
        logits.add_(bias[part, None]).add_(bias[part.start :])
    e = logits.sub_(shift).exp_()
    if rule.row_ids is not None and rule.keep != "all":
        equal = rule.row_ids[part, None] == rule.row_ids[part.start :]
        e.masked_fill_(equal if rule.keep == "different" else ~equal, 0.0)
    if rule.keep != "all":
        e.diagonal().fill_(0.0)
    return e


class _Within(torch.autograd.Function):
    """Every pair of slices is made once; its exponentials serve the rows of both. Those of a single slice stay."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, rule: Rule, shift: float) -> Tensor:
        ctx.rule, ctx.shift, ctx.kept = rule, shift, None
        total = x.new_zeros(x.shape[0])
        for part in _parts(x.shape[0], x.device):
            e = _exponentials(x, bias, rule, part, shift)
            ctx.kept = e if part.stop - part.start == x.shape[0] else None
            total[part] += e.sum(1)
            total[part.stop :] += e[:, part.stop - part.start :].sum(0)
        total = total.log_().add_(shift)
        ctx.save_for_backward(x, bias, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, bias, total = ctx.saved_tensors
        dx, dbias = torch.zeros_like(x), None if bias is None else torch.zeros_like(bias)
        scale = torch.where(total == -math.inf, 0.0, grad * torch.exp(ctx.shift - total))
        kept, ctx.kept = ctx.kept, None  # used up below; a second pass makes them again
        with torch.autocast(x.device.type, enabled=False):
            for part in _parts(x.shape[0], x.device):
                weight = _exponentials(x, bias, ctx.rule, part, ctx.shift) if kept is None else kept
                weight.mul_(scale[part, None] + scale[part.start :])
                dx[part].addmm_(weight, x[part.start :])
                below = weight[:, part.stop - part.start :]
                dx[part.stop :].addmm_(below.T, x[part])
                if dbias is not None:
                    dbias[part] += weight.sum(1)
                    dbias[part.stop :] += below.sum(0)
        return dx, dbias, None, None

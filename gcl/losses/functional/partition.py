"""The streamed core: log-sum-exp of the rows and columns of a logits matrix that is never stored."""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gcl.losses.functional.numerics import lse

DENSE_BUDGET = {"cpu": 2**16, "cuda": 2**26}
"""Most logits that are kept for the backward pass, by device type; a larger matrix is streamed."""
TILE = {"cpu": 2**20, "cuda": 2**26}
"""Logits of one tile, by device type."""
LEAST_ROWS = 64
"""Fewest rows of a tile: below that its matrix products are slow."""
SAFE_RANGE = 60.0
"""Width of a range of logits within which exp(logit - constant) neither overflows nor underflows float32."""

Keep = Literal["different", "equal", "all"]


class Rule(NamedTuple):
    """Which entries count: a relation of ids, made tile by tile."""

    row_ids: Tensor | None
    column_ids: Tensor | None
    keep: Keep


def fits(rows: int, columns: int, device: torch.device) -> bool:
    """Whether a matrix of logits is small enough to be kept."""
    return rows * columns <= DENSE_BUDGET.get(device.type, DENSE_BUDGET["cuda"])


def tile_rows(columns: int, device: torch.device, least: int | None = None) -> int:
    """Rows of one tile of a matrix with so many columns."""
    return max(TILE.get(device.type, TILE["cuda"]) // max(columns, 1), LEAST_ROWS if least is None else least)


def log_partition(
    x: Tensor,
    y: Tensor,
    *,
    bias: Tensor | None = None,
    row_ids: Tensor | None = None,
    column_ids: Tensor | None = None,
    keep: Keep = "different",
    columns: bool = False,
    stream: bool | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Log-sum-exp over kept entries of l_ij = <x_i, y_j> + b_j, of every row and, if asked, of every column.

    row_i = log Σ_{j kept} exp(l_ij), col_j = log Σ_{i kept} exp(l_ij); -inf with zero gradient where nothing is kept.
    Temperature is a factor on the rows of x, so a temperature for each row costs nothing here.

    Memory O(tile + (B + n) d): tiles of rows are made, reduced and thrown away, and made again in the backward pass.
    Matrices within :data:`DENSE_BUDGET` are kept, which also allows second derivatives. Both forms are exact.

    Args:
        x: rows [B, d].
        y: columns [n, d].
        bias: b [n], for instance -log Q of sampled columns.
        row_ids: identity of the rows [B]; None: row i is column i.
        column_ids: identity of the columns [n].
        keep: entries whose ids are ``different`` (negatives), ``equal`` without the diagonal (positives of a set with
            itself), or ``all``.
        columns: also the column sums, from the same tiles.
        stream: force or forbid streaming; None: chosen by size.
    """
    rows, count = x.shape[0], y.shape[0]
    if stream is None:
        stream = not fits(rows, count, x.device)
    if stream:
        if keep == "different" and positional(row_ids, column_ids):
            row_ids = column_ids = None
        row, column = _LogPartition.apply(x, y, bias, Rule(row_ids, column_ids, keep), columns)
        return row, column if columns else None
    logits = _tile(x, y, bias, Rule(row_ids, column_ids, keep), slice(0, rows))
    return lse(logits, 1), lse(logits, 0) if columns else None


def positional(row_ids: Tensor | None, column_ids: Tensor | None) -> bool:
    """Whether ids say no more than positions do: row i is column i, and no id comes twice. Then no mask is needed."""
    if row_ids is None or column_ids is None or not torch.equal(row_ids, column_ids[: row_ids.numel()]):
        return False
    ordered = torch.sort(column_ids).values
    return not bool((ordered[1:] == ordered[:-1]).any())


def _hidden(rule: Rule, part: slice, count: int) -> Tensor | None:
    """The entries that do not count, [rows of part, count] bool; None where it is the diagonal alone or nothing."""
    if rule.keep == "all" or rule.row_ids is None or rule.column_ids is None:
        return None
    equal = rule.row_ids[part, None] == rule.column_ids[None]
    if rule.keep == "different":
        return equal
    own = torch.arange(part.start, part.stop, device=equal.device)[:, None]
    return ~equal | (own == torch.arange(count, device=equal.device))


def _tile(x: Tensor, y: Tensor, bias: Tensor | None, rule: Rule, part: slice, out: Tensor | None = None) -> Tensor:
    """Logits of the rows of ``part``, -inf where an entry does not count; in the first rows of ``out`` if given."""
    rows = x[part]
    place = None if out is None else out[: rows.shape[0]]
    logits = torch.mm(rows, y.T, out=place) if bias is None else torch.addmm(bias, rows, y.T, out=place)
    mask = _hidden(rule, part, y.shape[0])
    if mask is not None:
        return logits.masked_fill(mask, -math.inf) if out is None else logits.masked_fill_(mask, -math.inf)
    if rule.keep == "different":
        logits = logits.clone() if out is None else logits
        logits.diagonal(part.start).fill_(-math.inf)
    return logits


def _room(x: Tensor, y: Tensor) -> Tensor:
    """Memory for one tile, used by each in turn: to make it anew costs as much time as to fill it."""
    return x.new_empty(min(x.shape[0], tile_rows(y.shape[0], x.device)), y.shape[0])


def _tiles(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    step = tile_rows(columns, device)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _shift(x: Tensor, y: Tensor, bias: Tensor | None) -> float | None:
    """A constant that may be subtracted from every logit at once, or None where their range may be too wide."""
    top = float(torch.linalg.vector_norm(x, dim=1).max() * torch.linalg.vector_norm(y, dim=1).max())
    low, high = -top, top
    if bias is not None:
        low, high = low + float(bias.min()), high + float(bias.max())
    return high if high - low <= SAFE_RANGE else None


class _LogPartition(torch.autograd.Function):
    """One pass over tiles of rows each way; with a common shift one exponential an entry serves rows and columns.

    The exponentials of a matrix of a single tile stay for the backward pass, which then needs no third product.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        bias: Tensor | None,
        rule: Rule,
        columns: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.rule = rule
        ctx.columns = columns
        ctx.shift = _shift(x, y, bias) if min(x.shape[0], y.shape[0]) else None
        ctx.kept = None
        row = x.new_empty(x.shape[0])
        column = x.new_zeros(y.shape[0] if columns else 0)
        top = torch.full_like(column, -math.inf)
        room = _room(x, y)
        for part in _tiles(x.shape[0], y.shape[0], x.device):
            logits = _tile(x, y, bias, ctx.rule, part, room)
            if ctx.shift is not None:
                logits.sub_(ctx.shift).exp_()
                row[part] = logits.sum(1).log_().add_(ctx.shift)
                if columns:
                    column += logits.sum(0)
                ctx.kept = logits if logits.shape[0] == x.shape[0] else None
                continue
            row[part] = _finite_lse(logits, 1)
            if columns:
                higher = torch.maximum(top, logits.amax(0))
                floor = higher.clamp_min(torch.finfo(x.dtype).min)
                column.mul_(torch.exp(top - floor)).add_(logits.sub_(floor).exp_().sum(0))
                top = higher
        if columns:
            column = column.log_().add_(top.clamp_min_(torch.finfo(x.dtype).min) if ctx.shift is None else ctx.shift)
        ctx.save_for_backward(x, y, bias, row, column)
        return row, column

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, row_grad: Tensor, column_grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, bias, row, column = ctx.saved_tensors
        dx, dy = torch.zeros_like(x), torch.zeros_like(y)
        dbias = None if bias is None else torch.zeros_like(bias)
        kept, ctx.kept = ctx.kept, None  # used up below; a second pass makes its tile again
        room = _room(x, y) if kept is None else kept
        with torch.autocast(x.device.type, enabled=False):
            for part in _tiles(x.shape[0], y.shape[0], x.device):
                weight = _tile(x, y, bias, ctx.rule, part, room) if kept is None else kept
                if ctx.shift is not None:
                    e = weight.sub_(ctx.shift).exp_() if kept is None else weight
                    weight = _shared(e, ctx, row[part], row_grad[part], column, column_grad)
                else:
                    weight = _separate(weight, ctx.columns, row[part], row_grad[part], column, column_grad)
                if ctx.needs_input_grad[0]:
                    torch.mm(weight, y, out=dx[part])
                if ctx.needs_input_grad[1]:
                    dy.addmm_(weight.T, x[part])
                if dbias is not None:
                    dbias += weight.sum(0)
        return dx, dy, dbias, None, None


def _shared(e: Tensor, ctx: Any, row: Tensor, row_grad: Tensor, column: Tensor, column_grad: Tensor) -> Tensor:
    """Gradient of the logits of a tile by their exponentials less the shift, in place."""
    factor = _scale(row, row_grad, ctx.shift)[:, None]
    return e.mul_(factor + _scale(column, column_grad, ctx.shift)) if ctx.columns else e.mul_(factor)


def _separate(
    logits: Tensor, columns: bool, row: Tensor, row_grad: Tensor, column: Tensor, column_grad: Tensor
) -> Tensor:
    """Gradient of the logits of a tile by an exponential of their own for rows and columns."""
    out = (logits - _finite(row)[:, None]).exp_().mul_(row_grad[:, None])
    return out.add_(logits.sub_(_finite(column)).exp_().mul_(column_grad)) if columns else out


def _scale(total: Tensor, grad: Tensor, shift: float) -> Tensor:
    """grad * exp(shift - total), zero for empty rows."""
    return torch.where(total == -math.inf, 0.0, grad * torch.exp(shift - total))


def _finite(total: Tensor) -> Tensor:
    return total.clamp_min(torch.finfo(total.dtype).min)


def _finite_lse(logits: Tensor, dim: int) -> Tensor:
    """Log-sum-exp that keeps -inf for empty rows, without gradient."""
    top = _finite(logits.amax(dim, keepdim=True))
    return (logits - top).exp_().sum(dim).log_().add_(top.squeeze(dim))

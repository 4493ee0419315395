"""Row by row in tiles: any function of a block of rows, recomputed in the backward pass."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gcl.losses.functional.partition import fits, tile_rows

BlockFunction = Callable[..., Tensor]


def by_rows(
    function: BlockFunction,
    rows: Sequence[Tensor],
    shared: Sequence[Tensor] = (),
    *,
    columns: int,
    least: int | None = None,
    stream: bool | None = None,
) -> Tensor:
    """``function(*rows, *shared)``, evaluated on tiles of rows where its matrices would not fit.

    The function maps tensors of R rows each, and the shared ones whole, to a result of R rows, and treats every row
    alone. It makes matrices [R, columns]; these live one tile at a time, and again in the backward pass. The function
    may close over numbers only: tensors with gradient are handed in as ``rows`` or ``shared``.

    Args:
        function: of a tile of every tensor in ``rows`` and of all of ``shared``.
        rows: tensors of B rows.
        shared: tensors that every tile reads.
        columns: width of the matrices that the function makes.
        least: fewest rows of a tile, where a row makes more than a row of a matrix product.
        stream: force or forbid tiles; None: chosen by size.
    """
    count = rows[0].shape[0]
    if stream is None:
        stream = not fits(count, columns, rows[0].device)
    if not stream:
        return function(*rows, *shared)
    result: Tensor = _ByRows.apply(function, len(rows), tile_rows(columns, rows[0].device, least), *rows, *shared)
    return result


class _ByRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: BlockFunction, split: int, step: int, *tensors: Tensor) -> Tensor:
        ctx.function, ctx.split, ctx.step = function, split, step
        ctx.save_for_backward(*tensors)
        rows, shared = tensors[:split], tensors[split:]
        starts = range(0, max(rows[0].shape[0], 1), step)
        return torch.cat([function(*(t[s : s + step] for t in rows), *shared) for s in starts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[3:]) if needed]
        totals: list[Tensor | None] = [None] * len(tensors)
        for i in wanted:
            totals[i] = torch.zeros_like(tensors[i])
        for start in range(0, max(tensors[0].shape[0], 1), ctx.step):
            part = slice(start, start + ctx.step)
            leaves = [t[part].detach() if i < ctx.split else t.detach() for i, t in enumerate(tensors)]
            for i in wanted:
                leaves[i].requires_grad_()
            with torch.enable_grad(), torch.autocast(grad.device.type, enabled=False):
                out = ctx.function(*leaves)
            if not out.requires_grad:
                continue
            grads = torch.autograd.grad(out, [leaves[i] for i in wanted], grad[part], allow_unused=True)
            for i, g in zip(wanted, grads, strict=True):
                total = totals[i]
                if g is None or total is None:
                    continue
                if i < ctx.split:
                    total[part] = g
                else:
                    total += g
        return (None, None, None, *totals)

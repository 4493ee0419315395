"""Mean cross-entropy over a whole catalogue, value and gradient in one pass over the logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gcl.losses.functional.partition import SAFE_RANGE, tile_rows


def mean_catalogue_softmax(queries: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    r"""(1 / B) Σ_i [log Σ_j exp <x_i, y_j> - <x_i, y_t>], t the target of row i; zero where B = 0.

    Equals ``catalogue_softmax(queries, items, targets).mean()`` at three matrix products in place of four and half the
    exponentials: the weight of a row in a mean is known beforehand, so each tile of logits gives its part of the
    gradient before it is thrown away (as in Liger's fused cross-entropy, Hsu et al., 2024). Memory O(tile + (B + I) d);
    float32 accumulation; first derivatives only.

    Args:
        queries: x [B, d].
        items: y [I, d].
        targets: item of every query [B], in 0 .. I - 1.
    """
    with torch.autocast(queries.device.type, enabled=False):
        x, y = (t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in (queries, items))
        mean: Tensor = _Mean.apply(x, y, targets)
        return mean


class _Mean(torch.autograd.Function):
    """With e = exp(logits - top) and s = Σ e: dx = (e y / s - y_t) / B, dy = Σ_i (e_i / s_i - 1_t) x_i / B."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, targets: Tensor) -> Tensor:
        rows, wanted = len(x), ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        total, dx, dy = x.new_zeros(()), torch.empty_like(x), torch.zeros_like(y)
        narrow = _narrow(x, y)
        step = tile_rows(len(y), x.device)
        room = x.new_empty(min(rows, step), len(y))
        for start in range(0, rows, step):
            own, target = x[start : start + step], targets[start : start + step, None]
            logits = torch.mm(own, y.T, out=room[: len(own)])
            positive = logits.gather(1, target)
            top = torch.zeros_like(positive) if narrow else logits.amax(1, keepdim=True)
            share = (logits if narrow else logits.sub_(top)).exp_()
            norm = share.sum(1, keepdim=True)
            total += (norm.log() + top - positive).sum()
            if wanted:
                share.scatter_add_(1, target, -norm)
                scale = 1 / (norm * rows)
                torch.mm(share, y, out=dx[start : start + step]).mul_(scale)
                dy.addmm_(share.T, own * scale)
        ctx.save_for_backward(dx, dy)
        return total / max(rows, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        dx, dy = ctx.saved_tensors
        return dx * grad, dy * grad, None


def _narrow(x: Tensor, y: Tensor) -> bool:
    """Whether exp(logit) can neither overflow nor underflow float32 for any logit, so that none needs a shift."""
    if not len(x) or not len(y):
        return True
    return float(torch.linalg.vector_norm(x, dim=1).max() * torch.linalg.vector_norm(y, dim=1).max()) <= SAFE_RANGE

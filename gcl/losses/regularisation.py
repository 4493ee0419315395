"""The five different things that the field calls "reg"; a published weight belongs to one of them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def ego_square_sum(*rows: Tensor) -> Tensor:
    """½ Σ ||X_b||²_F over the given batch rows, each [B, d] or [B, m, d]: SGL's, for losses that are sums."""
    return 0.5 * torch.stack([x.square().sum() for x in rows]).sum()


def ego_square(*rows: Tensor) -> Tensor:
    """½ Σ ||X_b||²_F / B, B the rows of the first: LightGCN's, for losses that are means; weight 1e-4 there."""
    return ego_square_sum(*rows) / max(rows[0].shape[0], 1)


def norm_per_row(*rows: Tensor) -> Tensor:
    """Σ ||X_b||_F / rows(X_b), the norm not squared: SELFRec's; some of its models divide by B once more."""
    return torch.stack([_norm(x) / max(x.shape[0], 1) for x in rows]).sum()


def embedding_norm(*rows: Tensor) -> Tensor:
    """Σ ||X_b||_F / B, B the rows of the last, the norm not squared: RecBole's and MMRec's EmbLoss."""
    return torch.stack([_norm(x) for x in rows]).sum() / max(rows[-1].shape[0], 1)


def all_parameters_square(parameters: Iterable[Tensor]) -> Tensor:
    """Σ ||W||²_F over whole parameters every step: SSLRec's; a weight λ equals a weight decay of 2λ in SGD."""
    squares = [w.square().sum() for w in parameters]
    if not squares:
        raise ValueError("all_parameters_square needs at least one parameter, got none.")
    return torch.stack(squares).sum()


class _Norm(torch.autograd.Function):
    """||X||_F = sqrt(Σ x²), its gradient X / ||X||_F in one pass over X where autograd takes two; 0 at zero."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.square().sum().clamp(min=torch.finfo(x.dtype).tiny).sqrt()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, norm = ctx.saved_tensors
        return x * (gradient / norm)


def _norm(x: Tensor) -> Tensor:
    """Frobenius norm."""
    norm: Tensor = _Norm.apply(x)
    return norm

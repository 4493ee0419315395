"""Attention over positions: of every position to itself and those before, and of the last position alone."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from gcl.encoders.dropout import Dropout, noise

SHORT = 16
"""Below this width torch's softmax over the last dimension takes ten times as long as over the first."""


def causal_attention(heads: Tensor, dropout: Dropout) -> Tensor:
    """drop(softmax(q k' / sqrt(w) + mask)) v for heads = (q, k, v) [3, B, H, T, w]; position t sees 0 .. t.

    torch's own, but on the CPU with dropout: there it has no fused form, and its plain one copies and checks more.
    """
    if dropout.active and heads.device.type == "cpu":
        mixed: Tensor = _Causal.apply(heads, dropout.p)
        return mixed
    q, k, v = heads.unbind()
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout.p if dropout.active else 0.0, is_causal=True)


class _Causal(torch.autograd.Function):
    """With s = softmax(q k' / sqrt(w) + mask) and the noise m of dropout: (s m) v."""

    @staticmethod
    def forward(ctx: Any, heads: Tensor, p: float) -> Tensor:
        flat = heads.flatten(1, 2)
        q, k, v = flat
        length = q.shape[1]
        later = torch.full((length, length), -torch.inf, dtype=q.dtype).triu_(1)
        share = softmax(torch.baddbmm(later, q, k.transpose(1, 2), alpha=1 / math.sqrt(q.shape[2])))
        drawn = noise(share, p)
        ctx.save_for_backward(flat, share, drawn)
        return torch.bmm(share * drawn, v).view(heads.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        flat, share, drawn = ctx.saved_tensors
        (q, k, v), shape = flat, grad.shape
        grad, out = grad.flatten(0, 1), torch.empty_like(flat)
        torch.bmm((share * drawn).transpose(1, 2), grad, out=out[2])
        inner = torch.bmm(grad, v.transpose(1, 2)).mul_(drawn).mul_(share)
        total = (inner.flatten(0, 1) @ inner.new_ones(inner.shape[2], 1)).view(*inner.shape[:2], 1)
        inner = inner.sub_(share * total).mul_(1 / math.sqrt(q.shape[2]))
        torch.bmm(inner, k, out=out[0])
        torch.bmm(inner.transpose(1, 2), q, out=out[1])
        return out.view(3, *shape), None


def softmax(x: Tensor) -> Tensor:
    """Softmax over the last of three dimensions; a short one is moved to the front, where torch's is vectorised."""
    if x.shape[2] >= SHORT:
        return x.softmax(2)
    return x.permute(2, 0, 1).contiguous().softmax(0).permute(1, 2, 0).contiguous()


def last_attention(q: Tensor, k: Tensor, v: Tensor, length: Tensor, dropout: Dropout) -> Tensor:
    """Attention of one position a row, q [B, H, 1, w], to the first ``length`` [B] of k and v [B, H, T, w].

    A length of 0 is read as 1, so that no row is empty.
    """
    hidden = torch.arange(k.shape[2], device=k.device) >= length.clamp_min(1)[:, None]
    scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(q.shape[3])
    return torch.matmul(dropout(scores.masked_fill(hidden[:, None, None], -torch.inf).softmax(3)), v)


def rotate(x: Tensor, place: Tensor | None = None) -> Tensor:
    """Rows of x [..., T, w] turned by their place t: pair k of w/2 by t 10000^(-2k/w), so <q, k> sees t_q - t_k.

    ``place``: broadcast to [..., T]; None: 0 .. T - 1.
    """
    half = x.shape[-1] // 2
    speed = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = (torch.arange(x.shape[-2], device=x.device) if place is None else place)[..., None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)

"""Attention over positions: of every position to itself and those before, and of the last position alone."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.encoders.dropout import Dropout


def causal_attention(q: Tensor, k: Tensor, v: Tensor, dropout: Dropout) -> Tensor:
    """drop(softmax(q k' / sqrt(w) + mask)) v for q, k, v [B, H, T, w]; position t sees 0 .. t.

    torch's own, but on the CPU with dropout: there it has no fused form, and its plain one copies and checks more.
    """
    if not dropout.active or q.device.type != "cpu":
        p = dropout.p if dropout.active else 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
    rows, length = q.shape[0] * q.shape[1], q.shape[2]
    later = torch.full((length, length), -torch.inf, dtype=q.dtype).triu_(1)
    flat = [x.reshape(rows, length, -1) for x in (q, k, v)]
    scores = torch.baddbmm(later, flat[0], flat[1].transpose(1, 2), alpha=1 / math.sqrt(q.shape[3]))
    return torch.bmm(dropout(scores.softmax(2)), flat[2]).view(q.shape)


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

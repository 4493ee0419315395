"""Causal Transformer over sequences of items."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.encoders.sequence import SequenceEncoder

Norm = Literal["post", "pre"]
Positions = Literal["learnt", "rotary"]
Padding = Literal["right", "left"]
EPS = 1e-12


class TransformerEncoder(SequenceEncoder):
    """L causal blocks of attention and a feed-forward net, x <- LN(x + A(x)), x <- LN(x + F(x)) (``post``).

    ``post``: the input is drop(LN(item + position)). ``pre``: x <- x + A(LN x), x <- x + F(LN x), a last LN, the input
    drop(item + position). F = W2 gelu(W1 x), inner width ``inner``. Padding stands behind the items, so a causal
    position never sees it and no mask is needed; ``padding`` says how positions are counted: ``right`` from the
    earliest item (0, 1 ..), ``left`` so that the latest item has the last position, as in left-padded
    implementations. Rotary positions are relative, and the same for both. Vaswani et al. (NeurIPS 2017); Kang &
    McAuley, SASRec (ICDM 2018); Su et al., RoFormer (2021). Weights N(0, 0.02), biases 0.

    Args:
        num_items: size of the catalogue.
        dim: width, a multiple of ``heads``.
        max_length: items that are read.
        layers: number of blocks.
        heads: of attention.
        inner: width inside the feed-forward net.
        dropout: of the input, of attention and of what each part adds.
        norm: where LayerNorm stands.
        positions: a learnt table or rotations of queries and keys.
        padding: how learnt positions are counted.
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        max_length: int = 50,
        *,
        layers: int = 2,
        heads: int = 2,
        inner: int = 256,
        dropout: float = 0.5,
        norm: Norm = "post",
        positions: Positions = "learnt",
        padding: Padding = "right",
    ) -> None:
        super().__init__(num_items, dim, max_length)
        if heads < 1 or dim % heads or (positions == "rotary" and dim // heads % 2):
            even = ", into an even width for rotary positions" if positions == "rotary" else ""
            raise ValueError(f"heads must divide dim{even}, got heads={heads} and dim={dim}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}.")
        if layers < 1 or inner < 1:
            raise ValueError(f"layers and inner must be at least 1, got {layers} and {inner}.")
        self.padding, self.pre = padding, norm == "pre"
        self.position = nn.Parameter(torch.randn(max_length, dim) * 0.02) if positions == "learnt" else None
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, inner, dropout, self.pre, positions) for _ in range(layers))

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after each position, [B, T, d]."""
        x = self.look_up(items)
        if self.position is not None:
            place = torch.arange(items.shape[1], device=items.device).expand_as(items)
            if self.padding == "left":
                place = (place + self.max_length - length[:, None]).clamp(max=self.max_length - 1)
            x = x + F.embedding(place, self.position)
        x = self.dropout(x if self.pre else self.norm(x))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) if self.pre else x


class Block(nn.Module):
    """Causal attention and a feed-forward net, each added to what it reads; see :class:`TransformerEncoder`."""

    def __init__(self, dim: int, heads: int, inner: int, dropout: float, pre: bool, positions: Positions) -> None:
        super().__init__()
        self.heads, self.pre, self.rotary, self.p = heads, pre, positions == "rotary", dropout
        self.mix, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=EPS) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        for layer in (self.mix, self.out, self.up, self.down):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d] -> [B, T, d]."""
        for part, norm in zip((self._attend, self._feed), self.norms, strict=True):
            x = x + self.dropout(part(norm(x))) if self.pre else norm(x + self.dropout(part(x)))
        return x

    def _attend(self, x: Tensor) -> Tensor:
        q, k, v = self.mix(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary:
            q, k = rotate(q), rotate(k)
        p = self.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _feed(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


def rotate(x: Tensor) -> Tensor:
    """Rows of x [..., T, d] turned by their position: pair k of d/2 by t 10000^(-2k/d), so <q, k> sees t_q - t_k."""
    half = x.shape[-1] // 2
    speed = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(x.shape[-2], device=x.device)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)

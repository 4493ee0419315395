"""Causal Transformer over sequences of items."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.encoders.attention import causal_attention, last_attention, rotate
from gcl.encoders.dropout import Dropout
from gcl.encoders.packing import Packing
from gcl.encoders.sequence import SequenceEncoder
from gcl.errors import one_of
from gcl.graph import look_up

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
        one_of("norm", norm, get_args(Norm))
        one_of("positions", positions, get_args(Positions))
        one_of("padding", padding, get_args(Padding))
        if heads < 1 or dim % heads or (positions == "rotary" and dim // heads % 2):
            even = ", into an even width for rotary positions" if positions == "rotary" else ""
            raise ValueError(f"heads must divide dim{even}, got heads={heads} and dim={dim}.")
        if layers < 1 or inner < 1:
            raise ValueError(f"layers and inner must be at least 1, got {layers} and {inner}.")
        self.padding, self.pre = padding, norm == "pre"
        self.position = nn.Parameter(torch.randn(max_length, dim) * 0.02) if positions == "learnt" else None
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, inner, dropout, self.pre, positions) for _ in range(layers))

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after each position, [B, T, d]; 0 where padding stands."""
        packing = Packing(length, items.shape[1])
        return packing.unpack(self._states(items, length, packing))

    def states(self, items: Tensor, length: Tensor) -> Tensor:
        """The states after the items alone, [n, d], sequence after sequence."""
        return self._states(items, length, Packing(length, items.shape[1]))

    def _states(self, items: Tensor, length: Tensor, packing: Packing) -> Tensor:
        x = self._read(items, length, packing)
        for block in self.blocks:
            x = block(x, packing)
        return self.norm(x) if self.pre else x

    def _ends(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after the last item alone, [B, d]: the last block computes no other."""
        packing = Packing(length, items.shape[1])
        x = self._read(items, length, packing)
        for block in self.blocks[:-1]:
            x = block(x, packing)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        end = last.end(x, length, packing)
        return self.norm(end) if self.pre else end

    def _read(self, items: Tensor, length: Tensor, packing: Packing) -> Tensor:
        """What the first block reads, [n, d]."""
        x = self.look_up(items.flatten().index_select(0, packing.flat))
        if self.position is not None:
            place = packing.place
            if self.padding == "left":
                place = place + self.max_length - length.clamp_min(1).index_select(0, packing.owner)
            x = x + look_up(self.position, place)
        return self.dropout(x if self.pre else self.norm(x))


class Block(nn.Module):
    """Causal attention and a feed-forward net, each added to what it reads; see :class:`TransformerEncoder`."""

    def __init__(self, dim: int, heads: int, inner: int, dropout: float, pre: bool, positions: Positions) -> None:
        super().__init__()
        self.heads, self.pre, self.rotary = heads, pre, positions == "rotary"
        self.mix, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=EPS) for _ in range(2))
        self.dropout = Dropout(dropout)
        for layer in (self.mix, self.out, self.up, self.down):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """[n, d] -> [n, d]."""
        x = self._add(x, self._attend(self.norms[0](x) if self.pre else x, packing), 0)
        return self._add(x, self._feed(self.norms[1](x) if self.pre else x), 1)

    def end(self, x: Tensor, length: Tensor, packing: Packing) -> Tensor:
        """[n, d] -> [B, d]: :meth:`forward` at the position of the last item alone."""
        read = self.norms[0](x) if self.pre else x
        x = self._add(x.index_select(0, packing.ends), self._attend_end(read, length, packing), 0)
        return self._add(x, self._feed(self.norms[1](x) if self.pre else x), 1)

    def _add(self, x: Tensor, part: Tensor, at: int) -> Tensor:
        total = x + self.dropout(part)
        return total if self.pre else torch.as_tensor(self.norms[at](total))

    def _attend(self, x: Tensor, packing: Packing) -> Tensor:
        heads = packing.pad(self.mix(x), 3, self.heads)
        if self.rotary:
            heads = torch.cat([rotate(heads[:2]), heads[2:]])
        return torch.as_tensor(self.out(packing.pick(causal_attention(heads, self.dropout))))

    def _attend_end(self, x: Tensor, length: Tensor, packing: Packing) -> Tensor:
        dim = x.shape[1]
        (one, two), (bias, biases) = self.mix.weight.split([dim, 2 * dim]), self.mix.bias.split([dim, 2 * dim])
        q = F.linear(x.index_select(0, packing.ends), one, bias).view(len(length), self.heads, 1, dim // self.heads)
        k, v = packing.pad(F.linear(x, two, biases), 2, self.heads).unbind()
        if self.rotary:
            q, k = rotate(q, (length - 1).clamp_min(0)[:, None, None]), rotate(k)
        return torch.as_tensor(self.out(last_attention(q, k, v, length, self.dropout).flatten(1)))

    def _feed(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.down(F.gelu(self.up(x))))

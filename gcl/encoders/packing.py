"""Items of padded sequences laid side by side, so that only attention computes with padding."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class Packing:
    """B sequences of at most T items as n rows, one an item, sequence after sequence; one of length 0 has one row.

    ``flat`` [n]: places of the rows among the B * T; ``place`` [n]: among those of their own sequence; ``owner`` [n]:
    the sequence; ``ends`` [B]: the rows of the last items.
    """

    def __init__(self, length: Tensor, width: int) -> None:
        length, place = length.clamp_min(1), torch.arange(width, device=length.device)
        inside = place < length[:, None]
        self.inside, self.shape = inside, inside.shape
        self.flat = inside.flatten().nonzero().flatten()
        self.owner, self.place = self.flat // width, self.flat % width
        self.ends = length.cumsum(0) - 1
        self.rows = torch.minimum(self.ends[:, None], (self.ends - length + 1)[:, None] + place)
        self._kept: dict[tuple[Any, ...], Tensor] = {}

    def pad(self, x: Tensor, parts: int, heads: int) -> Tensor:
        """[n, parts * heads * w] -> [parts, B, heads, T, w]; padding repeats the last item and passes no gradient."""
        padded: Tensor = _Pad.apply(x, self, parts, heads)
        return padded

    def pick(self, x: Tensor) -> Tensor:
        """[B, heads, T, w] -> [n, heads * w], padding left out."""
        picked: Tensor = _Pick.apply(x, self)
        return picked

    def unpack(self, x: Tensor) -> Tensor:
        """[n, d] -> [B, T, d], padding 0."""
        return x.new_zeros(self.shape.numel(), x.shape[1]).index_copy(0, self.flat, x).unflatten(0, self.shape)

    def spread(self, x: Tensor, parts: int, heads: int, blank: bool = False) -> Tensor:
        """:meth:`pad` without its gradient: one copy, of pieces of width w; ``blank``: of 0 where padding stands."""
        width = x.shape[1] // (parts * heads)
        source = self._once(self._spread, parts, heads, blank)
        pieces = F.pad(x, (0, 0, 0, 1)) if blank else x
        pieces = pieces.reshape(-1, width).index_select(0, source)
        return pieces.view(parts, self.shape[0], heads, self.shape[1], width)

    def collect(self, x: Tensor) -> Tensor:
        """[parts, B, heads, T, w] -> [n, parts * heads * w]: :meth:`pick` of every part, without its gradient."""
        parts, _, heads, _, width = x.shape
        pieces = x.reshape(-1, width).index_select(0, self._once(self._collect, parts, heads))
        return pieces.view(len(self.flat), parts * heads * width)

    def _once(self, make: Callable[..., Tensor], *how: Any) -> Tensor:
        key = make.__name__, *how
        if key not in self._kept:
            self._kept[key] = make(*how)
        return self._kept[key]

    def _spread(self, parts: int, heads: int, blank: bool) -> Tensor:
        """The piece of [n, parts, heads] that stands at every place of [parts, B, heads, T]."""
        rows = self.rows.masked_fill(~self.inside, len(self.flat)) if blank else self.rows
        piece = torch.arange(parts * heads, device=self.flat.device).view(parts, 1, heads, 1)
        return (rows[None, :, None] * (parts * heads) + piece).flatten()

    def _collect(self, parts: int, heads: int) -> Tensor:
        """The place in [parts, B, heads, T] of every piece of [n, parts, heads]."""
        batch, width = self.shape
        part = torch.arange(parts, device=self.flat.device)[:, None] * batch
        head = torch.arange(heads, device=self.flat.device)
        owner, place = self.owner[:, None, None], self.place[:, None, None]
        return (((part + owner) * heads + head) * width + place).flatten()


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing, parts: int, heads: int) -> Tensor:
        ctx.packing = packing
        return packing.spread(x, parts, heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.packing.collect(grad), None, None, None


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing) -> Tensor:
        ctx.packing, ctx.heads = packing, x.shape[1]
        return packing.collect(x[None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.packing.spread(grad, 1, ctx.heads, blank=True)[0], None

"""Log-sum-exp over the negatives of every row, for any similarity and weighting, streamed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gcl.losses.functional.numerics import lse
from gcl.losses.functional.partition import log_partition
from gcl.losses.functional.streaming import by_rows

Transform = Callable[[Tensor], Tensor]
Reweigh = Callable[[Tensor, Tensor, Tensor], Tensor]
Reduce = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Entries:
    """What is done to the entries of a row beyond inner product and temperature.

    ``transform`` elementwise on inner products; ``reweigh(logits, similarities, positive)`` adds log-weights;
    ``reduce(logits, goal)`` takes the place of log-sum-exp, hidden entries being -inf. ``positive`` [B] is the
    similarity of every row's own positive, ``goal`` [B] its logit. Functions work row by row, closing over numbers.
    """

    transform: Transform | None = None
    reweigh: Reweigh | None = None
    reduce: Reduce | None = None
    positive: Tensor | None = None
    goal: Tensor | None = None

    @property
    def plain(self) -> bool:
        """Whether entries are left as they are."""
        return self.transform is None and self.additive

    @property
    def additive(self) -> bool:
        """Whether a row's value is a sum over its entries: then several sets of candidates may be summed in turn."""
        return self.reweigh is None and self.reduce is None


def negative_partition(
    left: Tensor,
    right: Tensor,
    inverse: Tensor,
    row_ids: Tensor | None = None,
    column_ids: Tensor | None = None,
    *,
    entries: Entries = Entries(),
    bias: Tensor | None = None,
    stream: bool | None = None,
) -> Tensor:
    r"""log Σ_{j: id_j ≠ id_i} exp(s_ij / τ_i + b_j + log w_ij) [B], s_ij = transform(<left_i, right_j>).

    Args:
        left: features of anchors [B, e].
        right: features of candidates [n, e].
        inverse: 1 / τ, a scalar or [B].
        row_ids: identity of anchors [B]; None: anchor i is candidate i.
        column_ids: identity of candidates [n].
        entries: transform, weights and reduction of the entries.
        bias: b [n].
        stream: force or forbid streaming; None: chosen by size.
    """
    count = left.shape[0]
    if entries.plain:
        scaled = left * (inverse if inverse.dim() == 0 else inverse[:, None])
        return log_partition(scaled, right, bias=bias, row_ids=row_ids, column_ids=column_ids, stream=stream)[0]
    if row_ids is None or column_ids is None:
        row_ids = torch.arange(count, device=left.device)
        column_ids = torch.arange(right.shape[0], device=left.device)
    shift = right.new_zeros(right.shape[0]) if bias is None else bias
    own = left.new_zeros(count) if entries.positive is None else entries.positive
    aim = left.new_zeros(count) if entries.goal is None else entries.goal
    transform, reweigh, reduce = entries.transform, entries.reweigh, entries.reduce

    def block(
        x: Tensor, beta: Tensor, rows: Tensor, top: Tensor, to: Tensor, y: Tensor, b: Tensor, columns: Tensor
    ) -> Tensor:
        inner = x @ y.T
        s = inner if transform is None else transform(inner)
        logits = torch.addcmul(b[None], s, beta[:, None])
        logits = logits.masked_fill(rows[:, None] == columns[None], -math.inf)
        logits = logits if reweigh is None else reweigh(logits, s, top)
        return lse(logits) if reduce is None else reduce(logits, to)

    rows = (left, inverse.expand(count), row_ids, own, aim)
    return by_rows(block, rows, (right, shift, column_ids), columns=right.shape[0], stream=stream)


def partner_counts(ids: Tensor | None, rows: int, columns: int, device: torch.device) -> Tensor:
    """Number of candidates with another id than row i, [rows]; ids of all columns, the first ones are the rows'."""
    if ids is None:
        return torch.full((rows,), columns - 1, device=device)
    _, place, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    return columns - counts[place[:rows]]


def filtered_partition(
    x: Tensor,
    y: Tensor,
    hide: Callable[..., Tensor],
    row_keys: Sequence[Tensor],
    column_keys: Sequence[Tensor],
    *,
    stream: bool | None = None,
) -> Tensor:
    """log Σ exp(<x_i, y_j>) over the entries that ``hide(*row_keys, *column_keys)`` [R, n] leaves, [B].

    ``hide`` is asked for tiles of rows, without gradient; it closes over numbers only.
    """
    split = len(row_keys)

    def block(a: Tensor, *rest: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = hide(*rest[:split], *rest[split + 1 :])
        return lse((a @ rest[split].T).masked_fill(hidden, -math.inf))

    return by_rows(block, (x, *row_keys), (y, *column_keys), columns=y.shape[0], stream=stream)


def identities(ids: Tensor | None, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids of rows and of columns; without ids a row is its column."""
    key = torch.arange(columns, device=device) if ids is None else ids
    return key[:rows], key


def exhausted(initial: Tensor, current: Tensor, factor: float = 1.15, ceiling: float = 0.8) -> Tensor:
    """Which kept hard negatives are to be replaced: those that have become easy, of any shape, bool.

    ``current * factor < initial`` and ``|current| < ceiling``, scores with the anchor when taken and now; checked every
    hundred steps or so by whoever keeps them. Conan-embedding (2024); the constants are recalled, hence arguments.
    """
    return (current * factor < initial) & (current.abs() < ceiling)

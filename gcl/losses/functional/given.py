"""Given distributions over candidates: one-hot, dense or sparse, handed out a tile of rows at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gcl.losses.checks import expect_within


@dataclass(frozen=True)
class Given:
    """Rows of a distribution over candidates.

    ``rows(places)`` [R, n]: the rows at rising, adjacent places, of sum 1 or 0, without gradient; ``valid`` [B]: which
    rows have weight.
    """

    rows: Callable[[Tensor], Tensor]
    valid: Tensor


def given_rows(targets: Tensor | None, shape: tuple[int, int], like: Tensor, own: bool) -> Given:
    """The distribution that ``targets`` mean, of the type and device of ``like``.

    Args:
        targets: None: row i is all on column i; dense or sparse [B, n], rows of any positive scale.
        shape: B and n.
        like: a tensor of the logits' type and device.
        own: rows are columns: a row's weight on itself is left out.

    Raises:
        ValueError: if targets are of another shape, negative or not finite, or not given where rows are columns.
    """
    if targets is None:
        if own:
            rule = "targets must be given with own=True: without them a row is its only positive, and is left out"
            raise ValueError(f"{rule}, got None. Give them as [{shape[0]}, {shape[1]}], or take own=False.")
        held = torch.ones(shape[0], dtype=torch.bool, device=like.device)
        return Given(lambda places: _one_hot(places, shape[1], like), held)
    if targets.shape != shape:
        raise ValueError(f"targets must be [{shape[0]}, {shape[1]}], got {list(targets.shape)}.")
    targets = targets.detach().to(device=like.device, dtype=like.dtype)
    return _sparse(targets, own) if targets.layout != torch.strided else _dense(targets, own)


def _one_hot(places: Tensor, count: int, like: Tensor) -> Tensor:
    return (places[:, None] == torch.arange(count, device=places.device)).to(like.dtype)


def _dense(targets: Tensor, own: bool) -> Given:
    expect_within("targets", targets, 0, math.inf, "weights of columns")
    total = targets.sum(1) - (targets.diagonal() if own else 0.0)
    scale = torch.where(total > 0, total, 1.0)

    def rows(places: Tensor) -> Tensor:
        part = targets[places]
        if own:
            part = part * (1 - _one_hot(places, targets.shape[1], targets))
        return part / scale[places, None]

    return Given(rows, total > 0)


def _sparse(targets: Tensor, own: bool) -> Given:
    """Entries sorted by row; those of adjacent rows lie side by side."""
    coo = targets.to_sparse_coo().coalesce()
    (row, column), value = coo.indices(), coo.values()
    expect_within("targets", value, 0, math.inf, "weights of columns")
    if own:
        kept = row != column
        row, column, value = row[kept], column[kept], value[kept]
    count, width = targets.shape
    total = value.new_zeros(count).index_add(0, row, value)
    value = value / torch.where(total > 0, total, 1.0)[row]
    starts = torch.searchsorted(row, torch.arange(count + 1, device=row.device))

    def rows(places: Tensor) -> Tensor:
        first, last = int(places[0]), int(places[-1]) + 1
        part = slice(int(starts[first]), int(starts[last]))
        flat = value.new_zeros((last - first) * width)
        return flat.index_copy(0, (row[part] - first) * width + column[part], value[part]).view(-1, width)

    return Given(rows, total > 0)

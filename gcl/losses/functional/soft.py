"""Contrast against weights instead of one positive: soft targets, kernel-weighted and labelled positives."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gcl.losses.functional.numerics import lse, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.functional.streaming import by_rows
from gcl.losses.functional.within import within_partition

Targets = Callable[..., Tensor]
Denominator = Literal["all", "negatives", "self"]


class Share(NamedTuple):
    """What a positive's share is of: D over ``all`` columns, the ``negatives``, or these and it ``self``.

    ``inside``: the logarithm of the average share in place of the average of logarithms.
    """

    denominator: Denominator = "all"
    inside: bool = False


def soft_contrast(
    left: Tensor,
    right: Tensor,
    inverse: Tensor,
    targets: Targets,
    keys: tuple[Sequence[Tensor], Sequence[Tensor]],
    *,
    own: bool,
    transform: Callable[[Tensor], Tensor] | None = None,
    share: Share = Share(),
    things: tuple[Tensor, Tensor] | None = None,
    stream: bool | None = None,
) -> tuple[Tensor, Tensor]:
    r"""-Σ_j (W_ij / Σ_k W_ik) (l_ij - D_ij) [B], l = s / τ, and which rows count; ``inside``: -log Σ_j (..) e^(l - D).

    ``W = targets(*row keys, *column keys)`` >= 0 [R, n] for a tile of rows; it carries no gradient. D_ij is the row's
    log-sum-exp over the columns of ``share``, the negatives being those of weight 0. With ``own`` row i is column i,
    and neither weight nor denominator holds it.

    Args:
        left: features of anchors [B, e].
        right: features of candidates [n, e].
        inverse: 1 / τ, a scalar or [B].
        targets: function of tiles of the row keys and of the whole column keys; closes over numbers only.
        keys: tensors of B rows, and of n rows.
        own: anchors and candidates are the same set.
        transform: elementwise on inner products.
        share: the denominator, and where the average is taken.
        things: identity of rows [B] and columns [n]: columns of the row's thing and of weight 0 stand nowhere.
        stream: force or forbid tiles.
    """
    count = left.shape[0]
    places = torch.arange(count, device=left.device)
    split = len(keys[0])
    row_things, column_things = (places, places) if things is None else things

    def block(x: Tensor, beta: Tensor, place: Tensor, thing: Tensor, *rest: Tensor) -> Tensor:
        mine, y, named, other = rest[:split], rest[split], rest[split + 1], rest[split + 2 :]
        inner = x @ y.T
        logits = (inner if transform is None else transform(inner)) * beta[:, None]
        with torch.no_grad():
            weights = targets(*mine, *other).to(logits.dtype)
        if own:
            self_pair = place[:, None] == torch.arange(y.shape[0], device=y.device)
            logits, weights = logits.masked_fill(self_pair, -math.inf), weights.masked_fill(self_pair, 0.0)
        if things is not None:
            logits = logits.masked_fill((thing[:, None] == named) & (weights == 0), -math.inf)
        values, held = _against(logits, weights, *share)
        return torch.stack([values, held.to(values.dtype)], 1)

    rows = (left, inverse.expand(count), places, row_things, *keys[0])
    out = by_rows(block, rows, (right, column_things, *keys[1]), columns=right.shape[0], stream=stream)
    return out[:, 0], out[:, 1].detach() > 0


def _against(logits: Tensor, weights: Tensor, denominator: Denominator, inside: bool) -> tuple[Tensor, Tensor]:
    """Values of a tile of rows [R], 0 where a row does not count, and which do."""
    positive, total = weights != 0, weights.sum(1)  # what is not a number stays one
    weighed = total != 0
    rest = logits if denominator == "all" else logits.masked_fill(positive, -math.inf)
    partition = lse(rest)
    held = weighed & (partition != -math.inf) if denominator == "negatives" else weighed
    share = torch.where(positive, weights, 0.0) / torch.where(weighed, total, 1.0)[:, None]
    if denominator == "self":
        shown = logits.masked_fill(~positive, 0.0)
        gain = -softplus(partition[:, None] - shown)
    elif inside:
        gain = logits - torch.where(held, partition, 0.0)[:, None]
    else:
        pull = torch.where(positive, share * logits, 0.0).sum(1)
        return torch.where(held, partition - pull, 0.0), held
    if inside:
        top = lse((gain + torch.where(positive, share, 1.0).log()).masked_fill(~positive, -math.inf))
        return torch.where(held, -top, 0.0), held
    return -torch.where(positive, share * gain, 0.0).sum(1), held


def label_means(left: Tensor, right: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean inner product of every row with the other rows of its label [N], 0 where alone, and their number [N]."""
    _, place, size = torch.unique(labels, return_inverse=True, return_counts=True)
    sums = torch.zeros(size.shape[0], right.shape[1], dtype=right.dtype, device=right.device)
    rest = sums.index_add(0, place, right).index_select(0, place) - right
    count = size[place] - 1
    return (left * rest).sum(1) / count.clamp_min(1), count


def label_contrast(
    left: Tensor, right: Tensor, inverse: Tensor, labels: Tensor, inside: bool, stream: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Supervised contrast of inner products [N]: mean of logs, or ``inside`` log of the mean; rows with positives."""
    scaled = left * inverse
    mean, count = label_means(scaled, right, labels)
    valid = count > 0
    if left is right:
        everything = within_partition(left, inverse, stream=stream)
    else:
        everything = log_partition(scaled, right, stream=stream)[0]
    if inside:
        if left is right:
            mine = within_partition(left, inverse, ids=labels, keep="equal", stream=stream)
        else:
            mine = log_partition(scaled, right, row_ids=labels, column_ids=labels, keep="equal", stream=stream)[0]
        mean = mine.masked_fill(~valid, 0.0) - count.clamp_min(1).to(mine.dtype).log()
    return everything.masked_fill(~valid, 0.0) - mean, valid


def lse_by_class(logits: Tensor, kept: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Log-sum-exp of the kept logits of every class [R, C], 0 where there are none, and their numbers [R, C]."""
    shown = logits.masked_fill(~kept, -torch.inf)
    where = labels.expand(logits.shape[0], -1)
    empty = logits.new_full((logits.shape[0], classes), torch.finfo(logits.dtype).min)
    top = empty.scatter_reduce(1, where, shown.detach(), "amax")
    none = torch.zeros_like(empty)
    counts = none.index_add(1, labels, kept.to(logits.dtype))
    sums = none.index_add(1, labels, torch.exp(shown - top.gather(1, where)))
    return torch.where(counts > 0, sums.clamp_min(torch.finfo(sums.dtype).tiny).log() + top, 0.0), counts

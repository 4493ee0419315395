"""Several views of the same things: pairs within a thing, log-sum-exp over other things."""

import math

import torch
from torch import Tensor

from gcl.losses.functional.numerics import lse, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.functional.within import within_partition


def within(z: Tensor, inverse: Tensor | float) -> Tensor:
    """Logits between the views of every thing, [B, V, V], of unit rows z [V, B, d]."""
    rows = z.transpose(0, 1)
    return rows @ rows.transpose(1, 2) * inverse


def stacked_ids(views: int, rows: int, ids: Tensor | None, device: torch.device) -> Tensor:
    """Identity of the rows of a stack [V * B]."""
    return (torch.arange(rows, device=device) if ids is None else ids).repeat(views)


def other_things(z: Tensor, inverse: Tensor | float, ids: Tensor | None = None) -> Tensor:
    """log Σ over all views of other things of exp(<z_vi, z_wj> τ^-1), [V, B]; -inf where there are none."""
    views, count, dim = z.shape
    flat = z.reshape(-1, dim)
    key = stacked_ids(views, count, ids, z.device)
    return within_partition(flat, inverse, ids=key).view(views, count)


def mv_info_nce(z: Tensor, inverse: Tensor | float, ids: Tensor | None = None) -> Tensor:
    """-log of the share of all ordered pairs of a thing's views in all pairs with its views, [B]."""
    own = torch.eye(z.shape[0], dtype=torch.bool, device=z.device)
    pairs = lse(within(z, inverse).masked_fill(own, -math.inf).flatten(1))
    return softplus(lse(other_things(z, inverse, ids), 0) - pairs)


def mv_dhel(z: Tensor, inverse: Tensor | float, ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """-log Σ_{l<l'} exp(pair) + Σ_l log Σ_{j ≠ i} exp(own view), [B], and which things have negatives."""
    lower = torch.ones(z.shape[0], z.shape[0], dtype=torch.bool, device=z.device).tril()
    pairs = lse(within(z, inverse).masked_fill(lower, -math.inf).flatten(1))
    apart = torch.stack([within_partition(v, inverse, ids=ids) for v in z])
    valid = (apart > -math.inf).all(0)
    return apart.masked_fill(~valid, 0.0).sum(0) - pairs, valid


def poly_view(z: Tensor, inverse: Tensor | float, arithmetic: bool, ids: Tensor | None = None) -> Tensor:
    """-log share of each pair of views (a, b) against other things, log-mean or mean over b, mean over a, [B]."""
    views = z.shape[0]
    negatives = other_things(z, inverse, ids).T[:, :, None]
    losses = softplus(negatives - within(z, inverse))
    own = torch.eye(views, dtype=torch.bool, device=z.device)
    if arithmetic:
        return (math.log(views - 1) - lse((-losses).masked_fill(own, -math.inf))).mean(1)
    return losses.masked_fill(own, 0.0).sum((1, 2)) / (views * (views - 1))


def pooled_rest(z: Tensor, inverse: Tensor | float, rest: Tensor, ids: Tensor | None = None) -> Tensor:
    """Mean over a of -log share of view a against the pooled other views ``rest`` [V, B, d], [B]."""
    views, count, dim = z.shape
    key = stacked_ids(views, count, ids, z.device)
    flat = z.reshape(-1, dim)
    apart = log_partition(rest.reshape(-1, dim) * inverse, flat, row_ids=key, column_ids=key)[0]
    positive = (z * rest).sum(-1) * inverse
    return softplus(apart.view(views, count) - positive).mean(0)

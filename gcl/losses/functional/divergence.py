"""Divergences between a given and a learned distribution over candidates, row by row."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from gcl.losses.functional.given import Given
from gcl.losses.functional.streaming import by_rows

Divergence = Literal["kl", "reverse", "jeffreys", "js", "cross_entropy"]
DIVERGENCES: tuple[str, ...] = get_args(Divergence)


def xlogy(weight: Tensor, log: Tensor) -> Tensor:
    """weight * log, 0 where the weight is 0 whatever the logarithm."""
    return torch.where(weight > 0, weight * log.masked_fill(weight <= 0, 0.0), 0.0)


def divergence(p: Tensor, log_q: Tensor, kind: Divergence) -> Tensor:
    """D of rows of p [R, n] and of exp(log_q) [R, n], both of sum 1, [R]; infinite terms where q = 0 < p count."""
    log_p = torch.log(torch.where(p > 0, p, 1.0))
    if kind == "cross_entropy":
        return -xlogy(p, log_q).sum(1)
    forward = xlogy(p, log_p - log_q).sum(1)
    if kind == "kl":
        return forward
    q = log_q.exp()
    if kind == "js":
        log_m = torch.log(((p + q) / 2).clamp_min(torch.finfo(p.dtype).tiny))
        return (xlogy(p, log_p - log_m).sum(1) + xlogy(q, log_q - log_m).sum(1)) / 2
    tiny = math.log(torch.finfo(p.dtype).tiny)
    back = xlogy(q, log_q - torch.where(p > 0, log_p, tiny)).sum(1)
    return back if kind == "reverse" else (forward + back) / 2


def divergence_rows(
    left: Tensor,
    right: Tensor,
    inverse: Tensor,
    given: Given,
    keys: tuple[Tensor, Tensor],
    distance: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    transform: Callable[[Tensor], Tensor] | None,
    own: bool,
    hide_equal: bool,
    stream: bool | None = None,
) -> Tensor:
    """``distance(logits, p, hidden)`` of every row [B], p its given distribution, tile by tile.

    Columns that are hidden (the row itself with ``own``; with ``hide_equal`` columns of the row's id without weight)
    are in neither distribution.
    """
    places = torch.arange(left.shape[0], device=left.device)

    def block(x: Tensor, beta: Tensor, i: Tensor, place: Tensor, y: Tensor, j: Tensor) -> Tensor:
        inner = x @ y.T
        logits = (inner if transform is None else transform(inner)) * beta[:, None]
        p = given.rows(place)
        hidden = torch.zeros_like(logits, dtype=torch.bool)
        if own:
            hidden = place[:, None] == torch.arange(y.shape[0], device=y.device)
        if hide_equal:
            hidden = hidden | ((i[:, None] == j) & (p <= 0))
        return distance(logits, p, hidden)

    rows = (left, inverse.expand(left.shape[0]), keys[0], places)
    return by_rows(block, rows, (right, keys[1]), columns=right.shape[0], stream=stream)


def mixed_divergence(
    logits: Tensor, given: Tensor, hidden: Tensor, kind: Divergence, alpha: float, mix_learned: bool
) -> Tensor:
    """D((1 - α) p + α u || q) of a block of rows, u uniform over shown columns, q the softmax of the logits, [R].

    With ``mix_learned`` q is mixed with u alike.
    """
    shown = (~hidden).to(logits.dtype)
    uniform = shown / shown.sum(1, keepdim=True).clamp_min(1)
    log_q = logits.masked_fill(hidden, torch.finfo(logits.dtype).min / 4).log_softmax(1)
    p = (1 - alpha) * given + alpha * uniform
    if mix_learned and alpha > 0:
        log_u = torch.log(uniform.clamp_min(torch.finfo(logits.dtype).tiny)) + math.log(alpha)
        log_q = torch.logaddexp(log_q + math.log1p(-alpha), log_u) if alpha < 1 else log_u
    return divergence(p, log_q, kind)

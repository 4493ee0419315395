"""Softmax over a whole catalogue, and over a sample of it."""

import torch
from torch import Tensor

from gcl.losses.functional.drawn import drawn_partition
from gcl.losses.functional.numerics import softplus
from gcl.losses.functional.partition import log_partition


def catalogue_softmax(
    queries: Tensor,
    items: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    bias: Tensor | None = None,
    stream: bool | None = None,
) -> Tensor:
    r"""log Σ_j exp(<x_i, y_j> / τ + b_j) - (<x_i, y_t> / τ + b_t), t the target of row i: cross-entropy over all items.

    The logits [B, I] are never stored beyond the dense budget: memory O((B + I) d). Float32 accumulation.

    Args:
        queries: x [B, d].
        items: y [I, d].
        targets: item of every query [B], in 0 .. I - 1; -1: no target, the row is 0.
        temperature: τ > 0.
        bias: b [I].
        stream: force or forbid streaming; None: chosen by size.
    """
    with torch.autocast(queries.device.type, enabled=False):
        x, y = (t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in (queries, items))
        x = x / temperature
        held = targets.clamp_min(0)
        positive = (x * y.index_select(0, held)).sum(1)
        if bias is not None:
            positive = positive + bias.index_select(0, held)
        total, _ = log_partition(x, y, bias=bias, keep="all", stream=stream)
        return torch.where(targets >= 0, total - positive, 0.0)


def sampled_softmax(
    positive: Tensor,
    left: Tensor,
    right: Tensor,
    log_q: Tensor,
    own_log_q: Tensor,
    row_ids: Tensor | None,
    column_ids: Tensor | None,
    *,
    refined: bool,
    correct_positive: bool = True,
) -> Tensor:
    """Loss of every row [B] from its positive logit and candidates of proposal log-probability ``log_q`` [M].

    ``left`` holds the inverse temperature. Standard: -log share with logits less log Q, the positive's too unless
    ``correct_positive`` is off. ``refined``: the positive is not sampled; stopped (1 - share) times the distance of
    the positive from the log-sum-exp of negatives under Q renormalised without it.
    """
    apart = drawn_partition(left, right, -log_q, row_ids, column_ids)
    corrected = positive - own_log_q if correct_positive else positive
    gap = softplus(apart - corrected)
    if not refined:
        return gap
    away = -torch.expm1(-(softplus(apart - (positive - own_log_q)).detach()))
    rest = torch.log1p(-own_log_q.exp().clamp_max(1 - torch.finfo(own_log_q.dtype).eps))
    valid = apart > -torch.inf
    return torch.where(valid, away * (apart.masked_fill(~valid, 0.0) + rest - positive), 0.0)

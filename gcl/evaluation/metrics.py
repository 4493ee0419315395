"""Ranking metrics as functions of hits.

Every function takes ``hits`` [n, K] bool (column k - 1: is the item at rank k relevant) and ``positives`` [n] (number
of relevant items of the user, at least 1; a user with none gets 0) and returns one float64 value a user, [n]. K is the
cut-off: ``recall(hits[:, :10], positives)`` is Recall@10. Each value depends on its own row alone, so values of chunks
put together are those of the whole; the reported number is their mean.

:data:`METRICS` holds the defaults under the names of reports. Definitions that the field also prints under these names
have names of their own in :data:`VARIANTS`, and are never reported unasked.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Metric = Callable[[Tensor, Tensor], Tensor]


def recall(hits: Tensor, positives: Tensor) -> Tensor:
    """Share of the relevant items that stand in the list: hits / n."""
    return hits.sum(1) / _at_least_one(positives)


def precision(hits: Tensor, positives: Tensor) -> Tensor:
    """Share of the list that is relevant: hits / K, also where fewer than K items could be listed."""
    return hits.sum(1).double() / hits.shape[1]


def hit_rate(hits: Tensor, positives: Tensor) -> Tensor:
    """1 where the list holds a relevant item, else 0; the mean over users is not the share of hits over pairs
    (:func:`micro_recall`), which some code bases print as "hit ratio"."""
    return hits.any(1).double()


def ndcg(hits: Tensor, positives: Tensor) -> Tensor:
    """Normalised discounted cumulative gain with binary relevance (Järvelin and Kekäläinen, 2002).

    sum_k hit_k / log2(k + 1), over the same sum of a perfect list, which has its first min(n, K) entries relevant.
    """
    discount = 1 / torch.log2(torch.arange(2, hits.shape[1] + 2, dtype=torch.float64))
    ideal = torch.cumsum(discount, 0).to(hits.device)[_capped(positives, hits) - 1]
    return (hits * discount.to(hits.device)).sum(1) / ideal


def average_precision(hits: Tensor, positives: Tensor) -> Tensor:
    """Precision at every hit, sum_k hit_k (hits up to k) / k, over min(n, K); its mean over users is MAP."""
    return _precision_at_hits(hits) / _capped(positives, hits)


def reciprocal_rank(hits: Tensor, positives: Tensor) -> Tensor:
    """1 / rank of the first hit, 0 without one. Later hits do not count."""
    first = hits.int().argmax(1) + 1
    return hits.any(1) / first.double()


def recall_capped(hits: Tensor, positives: Tensor) -> Tensor:
    """hits / min(n, K): the recall that a list of K can reach at best is 1."""
    return hits.sum(1) / _capped(positives, hits).double()


def average_precision_full(hits: Tensor, positives: Tensor) -> Tensor:
    """:func:`average_precision` over n instead of min(n, K), as in trec_eval (``map_cut``) and ranx."""
    return _precision_at_hits(hits) / _at_least_one(positives)


def micro_recall(hits: Tensor, positives: Tensor) -> Tensor:
    """All hits over all relevant items, one number for all users; SELFRec prints it as "Hit Ratio".

    Not a mean over users: chunks merge by adding numerators and denominators.
    """
    return hits.sum() / positives.sum().clamp(min=1).double()


METRICS: dict[str, Metric] = {
    "recall": recall,
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
}

VARIANTS: dict[str, Metric] = {
    "recall_capped": recall_capped,
    "map_full": average_precision_full,
    "micro_recall": micro_recall,
}


def _at_least_one(positives: Tensor) -> Tensor:
    return positives.clamp(min=1).double()


def _capped(positives: Tensor, hits: Tensor) -> Tensor:
    return positives.clamp(min=1, max=hits.shape[1])


def _precision_at_hits(hits: Tensor) -> Tensor:
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    return (hits * torch.cumsum(hits, 1) / rank).sum(1)

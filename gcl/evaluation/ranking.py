"""Evaluation by ranking: lists for every user, one hit matrix, all metrics from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gcl.data import CSR, Dataset, Interactions, query
from gcl.diagnostics import exposure
from gcl.errors import InputError
from gcl.evaluation.candidates import draw
from gcl.evaluation.groups import by_activity, by_popularity, check_quantiles
from gcl.evaluation.metrics import METRICS
from gcl.evaluation.protocol import (
    COLD,
    EXCLUDE,
    PARTS,
    Exclude,
    Part,
    Protocol,
    check_choice,
    check_cutoffs,
    number_of,
)
from gcl.evaluation.result import Evaluation
from gcl.evaluation.top_k import Scorer, ranked, score_matrix, scoring

ROWS = 1024
ENTRY = 8
"""Bytes reckoned for each score: the matrix, and one intermediate of its size in the scorer."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The lists of n users: ``items`` [n, K] (-1 where no candidate was left), ``hits`` [n, K] bool, ``positives`` [n].

    What the functions of :mod:`gcl.evaluation.metrics` take: ``recall_capped(r.hits, r.positives).mean()``.
    """

    users: Tensor
    items: Tensor
    hits: Tensor
    positives: Tensor
    protocol: Protocol


def evaluate(
    scorer: Scorer,
    data: Dataset,
    part: Part = "test",
    *,
    k: int | Sequence[int] = (10, 20),
    exclude: Exclude = "seen",
    candidates: str = "full",
    min_train: int = 0,
    quantiles: Sequence[float] = (1 / 3, 2 / 3),
    memory_bytes: int = 1 << 29,
    seed: int = 0,
) -> Evaluation:
    """Rank the catalogue for every user who has an item in ``part``, and measure the lists.

    ``scorer``: anything with ``scores(query) -> [B, num_items]``; a module is put in eval mode and restored.
    ``exclude``: ``seen`` leaves out train items on valid, train and valid items on test; ``train`` train items alone
    (of a published split without a valid part: all its train items, those set aside for valid too); ``none``.
    ``candidates``: ``full``; ``cold``, items without train rows alone, for users who have some of them in ``part``; or
    ``uniN``: the user's test items among N others (:func:`gcl.evaluation.candidates.draw`
    with ``seed``); such metrics are named ``ndcg@10/uni100`` and cannot be compared with full ranking
    (Krichene and Rendle, 2020). ``min_train``: only users with so many train rows are counted.
    ``quantiles`` bound the groups. ``memory_bytes`` bounds the block of scores; results do not depend on it beyond
    the rounding of the scorer's own products.

    Metrics: recall, ndcg, hit_rate, precision, map, mrr (:mod:`gcl.evaluation.metrics`), popularity (mean train rows
    of the listed items), coverage and gini (:func:`gcl.diagnostics.exposure`), at every k.

    Raises:
        InputError: an argument out of its range, a part without users to count, scores of the wrong shape, NaN.
    """
    check_quantiles(quantiles)
    made = rank(
        scorer,
        data,
        part,
        k=k,
        exclude=exclude,
        candidates=candidates,
        min_train=min_train,
        memory_bytes=memory_bytes,
        seed=seed,
    )
    return _measure(made, data, quantiles)


def rank(
    scorer: Scorer,
    data: Dataset,
    part: Part = "test",
    *,
    k: int | Sequence[int] = (10, 20),
    exclude: Exclude = "seen",
    candidates: str = "full",
    min_train: int = 0,
    memory_bytes: int = 1 << 29,
    seed: int = 0,
) -> Ranking:
    """The lists behind :func:`evaluate`, with the same arguments, for metrics of one's own."""
    check_choice("part", part, PARTS)
    check_choice("exclude", exclude, EXCLUDE)
    number = number_of(candidates)
    cutoffs = check_cutoffs(k, data.num_items)
    relevant = _relevant(data, part, candidates)
    if candidates == COLD and not len(relevant):
        raise InputError(
            f"candidates='cold' ranks items without train rows, and {part} of {data.name!r} has none of them; hold "
            "some out with data.split=cold_items, or choose candidates='full'."
        )
    cold = int((data.train.by_item.counts == 0).sum())
    if candidates == COLD and cutoffs[-1] >= cold:
        raise InputError(
            f"k must be smaller than {cold}, the number of items without train rows that candidates='cold' ranks, got "
            f"{cutoffs[-1]}: a list of all of them tells nothing."
        )
    users = _counted(data, relevant, part, min_train)
    rows = _block_rows(memory_bytes, data.num_items, len(users))
    protocol = Protocol(
        data.split.hash, part, cutoffs, exclude, candidates, min_train, len(users), seed if number else 0
    )
    if number is None:
        warm = data.train.by_item.counts > 0
        source: _Source = _Catalogue(_left_out(data, part, exclude), warm if candidates == COLD else None)
    else:
        source = _Sampled(draw(data, users, number, seed), relevant.by_user, users)
    with scoring(scorer):
        items = _lists(scorer, data, part, users, cutoffs[-1], rows, source)
    hits = relevant.contains(users[:, None].expand_as(items), items.clamp(min=0)) & (items >= 0)
    return Ranking(users, items, hits, relevant.by_user.counts[users], protocol)


class _Catalogue:
    """Ranking of all items but those ``hidden`` [num_items]: hide what each user has seen."""

    def __init__(self, seen: CSR | None, hidden: Tensor | None = None) -> None:
        self.seen, self.hidden = seen, hidden

    def lists(self, scores: Tensor, users: Tensor, start: int, k: int, name: str) -> Tensor:
        """Items [B, k]."""
        if self.hidden is not None:
            scores = scores.masked_fill(self.hidden.to(scores.device), -math.inf)
        return ranked(scores, k, None if self.seen is None else self.seen.take(users), name)[0]


class _Sampled:
    """Ranking among the user's relevant items and the items drawn for the user."""

    def __init__(self, drawn: CSR, relevant: CSR, users: Tensor) -> None:
        self.drawn, self.relevant, self.last = drawn, relevant, len(users) - 1

    def lists(self, scores: Tensor, users: Tensor, start: int, k: int, name: str) -> Tensor:
        """Items [B, k]."""
        among = torch.full_like(scores, -math.inf)
        rows = (start + torch.arange(len(users))).clamp_(max=self.last)
        for owner, item in (self.drawn.take(rows), self.relevant.take(users)):
            place = (owner.to(scores.device), item.to(scores.device))
            among[place] = scores[place]
        return ranked(among, k, None, name)[0]


_Source = _Catalogue | _Sampled


def _lists(scorer: Scorer, data: Dataset, part: Part, users: Tensor, k: int, rows: int, source: _Source) -> Tensor:
    """Items [n, k] of all users, by blocks of ``rows``; the last block is filled up with its last user."""
    device = _device(scorer, users)
    name = type(scorer).__name__
    found = []
    for start in range(0, len(users), rows):
        block = users[start : start + rows]
        full = torch.cat([block, block[-1:].expand(rows - len(block))])
        scores = score_matrix(scorer, query(data, full, part).to(device), data.num_items)
        found.append(source.lists(scores, full, start, k, name)[: len(block)].to(users.device))
    return torch.cat(found)


def _measure(made: Ranking, data: Dataset, quantiles: Sequence[float]) -> Evaluation:
    """All metrics at all cut-offs of the lists."""
    degree, rows = data.train.by_item.counts, data.train.by_user.counts[made.users]
    per_user: dict[str, Tensor] = {}
    whole: dict[str, float] = {}
    recalls: dict[str, int] = {}
    for k in made.protocol.k:
        end = f"@{k}{made.protocol.suffix}"
        hits, items = made.hits[:, :k], made.items[:, :k]
        per_user.update({name + end: metric(hits, made.positives) for name, metric in METRICS.items()})
        shown = items >= 0
        listed = torch.where(shown, degree[items.clamp(min=0)], 0).sum(1) / shown.sum(1).clamp(min=1).double()
        per_user["popularity" + end] = listed
        spread = exposure(items, data.num_items)
        whole.update({"coverage" + end: spread.coverage, "gini" + end: spread.gini})
        recalls["recall" + end] = k
    relevant = _relevant(data, made.protocol.part, made.protocol.candidates)
    pairs = relevant.by_user.take(made.users)
    groups = by_activity(per_user, rows, quantiles)
    groups += by_popularity(pairs, (made.items, made.hits), degree, quantiles, recalls)
    metrics = {name: float(values.mean()) for name, values in per_user.items()} | whole
    return Evaluation(metrics, per_user, made.users, made.protocol, tuple(groups), int((rows == 0).sum()))


def _relevant(data: Dataset, part: str, candidates: str) -> Interactions:
    """The rows to be found: of ``cold`` candidates those of items without train rows."""
    rows = data.valid if part == "valid" else data.test
    return rows.select(data.train.by_item.counts[rows.item] == 0) if candidates == COLD else rows


def _counted(data: Dataset, relevant: Interactions, part: Part, min_train: int) -> Tensor:
    """Users with a relevant item and at least ``min_train`` train rows, ascending."""
    if isinstance(min_train, bool) or not isinstance(min_train, int) or min_train < 0:
        raise InputError(f"min_train must be a whole number from 0, got {min_train!r}; 0 counts every user.")
    has = relevant.by_user.counts > 0
    users = (has & (data.train.by_user.counts >= min_train)).nonzero().flatten()
    if not len(users):
        raise InputError(
            f"{part} of {data.name!r} has no user to count: {int(has.sum())} users have items in it, none of them with "
            f"{min_train} train rows; choose another part or a lower min_train."
        )
    return users


def _left_out(data: Dataset, part: Part, exclude: Exclude) -> CSR | None:
    """Items that no list of a user may hold, by user id."""
    if exclude == "none":
        return None
    whole = part == "test" and (exclude == "seen" or data.split.set_aside)
    return (data.split.seen if whole else data.train).by_user


def _block_rows(memory_bytes: int, num_items: int, users: int) -> int:
    """Rows of a block of scores; the same for every block of an evaluation."""
    rows = memory_bytes // (ENTRY * num_items)
    if rows < 1:
        raise InputError(
            f"memory_bytes must hold the scores of one user, {ENTRY * num_items} bytes for {num_items} items, "
            f"got {memory_bytes}; raise it."
        )
    return min(rows, ROWS, users)


def _device(scorer: Scorer, users: Tensor) -> torch.device:
    """Where the scorer computes: at its first parameter or buffer, else where the data are."""
    if isinstance(scorer, nn.Module):
        for tensor in (*scorer.parameters(), *scorer.buffers()):
            return tensor.device
    return users.device

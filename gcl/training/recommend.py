"""Lists for people: from external ids to external ids."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gcl.data import CSR, Dataset, Query, Split, TrainInteractions, query
from gcl.errors import InputError, nearest
from gcl.evaluation import top_k
from gcl.recommenders import Recommender

log = logging.getLogger("gcl.training")
BLOCK = 1024
"""Users scored at once."""


class Recommendation(NamedTuple):
    """An item by its external id, its score, and the columns that are shown of it."""

    item: str
    score: float
    shown: dict[str, Any]


Lists = dict[str, list[Recommendation]]


def for_users(model: Recommender, data: Dataset, users: Sequence[str], k: int, show: Sequence[str] = ()) -> Lists:
    """The k best items for each user, nothing that the user already has in any part of the data.

    Histories are all that is known of a user. Users without train rows are answered by their history alone.

    Raises:
        InputError: an unknown user (with the nearest), a user without train rows where the model cannot answer a
            history, k out of range.
    """
    rows = _rows(users, data.user_ids, "user")
    cold = data.train.by_user.counts[rows] == 0
    if bool(cold.any()) and "histories" not in model.answers:
        raise InputError(
            f"user {users[int(cold.nonzero()[0])]!r} has no interaction in train, and {type(model).__name__} knows "
            "only users with some; name others, or train a model that answers histories (EASE, Popularity)."
        )
    known = _all_known(data)
    lists: Lists = {}
    for block in torch.split(torch.arange(len(rows)), BLOCK):
        for part in (block[~cold[block]], block[cold[block]]):
            if len(part):
                asked = query(known, rows[part], "valid")
                if bool(cold[part[0]]):
                    asked = replace(asked, users=None)
                owner, item = known.train.by_user.take(rows[part])
                lists |= _lists(model, data, asked, [users[int(i)] for i in part], (owner, item), k, show)
    return {user: lists[user] for user in users}


def for_everybody(model: Recommender, data: Dataset, k: int, show: Sequence[str] = ()) -> Lists:
    """:func:`for_users` for all users whom the model can answer; how many it cannot is logged."""
    users = data.user_ids.astype(str)
    if "histories" not in model.answers:
        warm = (data.train.by_user.counts > 0).cpu().numpy()
        if not warm.all():
            log.warning("%d users without train rows are left out", int((~warm).sum()))
        users = users[warm]
    return for_users(model, data, users.tolist(), k, show)


def for_history(
    model: Recommender, data: Dataset, history: Sequence[str], k: int, show: Sequence[str] = ()
) -> list[Recommendation]:
    """The k best items after ``history``, external ids from the earliest to the latest; none of them again.

    Raises:
        InputError: an empty history, an unknown item (with the nearest), a model that cannot answer histories, k out
            of range.
    """
    if "histories" not in model.answers:
        raise InputError(
            f"{type(model).__name__} knows only the users it was trained on and cannot answer a history; name users, "
            "or train a model that answers histories (EASE, Popularity)."
        )
    if not history:
        raise InputError("history must name at least one item.")
    items = _rows(history, data.item_ids, "item")
    asked = Query(history=items[None], length=torch.tensor([len(items)]))
    seen = (torch.zeros_like(items), items)
    return _lists(model, data, asked, [""], seen, k, show)[""]


def _lists(
    model: Recommender,
    data: Dataset,
    asked: Query,
    names: Sequence[str],
    seen: tuple[Tensor, Tensor],
    k: int,
    show: Sequence[str],
) -> Lists:
    """Lists of the rows of a query under ``names``; ``seen``: (row, item) of what is left out."""
    row, item = seen
    hidden = CSR.from_pairs(row, item, len(names))
    if asked.users is not None:
        hidden = CSR.from_pairs(asked.users[row], item, data.num_users)
    items, scores = top_k(model, asked, k, hidden)
    columns = {name: data.item_columns[name] for name in show if name in data.item_columns}
    return {
        name: [Recommendation(str(data.item_ids[i]), s, {n: _plain(c[i]) for n, c in columns.items()})
               for i, s in _pairs(items[at], scores[at])]
        for at, name in enumerate(names)
    }  # fmt: skip


def _pairs(items: Tensor, scores: Tensor) -> Iterator[tuple[int, float]]:
    return ((i, s) for i, s in zip(items.tolist(), scores.tolist(), strict=True) if i >= 0)


def _all_known(data: Dataset) -> Dataset:
    """The data set with every part in train."""
    rows = data.train.union(data.valid).union(data.test)
    nothing = data.test.select(torch.zeros(0, dtype=torch.int64, device=rows.user.device))
    train = TrainInteractions(rows.user, rows.item, rows.num_users, rows.num_items, rows.time)
    return replace(data, split=Split(train, nothing, nothing))


def _rows(names: Sequence[str], ids: np.ndarray, kind: str) -> Tensor:
    """Internal ids of external ones."""
    place: Mapping[str, int] = {str(name): at for at, name in enumerate(ids.tolist())}
    for name in names:
        if name not in place:
            raise InputError(f"Unknown {kind} {name!r}. {_hint(name, place)}")
    return torch.tensor([place[name] for name in names], dtype=torch.int64)


def _hint(name: str, place: Mapping[str, int]) -> str:
    """The nearest id, and a few of all where they are many."""
    hint, _, listed = nearest(name, place).rpartition("Valid: ")
    few = listed if len(place) <= 10 else f"{', '.join(sorted(place)[:5])} and {len(place) - 5:,} more."
    return f"{hint}Valid: {few}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value

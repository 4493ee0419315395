"""Does train know what test asks for? Checks of a split, gcl's or one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from gcl.data.dataset import Dataset
from gcl.data.interactions import Interactions

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Finding:
    """What a check found; ``leak``: figures on this split would be wrong, else it is only to be known."""

    leak: bool
    text: str


def leaks(data: Dataset) -> list[Finding]:
    """What is wrong with a split, and what should be said beside figures made on it.

    Leaks: a pair that stands in two parts; under a split by date, a row of train that is not earlier than all of test;
    under a split by each user's time, a user whose later part begins before an earlier one ends. To be known: users and
    items of test without train rows; in a split that has times but was not made by them, how many users have a test row
    before their last train row; in a split by each user's time, how many train rows are later than the first test row
    of anybody.
    """
    return [*_shared(data), *_time(data), *_cold(data)]


def _shared(data: Dataset) -> Iterator[Finding]:
    for first, second in combinations(PARTS, 2):
        a, b = _part(data, first), _part(data, second)
        count = int(a.contains(b.user, b.item).sum())
        if count:
            yield Finding(True, f"{count:,} pairs stand in {first} and in {second}; remove them from one.")


def _time(data: Dataset) -> Iterator[Finding]:
    made = data.split.made
    if data.train.time is None or data.test.time is None or not len(data.test):
        return
    if made.get("kind") == "by_time":
        for first, second in combinations(PARTS, 2):
            yield from _by_date(data, first, second)
    elif made.get("kind") == "leave_one_out" or made.get("order") == "time":
        for first, second in combinations(PARTS, 2):
            early = _overtaken(_part(data, first), _part(data, second))
            if early:
                yield Finding(True, f"{early:,} users have a row of {second} before their last row of {first}.")
        later = int((data.train.time > data.test.time.min()).sum())
        if later:
            yield Finding(
                False,
                f"{later:,} of {len(data.train):,} train rows are later than the earliest test row of anybody: time "
                "is kept a user, not over all.",
            )
    else:
        early = _overtaken(data.train, data.test)
        if early:
            users = int((data.test.by_user.counts > 0).sum())
            yield Finding(
                False,
                f"{early:,} of {users:,} users have a test row before their last train row: the split is not one by "
                "time.",
            )


def _by_date(data: Dataset, first: str, second: str) -> Iterator[Finding]:
    a, b = _part(data, first), _part(data, second)
    if a.time is None or b.time is None or not len(a) or not len(b):
        return
    late = int((a.time >= b.time.min()).sum())
    if late:
        yield Finding(True, f"{late:,} rows of {first} are not earlier than {second}, which is split off by date.")


def _overtaken(first: Interactions, second: Interactions) -> int:
    """Users who have a row of ``second`` before their last row of ``first``."""
    if first.time is None or second.time is None or not len(second):
        return 0
    has = (first.by_user.counts > 0) & (second.by_user.counts > 0)
    return int((_extreme(second, "amin") < _extreme(first, "amax"))[has].sum())


def _extreme(part: Interactions, which: str) -> Tensor:
    """Earliest or latest time [num_users] of every user's rows, 0 for users without rows."""
    assert part.time is not None
    none = torch.zeros(part.num_users, dtype=part.time.dtype, device=part.time.device)
    return none.scatter_reduce(0, part.user, part.time, which, include_self=False)


def _cold(data: Dataset) -> Iterator[Finding]:
    for kind, known, asked in (
        ("users", data.train.by_user.counts, data.test.by_user.counts),
        ("items", data.train.by_item.counts, data.test.by_item.counts),
    ):
        count = int(((asked > 0) & (known == 0)).sum())
        if count:
            yield Finding(False, f"{count:,} of {int((asked > 0).sum()):,} {kind} of test have no train row.")


def _part(data: Dataset, name: str) -> Interactions:
    found: Interactions = getattr(data.split, name)
    return found

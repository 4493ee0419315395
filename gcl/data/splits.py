"""Five ways to divide interactions into train, valid and test."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import torch
from torch import Tensor

from gcl.data.interactions import Interactions, TrainInteractions
from gcl.data.split import ASIDE, Split
from gcl.errors import InputError

log = logging.getLogger("gcl.data")
Order = Literal["random", "time"]
SET_ASIDE = (0.9, 0.1)
"""Shares of train and valid where a published split has no valid part."""


def ratio(
    interactions: Interactions,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    order: Order = "random",
    seed: int = 0,
) -> Split:
    """Divide the rows of every user by ``ratios`` (normalised), in random order or by time, earliest to train.

    Of a user's n rows valid and test take n * ratio each, rounded to the nearest whole number (a half to the even
    one), and train the rest. A part whose share is less than one row gets one, test before valid, while train keeps
    more than one, as in RecBole (Zhao et al., 2021). 8:1:1 of MovieLens-100k is 80,024, 9,988 and 9,988 rows.

    Raises:
        InputError: ratios that are no shares, ``order="time"`` without time, a part that ends up empty.
    """
    total = sum(ratios)
    if len(ratios) != 3 or min(ratios) < 0 or not ratios[0] > 0 or total == float("inf"):
        raise InputError(f"ratios must be three shares for train > 0, valid and test >= 0, got {list(ratios)}.")
    if order not in ("random", "time"):
        raise InputError(f"order must be 'random' or 'time', got {order!r}.")
    if order == "time":
        rank = _rank(interactions.user, _by_time(interactions, "order='time'"))
    else:
        rank = _rank(interactions.user, _shuffled(len(interactions), seed))
    count = torch.bincount(interactions.user, minlength=interactions.num_users)
    sizes = _sizes(count, [share / total for share in ratios])[:, interactions.user]
    part = (rank >= sizes[0]).long() + (rank >= sizes[0] + sizes[1]).long()
    made = {"kind": "ratio", "ratios": [float(r) for r in ratios], "order": order}
    wanted = {name for name, share in zip(("train", "valid", "test"), ratios, strict=True) if share > 0}
    return _parts(interactions, part, made | ({"seed": seed} if order == "random" else {}), wanted)


def leave_one_out(interactions: Interactions) -> Split:
    """The last row of every user to test, the one before to valid; users with fewer than 3 rows stay in train.

    Raises:
        InputError: interactions without time, or no user with 3 rows.
    """
    rank = _rank(interactions.user, _by_time(interactions, "split='leave_one_out'"))
    count = torch.bincount(interactions.user, minlength=interactions.num_users)
    short = int(((count > 0) & (count < 3)).sum())
    if short:
        log.info("leave_one_out: %d users with fewer than 3 items stay in train only", short)
    left = torch.where(count[interactions.user] < 3, 3, count[interactions.user] - rank)
    return _parts(interactions, (3 - left).clamp(min=0), {"kind": "leave_one_out"}, {"train", "valid", "test"})


def by_time(interactions: Interactions, valid_from: float | str, test_from: float | str) -> Split:
    """Rows before ``valid_from`` to train, from ``test_from`` on to test, those between to valid.

    Either is a number in the unit of the time column, or a date such as ``2014-01-31`` or ``2014-01-31T12:00``, read
    as UTC where it names no zone and compared in seconds since 1970.

    Raises:
        InputError: no time, a date that cannot be read, dates out of order, a part that ends up empty.
    """
    _by_time(interactions, "split='by_time'")
    assert interactions.time is not None
    first, second = _moment(valid_from, "valid_from"), _moment(test_from, "test_from")
    if first > second:
        raise InputError(f"valid_from must not be later than test_from, got {valid_from} and {test_from}.")
    part = (interactions.time >= first).long() + (interactions.time >= second).long()
    made = {"kind": "by_time", "valid_from": valid_from, "test_from": test_from}
    reach = f"times run from {interactions.time.min().item():g} to {interactions.time.max().item():g}"
    wanted = {"train", "valid", "test"} if first < second else {"train", "test"}
    return _parts(interactions, part, made, wanted, f"; {reach}, a date counts as seconds since 1970")


def cold_items(
    interactions: Interactions, ratios: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Divide the *items* by ``ratios`` (normalised): every row of an item stands in one part.

    Items of valid and of test have no train row: the cold-start protocol (Volkovs et al., DropoutNet, NeurIPS 2017).
    Of n items with rows valid and test take n * ratio each, rounded. Rank with ``evaluate.candidates=cold``, among the
    items without train rows; in full ranking they stand beside all others.

    Raises:
        InputError: ratios that are no shares, a part that ends up empty.
    """
    if len(ratios) != 3 or min(ratios) < 0 or not ratios[0] > 0 or sum(ratios) == float("inf"):
        raise InputError(f"ratios must be three shares for train > 0, valid and test >= 0, got {list(ratios)}.")
    items = torch.unique(interactions.item)
    order = items[_shuffled(len(items), seed)]
    ends = [round(len(items) * sum(ratios[: part + 1]) / sum(ratios)) for part in range(2)]
    place = torch.zeros(interactions.num_items, dtype=torch.int64)
    place[order[ends[0] :]], place[order[ends[1] :]] = 1, 2
    made = {"kind": "cold_items", "ratios": [float(r) for r in ratios], "seed": seed}
    wanted = {name for name, share in zip(("train", "valid", "test"), ratios, strict=True) if share > 0}
    return _parts(interactions, place[interactions.item], made, wanted)


def given(train: Interactions, valid: Interactions | None, test: Interactions, seed: int = 0) -> Split:
    """A split made elsewhere. Without a valid part, 10 % of every user's train rows are set aside, drawn with ``seed``.

    Raises:
        InputError: no train rows, or pairs that stand in two parts.
    """
    if not len(train):
        raise InputError("The given split has no train rows.")
    made: dict[str, Any] = {"kind": "given"}
    if valid is None:
        count = torch.bincount(train.user, minlength=train.num_users)
        sizes = _sizes(count, list(SET_ASIDE))
        aside = _rank(train.user, _shuffled(len(train), seed)) >= sizes[0][train.user]
        train, valid = train.select(~aside), train.select(aside)
        made |= {"valid": ASIDE, "seed": seed}
        log.info("the split has no valid part: %d of %d train rows set aside", len(valid), len(valid) + len(train))
    try:
        return Split(_as_train(train), valid, test, made)
    except ValueError as error:
        raise InputError(f"The given split cannot be used: {error}") from error


def _as_train(rows: Interactions) -> TrainInteractions:
    return TrainInteractions(rows.user, rows.item, rows.num_users, rows.num_items, rows.time, rows.value)


def _parts(rows: Interactions, part: Tensor, made: dict[str, Any], wanted: set[str], hint: str = "") -> Split:
    """Rows by part number; a wanted part without rows is an error."""
    pieces = [rows.select(part == number) for number in range(3)]
    for name, piece in zip(("train", "valid", "test"), pieces, strict=True):
        if name in wanted and not len(piece):
            raise InputError(f"The split {made['kind']} leaves no row for {name} of {len(rows)}{hint}.")
    return Split(_as_train(pieces[0]), pieces[1], pieces[2], made)


def _sizes(count: Tensor, shares: Sequence[float]) -> Tensor:
    """[parts, users] how many of ``count`` [users] rows each part takes; ``shares`` sum to 1."""
    exact = torch.stack([count.double() * share for share in shares])
    sizes = torch.where(exact < 1, 0.0, exact.round()).long()
    sizes[0] = count - sizes[1:].sum(0)
    for part in range(len(shares) - 1, 0, -1):
        change = ((sizes[0] > 1) & (exact[part] > 0) & (exact[part] < 1)).long()
        change -= torch.minimum((1 - sizes[0]).clamp(min=0), sizes[part])
        sizes[part] += change
        sizes[0] -= change
    return sizes


def _rank(user: Tensor, order: Tensor) -> Tensor:
    """Position [N] of every row among the rows of its user when rows are taken in ``order`` [N]."""
    grouped, place = torch.sort(user[order], stable=True)
    count = torch.bincount(user)
    start = torch.cumsum(count, 0) - count
    rank = torch.empty_like(order)
    rank[order[place]] = torch.arange(len(user)) - start[grouped]
    return rank


def _shuffled(size: int, seed: int) -> Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))


def _by_time(interactions: Interactions, who: str) -> Tensor:
    if interactions.time is None:
        raise InputError(
            f"{who} needs time, but the interactions have none; name a time column, or say ordered=true where rows "
            "stand in time order."
        )
    return torch.argsort(interactions.time, stable=True)


def _moment(value: float | str, name: str) -> float:
    if not isinstance(value, str):
        return float(value)
    try:
        date = datetime.fromisoformat(value)
    except ValueError as error:
        raise InputError(f"{name} must be a number or a date such as 2014-01-31, got {value!r}.") from error
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

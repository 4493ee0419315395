"""From the raw rows of a source to a data set: filters, dense ids, split."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from gcl.data import splits
from gcl.data.dataset import Dataset
from gcl.data.filters import at_least, k_core
from gcl.data.ids import encode
from gcl.data.interactions import Interactions
from gcl.data.modalities import collect
from gcl.data.side import align
from gcl.data.split import Split
from gcl.data.table import PARTS, Source, Table
from gcl.errors import InputError, nearest

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")
SplitKind = Literal["ratio", "leave_one_out", "by_time", "cold_items", "given"]
KINDS = ("ratio", "leave_one_out", "by_time", "cold_items", "given")


@dataclass(frozen=True)
class Plan:
    """What is done with the rows of a source, in this order.

    Rows below ``min_value`` go; equal pairs are kept once; users with fewer than ``min_user`` and items with fewer than
    ``min_item`` rows go, until none is left. ``ordered``: None takes time where the source has it, False forgets it,
    True takes the position of a row as its time where there is no time column. ``split``: None is ``given`` where the
    source has parts, else ``ratio``; what the other arguments mean is said by the makers in ``gcl.data.splits``.
    ``modalities``: as :func:`gcl.data.with_modalities` takes them, beside those of the source. ``items``: a table of
    items (:func:`gcl.data.read_items`) in place of the source's. ``unseen``: items of the table that the source has no
    row of are in the data set, without rows; those that lost theirs above are not.
    """

    min_value: float | None = None
    min_user: int | None = None
    min_item: int | None = None
    split: SplitKind | None = None
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    order: splits.Order = "random"
    seed: int = 0
    ordered: bool | None = None
    valid_from: float | str | None = None
    test_from: float | str | None = None
    modalities: Mapping[str, Any] = field(default_factory=dict)
    items: "pl.DataFrame | None" = None
    unseen: bool = False

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in KINDS:
            raise InputError(f"split {self.split!r} is unknown. {nearest(self.split, KINDS)}")
        for name in ("min_user", "min_item"):
            least = getattr(self, name)
            if least is not None and least < 0:
                raise InputError(f"{name} must be 0 or more, got {least}.")
        dates = (self.valid_from is not None, self.test_from is not None)
        if dates != ((self.split == "by_time"),) * 2:
            raise InputError(
                f"split='by_time' and its valid_from and test_from go together, got split={self.split!r}, "
                f"valid_from={self.valid_from!r}, test_from={self.test_from!r}."
            )


def prepare(source: Source, plan: Plan, name: str, card: Mapping[str, Any] | None = None) -> Dataset:
    """The data set that ``plan`` makes of ``source``.

    Raises:
        InputError: a source without rows, columns that cannot be read, a filter that removes all, fewer than two users
            or items, a split that cannot be made.
    """
    items = source.items if plan.items is None else plan.items
    if plan.unseen and items is None:
        raise InputError(f"unseen=True needs a table of items, and {source.origin} has none; name one with items=...")
    table = Table.of(source)
    known = table.item_ids
    if plan.items is not None and not set(_ids(plan.items)) & set(known.tolist()):
        raise InputError(
            f"items: none of the ids of the table is an item's; it has ids such as {_ids(plan.items)[:1]}, "
            f"{source.origin} items such as {str(known[0])!r}."
        )
    if plan.split not in (None, "given"):
        table = replace(table, part=None)
    if plan.min_value is not None:
        table = at_least(table, plan.min_value)
    table = table.distinct()
    if plan.min_user or plan.min_item:
        table = k_core(table, plan.min_user or 0, plan.min_item or 0)
    for kind, ids in (("user", table.user_ids), ("item", table.item_ids)):
        if len(ids) < 2:
            raise InputError(f"{source.origin} has one {kind} only, {str(ids[0])!r}; at least two are needed.")
    if plan.unseen and items is not None:
        table, known = _with_unseen(table, known, items)
    split = _split(table, plan, source.origin)
    _report(split)
    columns = {} if items is None else align(items, table.item_ids, "item")
    return Dataset(
        name=name,
        split=split,
        user_ids=table.user_ids,
        item_ids=table.item_ids,
        item_columns=columns,
        user_columns={} if source.users is None else align(source.users, table.user_ids, "user"),
        modalities=collect(source.features, plan.modalities, table.item_ids, known, columns),
        card=card or {},
    )


def _ids(items: "pl.DataFrame") -> list[str]:
    """The ids of a table of items as text."""
    import polars as pl

    return items["id"].cast(pl.String).to_list()


def _with_unseen(table: Table, known: np.ndarray, items: "pl.DataFrame") -> tuple[Table, np.ndarray]:
    """The table with the items that are not ``known``, and those that are known then, in the order of ids."""
    import polars as pl

    new = np.setdiff1d(np.array(_ids(items)), known)
    codes, ids = encode(pl.Series(np.concatenate([table.item_ids, new])), "items")
    log.info("%d items of the table of items have no row", len(new))
    return replace(table, item=codes[table.item], item_ids=ids), np.concatenate([known, new])


def _split(table: Table, plan: Plan, origin: str) -> Split:
    rows = _interactions(table, plan)
    kind = plan.split or ("ratio" if table.part is None else "given")
    if kind == "ratio":
        return splits.ratio(rows, plan.ratios, plan.order, plan.seed)
    if kind == "cold_items":
        return splits.cold_items(rows, plan.ratios, plan.seed)
    if kind == "leave_one_out":
        return splits.leave_one_out(rows)
    if kind == "by_time":
        assert plan.valid_from is not None and plan.test_from is not None
        return splits.by_time(rows, plan.valid_from, plan.test_from)
    if table.part is None:
        raise InputError(f"split='given' needs parts, but {origin} has none; choose another split.")
    part = torch.from_numpy(table.part)
    train, valid, test = (rows.select(part == number) for number in range(len(PARTS)))
    return splits.given(train, valid if len(valid) else None, test, plan.seed)


def _interactions(table: Table, plan: Plan) -> Interactions:
    time = table.time
    if plan.ordered is False:
        time = None
    elif plan.ordered and time is None:
        time = np.arange(len(table))
    return Interactions(
        torch.from_numpy(table.user),
        torch.from_numpy(table.item),
        len(table.user_ids),
        len(table.item_ids),
        None if time is None else torch.from_numpy(time),
        None if table.value is None else torch.from_numpy(table.value).float(),
    )


def _report(split: Split) -> None:
    """Log the sizes, and how many users and items have no train row."""
    sizes = ", ".join(f"{name} {len(getattr(split, name)):,}" for name in PARTS)
    train = split.train
    log.info("%s split: %s; %d users, %d items", split.made["kind"], sizes, train.num_users, train.num_items)
    users = int((torch.bincount(train.user, minlength=train.num_users) == 0).sum())
    items = int((torch.bincount(train.item, minlength=train.num_items) == 0).sum())
    if users or items:
        log.warning("%d users and %d items have no train row", users, items)

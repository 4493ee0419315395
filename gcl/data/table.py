"""What every source gives (Source), and the same with dense ids (Table)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from gcl.data.ids import encode, numbers
from gcl.data.text import Columns
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")
PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Source:
    """Raw rows and what is known of items and users, as one source gives them.

    ``rows``: columns ``user``, ``item`` (external ids) and, where known, ``time``, ``value``, ``part`` (0 train,
    1 valid, 2 test). ``items``, ``users``: a frame with a column ``id`` each. ``features``: modality name -> its
    file, or columns to be encoded. ``origin`` names the source in messages.
    """

    rows: "pl.DataFrame"
    origin: str
    items: "pl.DataFrame | None" = None
    users: "pl.DataFrame | None" = None
    features: Mapping[str, Path | Columns] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Table:
    """N rows with dense ids: ``user``, ``item`` [N] int64; ``time``, ``value``, ``part`` [N] or None; ids as text."""

    user: np.ndarray
    item: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    time: np.ndarray | None = None
    value: np.ndarray | None = None
    part: np.ndarray | None = None

    @classmethod
    def of(cls, source: Source) -> Self:
        """The rows of a source, ids made dense over all parts together.

        Raises:
            InputError: no rows, a missing id, a time or value that is no number, an unknown part.
        """
        rows, where = source.rows, source.origin
        if not len(rows):
            raise InputError(f"{where} has no interactions: it is empty, or holds a header alone.")
        user, user_ids = encode(rows["user"], f"{where}: the user")
        item, item_ids = encode(rows["item"], f"{where}: the item")
        optional: dict[str, Any] = {
            name: numbers(rows[name], f"{where}: the {name}")
            for name in ("time", "value", "part")
            if name in rows.columns
        }
        if "part" in optional and not np.isin(optional["part"], (0, 1, 2)).all():
            row = int((~np.isin(optional["part"], (0, 1, 2))).argmax())
            raise InputError(
                f"{where}: x_label must be 0 (train), 1 (valid) or 2 (test), but row {row + 1} has "
                f"{optional['part'][row]}."
            )
        return cls(user, item, user_ids, item_ids, **optional)

    def __len__(self) -> int:
        return len(self.user)

    def describe(self) -> str:
        """``100,000 rows, 943 users, 1,682 items``, counting those with rows."""
        users, items = (np.count_nonzero(np.bincount(ids)) for ids in (self.user, self.item))
        return f"{len(self):,} rows, {users:,} users, {items:,} items"

    def select(self, rows: np.ndarray) -> Self:
        """The rows of a mask; ids that lose all rows go, the others stay in order and are dense again."""
        optional = {
            name: None if column is None else column[rows]
            for name, column in (("time", self.time), ("value", self.value), ("part", self.part))
        }
        user, user_ids = _dense(self.user[rows], self.user_ids)
        item, item_ids = _dense(self.item[rows], self.item_ids)
        return replace(self, user=user, item=item, user_ids=user_ids, item_ids=item_ids, **optional)

    def distinct(self) -> Self:
        """The first of equal pairs (in one part, where there are parts); how many went is logged."""
        key = self.user * len(self.item_ids) + self.item
        if self.part is not None:
            key = key * len(PARTS) + self.part
        ordered, place = torch.sort(torch.from_numpy(key), stable=True)
        first = torch.ones(len(self), dtype=torch.bool)
        first[place[1:]] = ordered[1:] != ordered[:-1]
        repeated = len(self) - int(first.sum())
        if not repeated:
            return self
        log.warning("dropped %d duplicate rows of %d: the first of equal pairs is kept", repeated, len(self))
        return self.select(first.numpy())


def _dense(codes: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = np.bincount(codes, minlength=len(ids)) > 0
    if used.all():
        return codes, ids
    return (np.cumsum(used) - 1)[codes], ids[used]

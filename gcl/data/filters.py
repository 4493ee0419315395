"""Which rows count: a least value, and a least number of rows a user and an item."""

import logging

import numpy as np

from gcl.data.table import Table
from gcl.errors import InputError

log = logging.getLogger("gcl.data")


def at_least(table: Table, min_value: float) -> Table:
    """Rows whose value is ``min_value`` or more. The others are no positives: they may be drawn as negatives.

    Raises:
        InputError: the table has no values, or nothing remains.
    """
    if table.value is None:
        raise InputError(f"min_value={min_value:g} needs a value for every row, but this data set has no value column.")
    kept = _apply(table, table.value >= min_value, f"min_value={min_value:g}")
    log.info("min_value=%g: pairs below it are not positives and may be drawn as negatives", min_value)
    return kept


def k_core(table: Table, min_user: int = 0, min_item: int = 0) -> Table:
    """The largest part in which every user has ``min_user`` rows and every item ``min_item``: repeated until stable.

    Raises:
        InputError: nothing remains.
    """
    users, items = len(table.user_ids), len(table.item_ids)
    keep = np.ones(len(table), dtype=bool)
    while True:
        few = np.bincount(table.user[keep], minlength=users) < min_user
        rare = np.bincount(table.item[keep], minlength=items) < min_item
        left = keep & ~few[table.user] & ~rare[table.item]
        if left.sum() == keep.sum():
            return _apply(table, keep, f"min_user={min_user}, min_item={min_item}")
        keep = left


def _apply(table: Table, keep: np.ndarray, name: str) -> Table:
    if not keep.any():
        raise InputError(f"{name} removed the last row of {table.describe()}; lower it.")
    kept = table.select(keep)
    log.info("%s: %s -> %s", name, table.describe(), kept.describe())
    return kept

"""Data sets from what is in memory: arrays, data frames, a sparse matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcl.data.dataset import Dataset
from gcl.data.names import pick
from gcl.data.plan import Plan, prepare
from gcl.data.table import Source
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def from_arrays(
    user: Sequence[Any] | np.ndarray,
    item: Sequence[Any] | np.ndarray,
    time: Sequence[Any] | np.ndarray | None = None,
    value: Sequence[Any] | np.ndarray | None = None,
    *,
    plan: Plan = Plan(),
    name: str = "arrays",
) -> Dataset:
    """A data set from columns of equal length N: ids (text or integers), and times and values (numbers) or None.

    Raises:
        InputError: columns of different lengths, and what :func:`gcl.data.plan.prepare` refuses.
    """
    import polars as pl

    columns = {"user": user, "item": item, "time": time, "value": value}
    lengths = {what: len(column) for what, column in columns.items() if column is not None}
    if len(set(lengths.values())) > 1:
        raise InputError(f"Columns must have one entry a row, got lengths {lengths}.")
    found = [series(what, column) for what, column in columns.items() if column is not None]
    return prepare(Source(pl.DataFrame(found), name), plan, name)


def from_dataframe(
    frame: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    value: str | None = None,
    plan: Plan = Plan(),
    name: str = "dataframe",
) -> Dataset:
    """A data set from a frame of pandas, polars or anything else with ``columns`` and ``frame[name]``.

    Columns that are not named are looked for under their common names (``user_id``, ``item``, ``timestamp`` ...).

    Raises:
        InputError: a column that the frame lacks, and what :func:`gcl.data.plan.prepare` refuses.
    """
    import polars as pl

    present = [str(column) for column in frame.columns]
    chosen = pick(present, {"user": user, "item": item, "time": time, "value": value}, name)
    found = [series(what, frame[column]) for what, column in chosen.items()]
    return prepare(Source(pl.DataFrame(found), name), plan, name)


def from_scipy(
    matrix: Any,
    *,
    user_ids: Sequence[Any] | np.ndarray | None = None,
    item_ids: Sequence[Any] | np.ndarray | None = None,
    plan: Plan = Plan(),
    name: str = "matrix",
) -> Dataset:
    """A data set from a sparse matrix [users, items]: every stored entry that is not 0 is a row, its value the value.

    Ids are row and column numbers where none are given. Rows and columns without entries are not part of the data set.

    Raises:
        InputError: ids of another length than the matrix, and what :func:`gcl.data.plan.prepare` refuses.
    """
    entries = matrix.tocoo()
    kept = entries.data != 0
    found: list[np.ndarray] = []
    axes = (("user_ids", user_ids, entries.row), ("item_ids", item_ids, entries.col))
    for size, (what, ids, codes) in zip(matrix.shape, axes, strict=True):
        if ids is not None and len(ids) != size:
            raise InputError(f"{what} must have {size} entries as the matrix has, got {len(ids)}.")
        found.append(codes[kept] if ids is None else np.asarray(ids)[codes[kept]])
    values = entries.data[kept].astype(np.float64)
    return from_arrays(found[0], found[1], value=values, plan=plan, name=name)


def series(name: str, column: Any) -> "pl.Series":
    """A column of anything with entries, as polars has it."""
    import polars as pl

    if isinstance(column, pl.Series):
        return column.rename(name)
    values = np.asarray(column)
    if values.ndim != 1:
        raise InputError(f"{name} must be one column, got shape {values.shape}.")
    if values.dtype != object:
        return pl.Series(name, values)
    return pl.Series(name, [_plain(entry) for entry in values.tolist()], strict=False)


def _plain(entry: Any) -> Any:
    """An entry of a mixed column: numbers stay, missing is None, the rest is text."""
    if entry is None or entry != entry or type(entry).__name__ == "NAType":
        return None
    return entry if isinstance(entry, (int, float)) else str(entry)

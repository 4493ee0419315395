"""Columns as they are read: external ids to dense ones, text to numbers."""

from typing import TYPE_CHECKING

import numpy as np

from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def encode(ids: "pl.Series", what: str) -> tuple[np.ndarray, np.ndarray]:
    """Dense codes [N] int64 of ids [N], and the ids [n] as text, each at its code's position.

    Ids are sorted as numbers when all of them are integers, else as text by code point. ``007`` and ``7`` are two ids.

    Raises:
        InputError: a row without an id; ``what`` names the column.
    """
    import polars as pl

    whole = ids.cast(pl.Int64, strict=False) if ids.dtype.is_float() else ids
    text = (whole if (whole == ids).all() else ids).cast(pl.String)
    names = text.unique()
    if names.is_null().any() or (names.str.strip_chars() == "").any():
        row = _first((text.is_null() | (text.str.strip_chars() == "")).to_numpy())
        raise InputError(f"{what} must be given in every row, but row {row} has none; remove or mend the row.")
    found = pl.DataFrame({"name": names, "number": names.cast(pl.Int64, strict=False)})
    names = found.sort(["name"] if found["number"].null_count() else ["number", "name"])["name"]
    codes = text.replace_strict(names, pl.int_range(len(names), dtype=pl.Int64, eager=True), return_dtype=pl.Int64)
    return codes.to_numpy(writable=True), names.to_numpy().astype(str)


def numbers(column: "pl.Series", what: str) -> np.ndarray:
    """The column [N] as int64 where all entries are whole, else as float64; dates become seconds since 1970 (UTC).

    Raises:
        InputError: an entry that is no number, or is missing or infinite, with its row.
    """
    import polars as pl

    if column.dtype in (pl.Date, pl.Datetime):
        column = column.cast(pl.Datetime("us")).dt.timestamp("us") / 1e6
    found = column.str.strip_chars() if column.dtype == pl.String else column
    exact = found.cast(pl.Int64, strict=False) if not column.dtype.is_float() else found
    if exact.dtype == pl.Int64 and not exact.null_count():
        return exact.to_numpy(writable=True)
    values = found.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy(writable=True)
    bad = ~np.isfinite(values)
    if bad.any():
        row = _first(bad)
        raise InputError(f"{what} must be a number in every row, but row {row} has {column[row - 1]!r}.")
    return values.astype(np.int64) if (values == np.trunc(values)).all() and abs(values).max() < 2**53 else values


def _first(mask: np.ndarray) -> int:
    """The first true row, counted from 1."""
    return int(mask.argmax()) + 1

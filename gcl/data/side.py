"""What is known of items and users: columns of text, numbers or lists, aligned with the ids of a data set."""

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")


def align(frame: "pl.DataFrame", ids: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    """One array a column of ``frame`` but ``id``, with the row of each of ``ids`` [n] at its position.

    Text columns become text arrays, numbers float64 (int64 where all rows have a whole one), lists object arrays of
    lists. An id without a row gets empty text, NaN or an empty list; how many, and how many rows fit no id, is logged.
    """
    import polars as pl

    known = frame.with_columns(pl.col("id").cast(pl.String)).unique("id", keep="first", maintain_order=True)
    wanted = pl.DataFrame({"id": pl.Series(ids.tolist(), dtype=pl.String)}).with_row_index("#")
    joined = wanted.join(known.with_columns(pl.lit(True).alias("")), on="id", how="left").sort("#")
    found = int(joined[""].fill_null(False).sum())
    if found < len(wanted) or found < len(known):
        log.info(
            "%d of %d %ss have no row of columns; %d rows of columns belong to no %s",
            len(wanted) - found, len(wanted), kind, len(known) - found, kind,
        )  # fmt: skip
    return {name: _array(joined[name]) for name in frame.columns if name != "id"}


def _array(column: "pl.Series") -> np.ndarray:
    import polars as pl

    if isinstance(column.dtype, pl.List):
        values = np.empty(len(column), dtype=object)
        for place, row in enumerate(column.to_list()):
            values[place] = row or []
        return values
    if column.dtype == pl.String:
        return column.fill_null("").to_numpy().astype(str)
    if column.dtype.is_integer() and not column.null_count():
        return column.cast(pl.Int64).to_numpy()
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()

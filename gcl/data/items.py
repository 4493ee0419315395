"""A table of items: what is known of them, and which of them nobody has used yet."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcl.data.atomic import read_side
from gcl.data.files import head, read_table
from gcl.data.memory import series
from gcl.data.names import find, separator_of
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def read_items(given: Any) -> "pl.DataFrame":
    """A frame with a column ``id`` and the other columns of a file, or of a frame of pandas, polars or the like.

    The id is the column ``id``, else the one with a common name of items (``item_id``, ``sku`` ...), else the first. A
    ``.item`` file says the types of its columns; any other file is delimited, with a header, and a column whose entries
    are all numbers holds numbers.

    Raises:
        InputError: no such file, an unreadable one, columns of one name or of none, an item without an id.
    """
    import polars as pl

    if not isinstance(given, (str, Path)):
        where, frame = "items", pl.DataFrame([series(str(name), given[name]) for name in given.columns])
    elif not Path(given).is_file():
        raise InputError(f"items: there is no file {given}; name a table of items with a header.")
    else:
        path = Path(given)
        where, frame = str(path), read_side(path, "items", {}) if path.suffix == ".item" else _delimited(path)
    chosen = "id" if "id" in frame.columns else find(frame.columns, "item") or frame.columns[0]
    ids = frame[chosen].cast(pl.String)
    if ids.is_null().any() or (ids.str.strip_chars() == "").any():
        raise InputError(f"{where}: the column {chosen!r} must name the item in every row; remove or mend the others.")
    typed = [_numbers(c) if c.name != chosen and isinstance(given, (str, Path)) else c for c in frame]
    return pl.DataFrame(typed).rename({chosen: "id"}).with_columns(ids.alias("id"))


def _delimited(path: Path) -> "pl.DataFrame":
    """All columns of a file as text."""
    lines = head(path)
    mark = separator_of(lines) or ","
    quote = '"' if mark in (",", ";") else None
    fields = next(csv.reader(lines[:1], delimiter=mark, skipinitialspace=True)) if quote else lines[0].split(mark)
    names = [field.strip() for field in fields]
    if len(set(names)) < len(names) or "" in names:
        raise InputError(f"{path}: every column must have a name of its own in the header, got {names}.")
    return read_table(path, mark, True, quote, dict(enumerate(names)), len(names))


def _numbers(column: "pl.Series") -> "pl.Series":
    """A column of text as numbers, where all that is there is one."""
    import polars as pl

    if column.dtype != pl.String:
        return column
    for kind in (pl.Int64, pl.Float64):
        found = column.cast(kind, strict=False)
        if found.null_count() == column.null_count() < len(column):
            return found
    return column

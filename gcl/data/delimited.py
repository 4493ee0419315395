"""Delimited files: one interaction a line, in columns."""

import csv
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gcl.data.dataset import Dataset
from gcl.data.files import Files, head, origin, read_parts, read_table
from gcl.data.names import pick, separator_of
from gcl.data.plan import Plan, prepare
from gcl.data.table import Source
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")


def from_csv(
    files: Files,
    *,
    user: str | int | None = None,
    item: str | int | None = None,
    time: str | int | None = None,
    value: str | int | None = None,
    separator: str | None = None,
    plan: Plan = Plan(),
    name: str | None = None,
) -> Dataset:
    """A data set from a delimited file, or from one a part (``{"train": ..., "valid": ..., "test": ...}``).

    Columns that are not named are looked for under their common names (``user_id``, ``item``, ``timestamp`` ...). A
    file whose first line holds numbers alone has no header: its columns are called 1, 2 ..., and are user, item, value
    and time where none is named. ``separator`` None: found in the first lines, and logged.

    Raises:
        InputError: a file that cannot be read, a separator that does not separate, a column that is not there, and what
            :func:`gcl.data.plan.prepare` refuses.
    """
    named = {"user": user, "item": item, "time": time, "value": value}
    source = read_csv(files, {r: None if c is None else str(c) for r, c in named.items()}, separator)
    return prepare(source, plan, name or Path(origin(files)).stem)


def read_csv(files: Files, named: dict[str, str | None], separator: str | None) -> Source:
    """The raw rows of :func:`from_csv`."""
    return Source(read_parts(files, lambda path: _read(path, named, separator)), origin(files))


def _read(path: Path, named: dict[str, str | None], separator: str | None) -> "pl.DataFrame":
    lines = head(path)
    mark = _separator(path, lines, separator)
    quote = '"' if mark in (",", ";") else None
    fields = next(csv.reader(lines[:1], delimiter=mark, skipinitialspace=True)) if quote else lines[0].split(mark)
    first = [field.strip() for field in fields]
    numbered = [str(number + 1) for number in range(len(first))]
    wanted = [column for column in named.values() if column is not None]
    header = not all(_is_number(field) for field in first) and (
        not wanted or any(column in first or column not in numbered for column in wanted)
    )
    present = first if header else numbered
    if not header and not wanted:
        named = {**named, **dict(zip(("user", "item", "value", "time"), present, strict=False))}
        log.info("%s: no header; user, item, value, time are columns 1 to %d", path, min(4, len(present)))
    chosen = pick(present, named, str(path))
    places = {present.index(column): role for role, column in chosen.items()}
    return read_table(path, mark, header, quote, places, len(present))


def _separator(path: Path, lines: list[str], wanted: str | None) -> str:
    found = separator_of(lines)
    if wanted is None and found is None:
        raise InputError(f"{path}: no separator was found in its first line, {lines[0][:80]!r}; give separator=...")
    mark = wanted or found
    assert mark is not None
    if mark not in lines[0]:
        looks = f" It looks separated by {found!r}." if found else ""
        raise InputError(f"{path}: its first line, {lines[0][:80]!r}, is not separated by {mark!r}.{looks}")
    if wanted is None:
        log.info("%s: separated by %r", path, mark)
    return mark


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True

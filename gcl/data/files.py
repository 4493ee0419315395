"""Reading files: what they begin with, tables, and one reader over the parts of a split."""

import csv
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gcl.data.table import PARTS
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")
Files = Path | str | Mapping[str, Path | str]
"""One file, or a file for each of train, valid, test."""


def head(path: Path, lines: int = 50) -> list[str]:
    """The first lines of a text file that are not blank, without their ends.

    Raises:
        InputError: no such file, an empty one, or one that is not UTF-8.
    """
    with _text(path) as file:
        found = list(islice((line.rstrip("\r\n") for line in file if line.strip()), lines))
    if not found:
        raise InputError(f"{path} is empty.")
    return found


def read_table(
    path: Path, separator: str, header: bool, quote: str | None, columns: Mapping[int, str], width: int
) -> "pl.DataFrame":
    """Columns of a delimited file as text, by position from 0 of ``width``, under new names; blank lines are skipped.

    ``header``: the first line that is not blank is none of the rows. A row that ends early has no value in its last
    columns.

    Raises:
        InputError: a row of more than ``width`` fields, a first row of fewer, a quotation mark that is not closed, or
            text that is not UTF-8.
    """
    import polars as pl

    skip, first = _first_row(path, separator, quote, header)
    if first is None:
        return pl.DataFrame(schema=dict.fromkeys(columns.values(), pl.String))
    if len(first) < width or any(first[width:]):
        raise InputError(f"{path}: line {skip + 1} {_count(first)}, separated by {separator!r}, {_rule(width)}")
    source: Any = path
    mark = separator
    if len(separator) > 1:
        source, mark = path.read_bytes().replace(separator.encode(), b"\t"), "\t"
    places = sorted(columns)
    try:
        frame = pl.read_csv(
            source, separator=mark, has_header=False, skip_rows=skip, quote_char=quote, columns=places,
            infer_schema_length=0,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: {_fault(path, separator, quote, width)}") from error
    frame.columns = [columns[place] for place in places]
    blank = pl.all_horizontal(pl.all().str.strip_chars().fill_null("") == "")
    rows = frame.filter(~blank)
    if len(rows) < len(frame):
        log.info("%s: %d rows with nothing in %s are skipped", path, len(frame) - len(rows), ", ".join(frame.columns))
    return rows


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """A text file, open to be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; convert it (iconv -f latin1 -t utf-8).") from error


def _first_row(path: Path, separator: str, quote: str | None, header: bool) -> tuple[int, list[str] | None]:
    """How many lines stand before the first row, the header and blank ones, and the fields of that row."""
    skip, heads = 0, int(header)
    with _text(path) as file:
        for line in file:
            if line.strip() and not heads:
                return skip, next((fields for _, fields in _rows(chain([line], file), separator, quote)), None)
            heads -= bool(line.strip())
            skip += 1
    return skip, None


def _rows(lines: Iterable[str], separator: str, quote: str | None) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line, from 1, and fields of every row; ends where a quotation mark is not closed."""
    if quote is None:
        yield from ((number, line.rstrip("\r\n").split(separator)) for number, line in enumerate(lines, 1))
        return
    reader = csv.reader(lines, delimiter=separator, quotechar=quote, strict=True)
    with suppress(csv.Error):
        for fields in reader:
            yield reader.line_num, fields


def _fault(path: Path, separator: str, quote: str | None, width: int) -> str:
    """What is wrong with a table that could not be read."""
    last = 0
    with _text(path) as file:
        for last, fields in _rows(file, separator, quote):
            if any(fields[width:]):
                return f"line {last} {_count(fields)}, separated by {separator!r}, {_rule(width)}"
    return f"after line {last}, a quotation mark is not closed or stands inside a field; double it, or remove it."


def _count(fields: list[str]) -> str:
    return f"has {len(fields)} field{'s' * (len(fields) != 1)}"


def _rule(width: int) -> str:
    return f"and every line must have {width}, as the first one; mend or remove it."


def read_parts(files: Files, read: Callable[[Path], "pl.DataFrame"]) -> "pl.DataFrame":
    """``read`` over one file, or over the file of each part, one below the other, with a column ``part``.

    Raises:
        InputError: parts without train or test, or of other names.
    """
    import polars as pl

    if isinstance(files, (str, Path)):
        return read(Path(files))
    if not {"train", "test"} <= set(files) <= set(PARTS):
        raise InputError(f"A given split needs files for train and test, and may have valid; got {', '.join(files)}.")
    frames = [
        read(Path(files[name])).with_columns(pl.lit(number).alias("part"))
        for number, name in enumerate(PARTS)
        if name in files
    ]
    shared = [c for c in frames[0].columns if all(c in frame.columns for frame in frames)]
    return pl.concat([frame.select(shared) for frame in frames], how="vertical_relaxed")


def origin(files: Files) -> str:
    """The name of what is read, for messages."""
    return str(files) if isinstance(files, (str, Path)) else str(next(iter(files.values())))

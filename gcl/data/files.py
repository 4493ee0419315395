"""Reading files: what they begin with, tables, and one reader over the parts of a split."""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcl.data.table import PARTS
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl

Files = Path | str | Mapping[str, Path | str]
"""One file, or a file for each of train, valid, test."""


def head(path: Path, lines: int = 50) -> list[str]:
    """The first lines of a text file that are not blank, without their ends.

    Raises:
        InputError: no such file, an empty one, or one that is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            found = list(islice((line.rstrip("\r\n") for line in file if line.strip()), lines))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; convert it (iconv -f latin1 -t utf-8).") from error
    if not found:
        raise InputError(f"{path} is empty.")
    return found


def read_table(path: Path, separator: str, skip: int, quote: str | None, columns: Mapping[int, str]) -> "pl.DataFrame":
    """Columns of a delimited file as text, by position from 0, under new names; ``skip`` lines are the header.

    Raises:
        InputError: rows of different widths, or text that is not UTF-8.
    """
    import polars as pl

    source: Any = path
    if len(separator) > 1:
        source, separator = path.read_bytes().replace(separator.encode(), b"\t"), "\t"
    places = sorted(columns)
    try:
        frame = pl.read_csv(
            source, separator=separator, has_header=False, skip_rows=skip, quote_char=quote, columns=places,
            infer_schema_length=0, new_columns=[columns[place] for place in places],
        )  # fmt: skip
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema=dict.fromkeys(columns.values(), pl.String))
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Cannot read {path}, separated by {separator!r}: {reason}.") from error
    return frame


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

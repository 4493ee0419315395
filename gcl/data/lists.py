"""List files: ``user item item ...``, also ``user:item item ...``, one user or one pair a line."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gcl.data.dataset import Dataset
from gcl.data.files import Files, head, origin, read_parts
from gcl.data.plan import Plan, prepare
from gcl.data.table import Source
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")


def from_lists(files: Files, *, plan: Plan = Plan(), name: str | None = None) -> Dataset:
    """A data set from list files: the first word of a line is the user, the others are items.

    A user may have many lines. Where the items of a line stand in time order, say so: ``Plan(ordered=True)``; then
    those of the valid and test files come after those of train. Users without items are left out.

    Raises:
        InputError: a file that cannot be read, one without any item, and what :func:`gcl.data.plan.prepare` refuses.
    """
    return prepare(read_lists(files), plan, name or Path(origin(files)).stem)


def read_lists(files: Files) -> Source:
    """The raw rows of :func:`from_lists`."""
    return Source(read_parts(files, _read), origin(files))


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl

    head(path, 1)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; convert it (iconv -f latin1 -t utf-8).") from error
    lines = pl.Series("line", text.splitlines())
    words = lines.str.replace_all(r"[\t ]+", " ").str.strip_chars().str.replace(r"^([^ :]+):", "${1} ").str.split(" ")
    frame = pl.DataFrame({"user": words.list.first(), "item": words.list.slice(1)})
    rows = frame.explode("item").filter(pl.col("item").is_not_null() & (pl.col("item") != ""))
    alone = int(((words.list.len() == 1) & (words.list.first() != "")).sum())
    if not len(rows):
        raise InputError(f"{path} is no list file: no line has a user and an item, the first is {lines[0][:80]!r}.")
    if alone:
        log.info("%s: %d users have no item", path, alone)
    return rows

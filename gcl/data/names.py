"""Which columns are which, and what separates them."""

import logging
import re
from collections.abc import Mapping, Sequence

from gcl.errors import InputError, nearest

log = logging.getLogger("gcl.data")
COMMON = {
    "user": ("user", "userid", "uid", "customerid", "customer", "reviewerid", "visitorid", "sessionid", "account"),
    "item": (
        "item", "itemid", "iid", "sku", "productid", "product", "movieid", "asin", "parentasin", "businessid", "bookid",
        "artistid", "trackid", "songid", "articleid", "videoid",
    ),
    "time": ("time", "timestamp", "ts", "unixreviewtime", "unixtime"),
    "value": ("value", "rating", "ratings", "score", "stars", "overall", "weight", "count"),
}  # fmt: skip
SEPARATORS = ("\t", "::", ";", ",", "|", " ")


def pick(present: Sequence[str], named: Mapping[str, str | None], origin: str) -> dict[str, str]:
    """Role (user, item, time, value) -> column: as named, else under a common name; the guesses are logged.

    Raises:
        InputError: a named column that is not present, one column in two roles, or no user or item column; the message
            lists the columns.
    """
    chosen = {role: column for role, column in named.items() if column is not None}
    for role, column in chosen.items():
        if column not in present:
            raise InputError(f"{origin} has no column {column!r} for the {role}. {nearest(column, present)}")
    guessed = {}
    for role in COMMON:
        found = find([column for column in present if column not in chosen.values()], role)
        if role not in chosen and found is not None:
            guessed[role] = found
    chosen |= guessed
    for role in ("user", "item"):
        if role not in chosen:
            raise InputError(
                f"{origin}: no column is known to be the {role}; name it with {role}=... Columns: "
                f"{', '.join(repr(c) for c in present)}. In a file without header, name columns by number: {role}=1."
            )
    twice = [c for c in chosen.values() if list(chosen.values()).count(c) > 1]
    if twice:
        raise InputError(f"{origin}: column {twice[0]!r} is used twice; give every role a column of its own.")
    if guessed:
        log.info("%s: taken by name: %s", origin, ", ".join(f"{r} = {c!r}" for r, c in guessed.items()))
    return {role: chosen[role] for role in COMMON if role in chosen}


def find(present: Sequence[str], role: str) -> str | None:
    """The column with a common name of the role, capitals and marks left aside; the most common name wins."""
    folded = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(present)}
    return next((folded[name] for name in COMMON[role] if name in folded), None)


def separator_of(lines: Sequence[str]) -> str | None:
    """What stands equally often in every line: tab, ``::``, ``;``, ``,``, ``|``, blank, the first that does.

    Where none does: what stands in the first line and in the most lines. None where the first line has none.
    """
    for mark in SEPARATORS:
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return mark
    present = [mark for mark in SEPARATORS if mark in lines[0]]
    return max(present, key=lambda mark: sum(mark in line for line in lines), default=None)

"""Which format a path has, and which of its files are what."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from gcl.data.files import head
from gcl.data.mmrec import LABEL
from gcl.data.names import find
from gcl.data.table import PARTS
from gcl.errors import InputError

Format = Literal["atomic", "csv", "lists", "mmrec", "npz"]
FORMATS: tuple[str, ...] = get_args(Format)
SUFFIXES = (".txt", ".csv", ".tsv", ".dat", ".npz")


def contents(path: Path) -> Path | dict[str, Path]:
    """What a path holds: an ``.inter`` file or folder stays as it is; of other folders, the one table or its parts.

    Raises:
        InputError: there is nothing at the path, or a folder without interactions, or with several tables.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"There is no file or folder {path}.")
    if any(path.glob("*.inter")):
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    for suffix in SUFFIXES:
        parts = {name: path / f"{name}{suffix}" for name in PARTS if (path / f"{name}{suffix}").is_file()}
        if {"train", "test"} <= set(parts):
            return parts
    if len(found) != 1:
        names = ", ".join(sorted(file.name for file in path.iterdir())[:10]) or "nothing"
        raise InputError(
            f"The folder {path} must hold one .inter file, train.txt and test.txt (or .csv, .tsv, .dat, .npz), or one "
            f"table; it holds {names}. Name the file itself."
        )
    return found[0]


def detect(files: Path | Mapping[str, Path]) -> Format:
    """The format of what :func:`contents` gave, by its name and first lines.

    Raises:
        InputError: a file that cannot be read, or is empty.
    """
    first = files if isinstance(files, Path) else files["train"]
    if first.is_dir():
        first = sorted(first.glob("*.inter"))[0]
    if first.suffix == ".inter":
        return "mmrec" if LABEL in re.split("[\t:]", head(first, 1)[0]) else "atomic"
    if first.suffix == ".npz":
        return "npz"
    return "lists" if _is_lists(head(first)) else "csv"


def _is_lists(lines: list[str]) -> bool:
    """Words separated by blanks, in lines of different lengths or two words each, and no header."""
    if any(re.search("[\t,;|]|::", line) for line in lines):
        return False
    words = [re.sub("^([^ :]+):", r"\1 ", line).split() for line in lines]
    if any(find(words[0], role) for role in ("user", "item")):
        return False
    widths = {len(line) for line in words}
    return max(widths) > 1 and (len(widths) > 1 or widths == {2} or max(widths) > 4)

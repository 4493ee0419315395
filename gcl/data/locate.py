"""Where the files of a data set are: the folder of ``GCL_DATA``, an installed package, the cache."""

import os
from importlib.util import find_spec
from pathlib import Path

from gcl.data.cards import Card
from gcl.errors import InputError


def cache(name: str) -> Path:
    """The folder into which a data set is fetched: below ``GCL_CACHE``, or ``~/.cache/gcl`` where that is not set."""
    root = os.environ.get("GCL_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "gcl") / name


def places(card: Card) -> list[Path]:
    """Folders in which a data set may lie, in the order in which they are looked into."""
    root = os.environ.get("GCL_DATA")
    found = [Path(root) / card.folder] if root else []
    if card.wheel is not None:
        package, _, inner = card.wheel.partition("/")
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / inner)
    return [*found, cache(card.name)]


def present(card: Card) -> Path | None:
    """The first folder that holds all files a data set cannot be read without."""
    needed = [file.path for file in card.files.values() if not file.optional]
    return next((folder for folder in places(card) if all((folder / path).is_file() for path in needed)), None)


def locate(card: Card) -> Path:
    """The folder of a data set.

    Raises:
        InputError: it is in no place; the message says where it was looked for and what to do.
    """
    folder = present(card)
    if folder is None:
        looked = ", ".join(str(place) for place in places(card))
        raise InputError(f"The data set {card.name!r} is not on this machine; looked in {looked}. {advice(card)}")
    return folder


def advice(card: Card) -> str:
    """How to obtain a data set: by the command, where its files have addresses, or by hand."""
    fetched = all(file.url for file in card.files.values() if not file.optional)
    manual = f"By hand: {card.by_hand}" if card.by_hand else ""
    return f"Run: gcl datasets get {card.name}. {manual}".strip() if fetched else manual

"""``check``: do the files of a data set, and what is read from them, agree with its card?"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gcl.data.cards import Card, File, find
from gcl.data.dataset import Dataset
from gcl.data.load import load
from gcl.data.locate import locate
from gcl.data.networks import network_counts

Status = Literal["ok", "changed", "reordered", "unknown", "missing"]


@dataclass(frozen=True)
class Report:
    """What :func:`check` found.

    ``files``: path -> ``ok``; ``changed``, another checksum than on the card; ``reordered``, the same where the card
    expects it of a download; ``unknown``, the card has no checksum; ``missing``, an optional file that is not there.
    ``counts``: what -> (on the card, found).
    """

    name: str
    folder: Path
    files: Mapping[str, Status]
    counts: Mapping[str, tuple[int, int]]

    @property
    def ok(self) -> bool:
        """Whether no file is changed and all counts agree."""
        return "changed" not in self.files.values() and all(told == seen for told, seen in self.counts.values())

    def lines(self) -> list[str]:
        """The report as text, one finding a line."""
        files = [f"{status:10} {path}" for path, status in self.files.items()]
        counts = [
            f"{'ok' if told == seen else 'differs':10} {what}: {seen:,}{'' if told == seen else f', not {told:,}'}"
            for what, (told, seen) in self.counts.items()
        ]
        return files + counts


def check(name: str) -> Report:
    """Compare the files of the data set ``name`` and the counts read from them with its card.

    Raises:
        InputError: an unknown name, or files that are not on this machine or cannot be read.
    """
    card = find(name)
    folder = locate(card)
    files = {file.path: _status(folder / file.path, file) for file in card.files.values()}
    found = network_counts(card, folder) if card.kind == "graph" else _counts(load(name), card)
    told = card.expected.model_dump(exclude_none=True)
    return Report(name, folder, files, {what: (count, found[what]) for what, count in told.items()})


def sha256(path: Path) -> str:
    """The checksum of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _status(path: Path, file: File) -> Status:
    if not path.is_file():
        return "missing"
    if file.sha256 is None:
        return "unknown"
    if sha256(path) == file.sha256:
        return "ok"
    return "reordered" if file.reordered else "changed"


def _counts(data: Dataset, card: Card) -> dict[str, int]:
    sizes = {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)}
    total = sum(sizes.values())
    if card.expected.valid is None:
        sizes["train"] += sizes.pop("valid")
    return {"users": data.num_users, "items": data.num_items, "interactions": total, **sizes}

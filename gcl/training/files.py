"""Files that are whole or absent: written beside, synced, renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


class WriteError(OSError):
    """A file of a run could not be written; the one that stood there before is intact."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; at the end the file is synced and takes the place of ``path`` in one step.

    Raises:
        WriteError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:
        _remove(temporary)
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"Cannot write {path}: {reason}. What stood there before is intact; make room, then go on with "
            "gcl train --resume."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Replace a text file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sync(path: Path) -> None:
    """Have the system put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return

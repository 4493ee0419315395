"""One process at a time in a folder, also after another was killed: the lock ends with the process that holds it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gcl.errors import InputError

NAME = ".lock"


@contextmanager
def locked(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is not there.

    Raises:
        InputError: another process holds it, and ``wait`` is False.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("w")
    except OSError as error:
        raise InputError(f"out must name a folder that can be written, got {folder}: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise InputError(
                f"Another process is at work in {folder}; wait until it has ended, or choose another --out."
            ) from error
        yield

"""One process at a time in a folder, also after another was killed: the lock ends with the process that holds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gcl.errors import InputError

NAME = ".lock"


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is not there; who holds it may take it again.

    Raises:
        InputError: another process holds it, and ``wait`` is False; a folder that cannot be written.
    """
    lock = FileLock(folder / NAME, is_singleton=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise InputError(
            f"Another process is at work in {folder}; wait until it has ended, or choose another --out."
        ) from error
    except OSError as error:
        raise InputError(f"out must name a folder that can be written, got {folder}: {error.strerror}.") from error
    with held:
        yield

"""``fetch``: the files of a data set from their addresses into the cache."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from gcl.data.cards import Card, File, find
from gcl.data.check import sha256
from gcl.data.locate import advice, cache, present
from gcl.errors import InputError

log = logging.getLogger("gcl.data")
TIMEOUT = 60
"""Seconds without a byte until a download is given up; what came stays and is gone on with the next time."""
BLOCK = 1 << 16
Told = Callable[[str, int, int | None], Any]
"""Told of progress: path, bytes so far, bytes in all or None."""


def fetch(name: str, told: Told = lambda path, done, size: None) -> Path:
    """The folder of the data set ``name``, its files fetched into the cache where it is on this machine nowhere.

    A download is kept in ``<file>.part``, gone on with where it stopped, compared with the checksum of the card, and
    then renamed. An optional file that cannot be had is left out, and logged.

    Raises:
        InputError: an unknown name, or files without address; the message says what to do by hand.
        OSError: the network fails, or a file has another checksum than the card.
    """
    card = find(name)
    folder = present(card)
    if folder is not None:
        log.info("%s is in %s", name, folder)
        return folder
    without = [file.path for file in card.files.values() if not file.optional and not file.url]
    if without:
        raise InputError(f"{name} cannot be fetched: {', '.join(without)} has no address. {advice(card)}")
    for file in card.files.values():
        _obtain(card, file, told)
    return cache(name)


def _obtain(card: Card, file: File, told: Told) -> None:
    target = cache(card.name) / file.path
    if file.url is None or target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        download(file.url, part, lambda done, size: told(file.path, done, size))
        _verify(part, file, card)
    except OSError as error:
        if not file.optional:
            raise
        log.warning("%s: %s is left out: %s", card.name, file.path, error)
        return
    part.replace(target)


def _verify(part: Path, file: File, card: Card) -> None:
    found = sha256(part)
    if found == file.sha256:
        return
    if file.sha256 is None or file.reordered:
        log.warning("%s has no checksum to compare with; run: gcl datasets check %s", file.path, card.name)
        return
    part.unlink()
    raise OSError(
        f"{file.url} gave a file with the checksum {found}, not {file.sha256} as on the card of {card.name}; it was "
        "removed. The source has changed, or something stands between."
    )


def download(url: str, part: Path, told: Callable[[int, int | None], Any]) -> None:
    """Append to ``part`` what is missing of the file at ``url``.

    A server that does not know ranges sends the file anew.

    Raises:
        OSError: the server refuses, or the connection ends before the file does; ``part`` keeps what came.
    """
    have = part.stat().st_size if part.is_file() else 0
    try:
        with _open(url, have) as answer:
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            size = None if length is None else int(length) + (have if resumed else 0)
            with part.open("ab" if resumed else "wb") as file:
                done = _copy(answer, file, lambda written: told(written, size))
    except HTTPError as error:
        if error.code == 416 and have:
            return
        raise OSError(f"{url} cannot be fetched: {error.code} {error.reason}.") from error
    except (OSError, HTTPException) as error:
        raise OSError(f"{url} cannot be fetched: {error}. Run the same again to go on.") from error
    if size is not None and done < size:
        raise OSError(f"{url} ended after {done:,} of {size:,} bytes. Run the same again to go on.")


def _open(url: str, have: int) -> AbstractContextManager[Any]:
    headers = {"Range": f"bytes={have}-"} if have else {}
    return urlopen(Request(url, headers={"User-Agent": "gcl", **headers}), timeout=TIMEOUT)


def _copy(source: IO[bytes], target: IO[bytes], told: Callable[[int], Any]) -> int:
    """Copy to the end; the size of the target."""
    while block := source.read(BLOCK):
        target.write(block)
        told(target.tell())
    return target.tell()

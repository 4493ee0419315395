"""What RecBole 1.2.1 needs to run beside the packages of today: named repairs, each made where it is needed.

They are made when ``gcl.recbole`` is imported, never by ``import gcl``, and a second time changes nothing. They put
back names that RecBole asks for; none changes what an existing name does. ``torch.load`` stays as it is for everybody:
:func:`trusting` gives RecBole's trainer a loader of its own while one of its checkpoints is resumed.
"""

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gcl.errors import InputError

NEWEST = (3, 12)
"""The first version of Python that RecBole's dependencies have no wheels for."""


@dataclass(frozen=True)
class Repair:
    """A name that RecBole asks for: ``missing`` says whether it is not there, ``make`` puts it there, ``why``."""

    name: str
    why: str
    missing: Callable[[], bool]
    make: Callable[[], None]


def _numpy(name: str, now: str) -> Repair:
    """An alias of numpy that its version 2 took away."""

    def missing() -> bool:
        import numpy as np

        return not hasattr(np, name)

    def make() -> None:
        import numpy as np

        setattr(np, name, getattr(np, now))

    return Repair(f"numpy.{name}", f"numpy 2 has {now} alone; RecBole's Config reads {name}", missing, make)


def _dok_missing() -> bool:
    from scipy.sparse import dok_matrix

    return not hasattr(dok_matrix, "_update")


def _dok_make() -> None:
    from scipy.sparse import dok_matrix

    def _update(self: Any, entries: dict[tuple[int, int], float]) -> None:
        self._dict.update(entries)

    dok_matrix._update = _update


REPAIRS: tuple[Repair, ...] = (
    _numpy("float_", "float64"),
    _numpy("complex_", "complex128"),
    _numpy("unicode_", "str_"),
    Repair(
        "scipy.sparse.dok_matrix._update",
        "scipy 1.13 took it away; RecBole's graph models fill their adjacency with it",
        _dok_missing,
        _dok_make,
    ),
)
MADE: list[str] = []
"""Names of the repairs that were made in this process."""


def apply() -> list[str]:
    """Make the repairs that are needed and not made yet; their names."""
    made = []
    for repair in REPAIRS:
        if repair.missing():
            repair.make()
            made.append(repair.name)
    MADE.extend(made)
    return made


def report() -> dict[str, str]:
    """Repair -> why it was made, or that it was not needed; of ``torch.load``, when it is."""
    made = {r.name: f"repaired: {r.why}" if r.name in MADE else "not needed" for r in REPAIRS}
    return {
        **made,
        "torch.load": "on request, while gcl.recbole.compat.resume reads a checkpoint of RecBole (a pickle)",
    }


def require() -> None:
    """An error that says what to do where RecBole cannot run.

    Raises:
        InputError: Python 3.12 or newer, or no recbole.
    """
    if sys.version_info[:2] >= NEWEST:
        raise InputError(
            f"RecBole needs Python 3.11 or older, and this is {sys.version_info[0]}.{sys.version_info[1]}: its "
            "dependency ray 2.6 has no wheels for newer ones. Everything else of gcl works here; for RecBole's models "
            "make an environment of Python 3.11."
        )
    if find_spec("recbole") is None:
        raise InputError("recbole is not installed: pip install 'recbole>=1.2.1'.")


@contextmanager
def trusting() -> Iterator[None]:
    """RecBole's trainer reads its own checkpoints inside; they are pickles, so open only what you trust.

    torch 2.6 and newer refuse them by default. Only the name ``torch`` inside ``recbole.trainer.trainer`` is rebound,
    to a stand-in whose ``load`` passes ``weights_only=False``; it is put back after.
    """
    trainer: Any = import_module("recbole.trainer.trainer")
    torch = import_module("torch")
    stand_in = types.ModuleType("torch")
    stand_in.__dict__.update(torch.__dict__)
    stand_in.__dict__["load"] = partial(torch.load, weights_only=False)
    before = trainer.torch
    trainer.torch = stand_in
    try:
        yield
    finally:
        trainer.torch = before


def resume(trainer: Any, file: str | Path) -> None:
    """``trainer.resume_checkpoint(file)`` of a RecBole trainer, on any torch; see :func:`trusting`.

    Raises:
        InputError: there is no such file.
    """
    if not Path(file).is_file():
        raise InputError(f"There is no checkpoint {file}; RecBole writes them under checkpoint_dir.")
    with trusting():
        trainer.resume_checkpoint(str(file))

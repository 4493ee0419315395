"""Every objective of the package, found by scanning it: a new one needs its own file and nothing else."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

import gcl.losses
from gcl.losses.base import Objective
from gcl.losses.slots.resolve import made


@cache
def _found() -> tuple[type[Objective], ...]:
    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(gcl.losses.__path__, "gcl.losses.")
        if not info.ispkg
    ]
    classes = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Objective)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and value.reference
    }
    return tuple(sorted(classes, key=lambda c: c.__name__))


def catalogue(aliases: bool = False) -> dict[str, type[Objective]]:
    """Name -> class of every objective, in alphabetical order; with ``aliases`` their other names too."""
    names = {c.__name__: c for c in _found()}
    if aliases:
        names |= {alias: c for c in _found() for alias in c.aliases}
    return names


def find(name: str) -> type[Objective]:
    """The objective of that name or alias, case ignored.

    Raises:
        InputError: naming the nearest valid name.
    """
    from gcl.errors import InputError, nearest

    names = catalogue(aliases=True)
    if name in names:
        return names[name]
    folded = {n.lower(): c for n, c in names.items()}
    if name.lower() not in folded:
        raise InputError(f"objective: unknown name {name!r}. {nearest(name, names)}")
    return folded[name.lower()]


def family(objective: type[Objective]) -> str:
    """The family an objective belongs to: the module it lives in."""
    return objective.__module__.removeprefix("gcl.losses.").split(".")[0]


ObjectiveLike = str | Objective | dict[str, Any]


def objective_of(value: ObjectiveLike) -> Objective:
    """The objective that a name, a mapping with a name, or an instance means."""
    if isinstance(value, Objective):
        return value
    arguments = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = str(arguments.pop("name", None))
    return made(f"objective {name!r}", find(name), arguments)

"""Slots named in configuration: a name, a mapping with a name, or an instance."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gcl.errors import InputError, nearest, unknown
from gcl.losses.checks import expect_numbers

T = TypeVar("T")


def resolve(slot: str, value: Any, base: type[Any], table: Mapping[str, Callable[..., T]]) -> T:
    """The part that ``value`` means for ``slot``.

    Args:
        slot: what the part is for, as named in errors.
        value: an instance of ``base``, a name in ``table``, or a mapping of ``name`` and constructor arguments.
        base: the class of such parts.
        table: name -> constructor.
    """
    if isinstance(value, base):
        part: T = value
        return part
    name, arguments = value, dict[str, Any]()
    if isinstance(value, Mapping):
        arguments = dict(value)
        name = arguments.pop("name", None)
    if not isinstance(name, str) or name not in table:
        raise InputError(
            f"{slot} must be a name, a mapping with a name or a {base.__name__}, got {value!r}. "
            f"{nearest(str(name), table)}"
        )
    return made(f"{slot} {name!r}", table[name], arguments)


def made(what: str, constructor: Callable[..., T], arguments: Mapping[str, Any]) -> T:
    """``constructor(**arguments)``, where ``what``, as named in errors, has these arguments and needs no others.

    Raises:
        InputError: naming the part, the argument, and the nearest valid name or those that are missing.
    """
    function: Any = getattr(constructor, "__init__") if isinstance(constructor, type) else constructor  # noqa: B009
    taken = inspect.signature(function).parameters.values()
    known = {p.name: p.default for p in taken if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    unknown(arguments, known, what)
    missing = [name for name, default in known.items() if default is inspect.Parameter.empty and name not in arguments]
    if missing:
        raise InputError(f"{what} needs {', '.join(missing)}, got {', '.join(arguments) or 'no arguments'}.")
    expect_numbers(arguments)
    return constructor(**arguments)

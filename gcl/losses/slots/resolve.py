"""Slots named in configuration: a name, a mapping with a name, or an instance."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gcl.errors import InputError, nearest

T = TypeVar("T")


def resolve(slot: str, value: Any, base: type[T], table: Mapping[str, Callable[..., T]]) -> T:
    """The part that ``value`` means for ``slot``.

    Args:
        slot: what the part is for, as named in errors.
        value: an instance of ``base``, a name in ``table``, or a mapping of ``name`` and constructor arguments.
        base: the class of such parts.
        table: name -> constructor.
    """
    if isinstance(value, base):
        return value
    name, arguments = value, dict[str, Any]()
    if isinstance(value, Mapping):
        arguments = dict(value)
        name = arguments.pop("name", None)
    if not isinstance(name, str) or name not in table:
        raise InputError(
            f"{slot} must be a name, a mapping with a name or a {base.__name__}, got {value!r}. "
            f"{nearest(str(name), table)}"
        )
    return table[name](**arguments)

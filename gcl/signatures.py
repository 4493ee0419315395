"""The signature of a constructor or function is its configuration: unknown keys and wrong types are errors."""

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, PlainValidator, Strict, TypeAdapter, ValidationError

from gcl.errors import InputError, unknown

Converter = Callable[[Any], Any]
M = TypeVar("M", bound=BaseModel)
REQUIRED = inspect.Parameter.empty
_CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


def parameters(target: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Name -> (annotation, default) of what may be configured: ``self``, ``data`` and variadic ones excluded."""
    function: Any = getattr(target, "__init__") if isinstance(target, type) else target  # noqa: B009 - of the class
    hints = get_type_hints(function, include_extras=True)
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {
        p.name: (hints.get(p.name, Any), p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name not in ("self", "data") and p.kind not in variadic
    }


def check(
    target: Callable[..., Any],
    values: Mapping[str, Any],
    where: str,
    parts: Mapping[Any, Converter] | None = None,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """The values, validated against the annotations of ``target`` and converted; defaults are not filled in.

    ``parts`` maps an annotation to what turns a specification into an instance of it; ``where`` names the owner in
    errors; ``only`` narrows the signature to some of its names.

    Raises:
        InputError: a key that the signature lacks, or a value of another type (a bool is no int, a text no number).
    """
    known = parameters(target)
    if only is not None:
        known = {name: known[name] for name in only}
    unknown(values, known, where)
    return {name: convert(value, known[name][0], f"{where}: {name}", parts or {}) for name, value in values.items()}


def convert(value: Any, annotation: Any, where: str, parts: Mapping[Any, Converter]) -> Any:
    """One value, validated against one annotation."""
    try:
        return TypeAdapter(_lenient(annotation, parts), config=_CONFIG).validate_python(value)
    except ValidationError as error:
        for cause in (e.get("ctx", {}).get("error") for e in error.errors()):
            if isinstance(cause, ValueError):
                owner, _, name = where.rpartition(": ")
                raise InputError(f"{owner if str(cause).startswith(f'{name} must') else where}: {cause}") from error
        problems = list(dict.fromkeys(_problem(e) for e in error.errors()))
        raise InputError(f"{where} {' or '.join(problems)}, got {value!r}.") from error


def settings(cls: type[M], values: Mapping[str, Any], where: str) -> M:
    """An instance of a pydantic model; errors as those of :func:`check`."""
    unknown(values, cls.model_fields, where)
    try:
        return cls.model_validate(dict(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        owner = f"{where}: {first['loc'][0]}" if first["loc"] else where
        raise InputError(f"{owner} {_problem(first)}, got {first['input']!r}.") from error


def _problem(error: Any) -> str:
    text = str(error["msg"]).replace("Input should be", "must be")
    places = [str(p) for p in error["loc"] if isinstance(p, int)]
    return f"{text} at position {places[-1]}" if places else text


def _lenient(annotation: Any, parts: Mapping[Any, Converter]) -> Any:
    """The annotation with lists allowed for tuples, text for paths, specifications for parts."""
    for part, converter in parts.items():
        derived = isinstance(part, type) and isinstance(annotation, type) and issubclass(annotation, part)
        if derived or annotation == part:
            return Annotated[Any, PlainValidator(converter)]
    if annotation is Path:
        return Annotated[Path, Strict(False)]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is None or origin is Literal or origin is Callable or not inner:
        return annotation
    if origin is Annotated:
        return Annotated[(_lenient(inner[0], parts), *inner[1:])]
    changed = tuple(a if a is Ellipsis else _lenient(a, parts) for a in inner)
    if origin in (Union, types.UnionType):
        return reduce(or_, changed)
    if origin is tuple:
        return Annotated[origin[changed], Strict(False)]
    return origin[changed]

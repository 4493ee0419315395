"""YAML as configuration reads it, and the ``key=value`` grammar over dotted paths."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gcl.errors import InputError, nearest


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: ``1e-3`` is a number, ``no`` and ``2014-01-01`` are text, a repeated key is an error."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = {str(k) for k in keys if keys.count(k) > 1}
        if repeated:
            raise InputError(f"{', '.join(sorted(repeated))} is given twice in one mapping; keep one.")
        return super().construct_mapping(node, deep)


_FLOAT = r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.Inf|\.nan|\.NaN)"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def read(text: str, where: str) -> Any:
    """The value of a YAML text; ``where`` names the text in errors."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{where}{place}: not valid YAML: {getattr(error, 'problem', None) or error}.") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def read_file(path: Path, what: str = "") -> Any:
    """The value of a YAML file; ``what`` says in errors what it should be: ``"the space "``.

    Raises:
        InputError: the file cannot be read, or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {what}{path}: {getattr(error, 'strerror', None) or error}.") from error
    return read(text, str(path))


def sections(tree: Any, known: Sequence[str], where: str, ignored: Sequence[str] = ()) -> list[tuple[list[str], Any]]:
    """``{model: {dim: 8}}`` -> ``[(["model", "dim"], 8)]``; keys that are ``ignored`` are left out.

    Raises:
        InputError: no mapping, an unknown section, a section that is no mapping; ``where`` names the tree.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"{where} must be a mapping with the keys {', '.join(known)}, got {tree!r}.")
    entries = []
    for section, values in tree.items():
        if section in ignored:
            continue
        if section not in known:
            raise InputError(f"{where} has an unknown section {section!r}. {nearest(str(section), known)}")
        if values is not None and not isinstance(values, Mapping):
            raise InputError(f"{where}: {section} must be a mapping, got {values!r}.")
        entries += [([section, str(key)], value) for key, value in (values or {}).items()]
    return entries


def pairs(settings: list[str]) -> list[tuple[list[str], Any]]:
    """``["objective.temperature=0.3"]`` -> ``[(["objective", "temperature"], 0.3)]``, whole values before their parts.

    Raises:
        InputError: no ``=``, an empty key, a value that is no YAML, a key given twice.
    """
    found: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not all(key.split(".")):
            raise InputError(f"A setting must be key=value, such as objective.temperature=0.3, got {setting!r}.")
        if key in found:
            raise InputError(f"{key} is given twice; keep one.")
        found[key] = read(text, key)
    return sorted(((key.split("."), value) for key, value in found.items()), key=lambda pair: len(pair[0]))


def leaves(value: Any, path: str) -> dict[str, Any]:
    """Dotted path -> value of everything in a tree; a list of plain values is one leaf."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif isinstance(value, list) and any(isinstance(v, (Mapping, list)) for v in value):
        inner = list(enumerate(value))
    if not inner:
        return {path: value}
    return {p: v for key, item in inner for p, v in leaves(item, f"{path}.{key}").items()}


def put(tree: Any, path: list[str], value: Any, where: str) -> Any:
    """The tree with ``value`` at ``path``; a name on the way becomes a mapping, an index reaches into a list.

    A mapping without ``name`` changes what stands there, key by key; any other value replaces it.
    """
    if not path:
        if isinstance(tree, str) and isinstance(value, Mapping) and "name" not in value:
            tree = {"name": tree}
        if isinstance(tree, Mapping) and isinstance(value, Mapping) and "name" not in value:
            merged = dict(tree)
            for key, item in value.items():
                merged[key] = put(merged.get(key), [], item, where)
            return merged
        return value
    step, rest = path[0], path[1:]
    if step.isdecimal():
        return _put_index(tree, int(step), rest, value, where)
    if isinstance(tree, str):
        tree = {"name": tree}
    if tree is not None and not isinstance(tree, Mapping):
        hint = "; name one entry by its number" if isinstance(tree, list) else ""
        raise InputError(f"{where} cannot be set: there is nothing named {step!r} inside {tree!r}{hint}.")
    return {**(tree or {}), step: put((tree or {}).get(step), rest, value, where)}


def _put_index(tree: Any, index: int, rest: list[str], value: Any, where: str) -> Any:
    if isinstance(tree, list):
        if index >= len(tree):
            raise InputError(f"{where} cannot be set: entry {index} of {len(tree)}, counted from 0.")
        return [put(entry, rest, value, where) if at == index else entry for at, entry in enumerate(tree)]
    if isinstance(tree, (str, Mapping)) and index == 0:
        return put(tree, rest, value, where)
    raise InputError(f"{where} cannot be set: {tree!r} has no entry {index}.")

"""What ``data.modalities`` says: where each modality of the items comes from."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from gcl.data.dataset import Dataset
from gcl.data.features import align, array_features, read_features
from gcl.data.modality import Modalities, Modality
from gcl.data.text import Columns, encode_columns
from gcl.errors import InputError, nearest

log = logging.getLogger("gcl.data")
Spec = str | Path | Mapping[str, Any] | None
"""A path; a mapping; None: leave this modality out."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class File(_Spec):
    """A file of features (:func:`gcl.data.features.read_features`), and perhaps a file of the ids of its rows."""

    path: Path
    ids: Path | None = None
    half: bool = False
    mapped: bool = False


class Array(_Spec):
    """A matrix in memory, and perhaps the ids of its rows."""

    values: Any
    ids: Any = None
    half: bool = False


KINDS: dict[str, type[File] | type[Columns] | type[Array]] = {"path": File, "columns": Columns, "values": Array}


def with_modalities(data: Dataset, modalities: Mapping[str, Any]) -> Dataset:
    """The data set with further modalities, others of these names replaced.

    Each is a :class:`Modality`, or what ``data.modalities`` of :func:`gcl.data.load` takes: a path, or a mapping with
    ``path`` (and ``ids``, ``half``, ``mapped``), ``columns`` (and ``dim``, ``encoder``, ``seed``), or ``values`` (and
    ``ids``, ``half``). None takes a modality away. Rows are named by ``ids``; without, row i is the item with the
    integer id i.

    Raises:
        InputError: whatever of this does not fit, with what to do.
    """
    ids = data.item_ids
    return replace(data, modalities=collect(data.modalities, modalities, ids, ids, data.item_columns))


def collect(
    found: Mapping[str, Path | Columns | Modality],
    specs: Mapping[str, Any],
    item_ids: np.ndarray,
    known: np.ndarray,
    columns: Mapping[str, np.ndarray],
) -> Modalities:
    """Modalities of ``item_ids``: those of a source, and those of specifications, which go before.

    What a specification names is read and checked at once; files of the source are read, and columns encoded, when
    they are asked for.
    """
    entries: dict[str, Modality | Callable[[], Modality]] = {}
    for name in [*found, *(name for name in specs if name not in found)]:
        spec = specs.get(name, found.get(name))
        if spec is None:
            if name not in found:
                raise InputError(f"modalities: there is no {name!r} to leave out. {_there(found)}")
            continue
        if name not in specs and isinstance(spec, Path):
            entries[name] = partial(_read, File(path=spec), item_ids, known)
            continue
        made = _entry(name, spec, item_ids, known, columns)
        if made is not None:
            entries[name] = made
    return Modalities(entries)


def _entry(
    name: str, spec: Any, item_ids: np.ndarray, known: np.ndarray, columns: Mapping[str, np.ndarray]
) -> Modality | Callable[[], Modality] | None:
    if isinstance(spec, Modality):
        if len(spec.values) != len(item_ids):
            raise InputError(f"modality {name!r} must have one row an item, {len(item_ids)}, got {len(spec.values)}.")
        return spec
    told = spec if isinstance(spec, Columns) else parse(name, spec)
    if isinstance(told, File):
        return _read(told, item_ids, known)
    if isinstance(told, Array):
        return align(array_features(told.values, f"modality {name!r}", told.ids, told.half), item_ids, known)
    wanted = [told.columns] if isinstance(told.columns, str) else told.columns
    missing = [column for column in wanted if column not in columns]
    if missing and told.optional:
        log.info("modality %s is left out: items have no column %s", name, ", ".join(missing))
        return None
    made = partial(encode_columns, columns, wanted, dim=told.dim, encoder=told.encoder, seed=told.seed)
    return made() if missing else made


def _read(file: File, item_ids: np.ndarray, known: np.ndarray) -> Modality:
    return align(read_features(file.path, file.ids, file.half, file.mapped), item_ids, known)


def parse(name: str, spec: Any) -> File | Columns | Array:
    """The specification of one modality.

    Raises:
        InputError: a name that is no word, no path and no mapping, an unknown key (with the nearest), a wrong value.
    """
    if not isinstance(name, str) or not name.replace("_", "a").replace("-", "a").isalnum():
        raise InputError(f"A modality's name must be a word of letters, digits, _ and -, got {name!r}.")
    if isinstance(spec, (str, Path)):
        spec = {"path": spec}
    if not isinstance(spec, Mapping):
        spec = {"values": spec}
    kinds = [kind for kind in KINDS if kind in spec]
    if len(kinds) != 1:
        raise InputError(
            f"modalities: {name} must be a path, or a mapping with one of path, columns and values, got {dict(spec)}."
        )
    cls = KINDS[kinds[0]]
    for key in spec:
        if key not in cls.model_fields:
            raise InputError(f"modalities: {name} has no argument {key!r}. {nearest(str(key), cls.model_fields)}")
    try:
        return cls.model_validate(dict(spec))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"modalities: {name}.{where}: {first['msg']}, got {first['input']!r}.") from error


def _there(found: Mapping[str, Any]) -> str:
    return f"There are: {', '.join(found)}." if found else "There is none."

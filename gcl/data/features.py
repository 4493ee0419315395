"""Files and arrays of features, aligned row by row with the items of a data set."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gcl.data.modality import Modality
from gcl.errors import InputError

log = logging.getLogger("gcl.data")
LONGEST = 18
"""Digits of an id that fit in int64."""
BLOCK = 4096
"""Rows that are checked and copied at once."""


@dataclass(frozen=True, eq=False)
class Features:
    """A matrix [n, dim] of a source, perhaps mapped from a file, and whom its rows belong to.

    ``ids`` [n]: row i belongs to the item with the external id ids[i]. None: row i belongs to the item with the
    *integer* id i, and there is a row for each id from 0 to the largest. ``half``: kept as float16. ``mapped``: never
    read into memory as a whole.
    """

    values: np.ndarray
    origin: str
    ids: np.ndarray | None = None
    half: bool = False
    mapped: bool = False


def read_features(path: Path, ids: Path | None = None, half: bool = False, mapped: bool = False) -> Features:
    """The features in a ``.npy``, ``.npz`` or ``.safetensors`` file.

    ``.npz`` and ``.safetensors`` hold one matrix, or several arrays of which ``values`` is the matrix and ``ids``, if
    there, names its rows. ``ids``: a file of ids, one a line (or ``.npy``), in the order of the rows.

    Raises:
        InputError: no such file, another suffix, unreadable, no matrix of finite numbers, ids of another length.
    """
    readers = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise InputError(f"Features must be in a file {', '.join(readers)}, got {path}.")
    if not path.is_file():
        raise InputError(f"There is no file of features {path}.")
    try:
        values, named = readers[path.suffix](path, mapped)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"Cannot read the features {path}: {error}.") from error
    return array_features(values, str(path), read_ids(ids) if ids else named, half, mapped)


def array_features(
    values: Any, origin: str, ids: Sequence[Any] | np.ndarray | None = None, half: bool = False, mapped: bool = False
) -> Features:
    """The features in an array or tensor; checks as :func:`read_features`."""
    matrix = _array(values, origin)
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.number) or np.iscomplexobj(matrix):
        raise InputError(f"{origin} must be a matrix of numbers [items, dim], got {matrix.dtype} {matrix.shape}.")
    for start in range(0, len(matrix), BLOCK):
        bad = ~np.isfinite(matrix[start : start + BLOCK]).all(1)
        if bad.any():
            row = start + int(bad.argmax())
            raise InputError(f"{origin}: row {row} has entries that are NaN or infinite; mend or replace them.")
    if ids is None:
        return Features(matrix, origin, None, half, mapped)
    names = _text(_array(ids, f"{origin}: ids"), f"{origin}: ids")
    if names.shape != matrix.shape[:1]:
        raise InputError(f"{origin}: ids must name each of the {len(matrix)} rows, got {names.shape}.")
    unique, count = np.unique(names, return_counts=True)
    if (count > 1).any():
        raise InputError(f"{origin}: ids must be different, but {str(unique[count.argmax()])!r} stands in two rows.")
    return Features(matrix, origin, names, half, mapped)


def _array(values: Any, origin: str) -> np.ndarray:
    """An array or tensor of any type, or nested lists of equal length, as an array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"{origin} must have rows of equal length ({error}).") from error


def _text(ids: np.ndarray, origin: str) -> np.ndarray:
    """Ids as text; bytes are read as UTF-8."""
    try:
        return np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids.astype(str)
    except UnicodeDecodeError as error:
        raise InputError(f"{origin} must be text or UTF-8 ({error}).") from error


def read_ids(path: Path) -> np.ndarray:
    """Ids in a file, one a line, or an array in a ``.npy`` file."""
    try:
        if path.suffix == ".npy":
            return _text(np.load(path, allow_pickle=False), str(path))
        return np.array([n.strip() for n in path.read_text(encoding="utf-8-sig").rstrip().splitlines()], dtype=str)
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"Cannot read the ids {path}: {error}.") from error


def align(features: Features, item_ids: np.ndarray, known: np.ndarray) -> Modality:
    """The rows of ``item_ids`` [num_items], as float32, or float16 where ``half`` is asked for.

    An item without a row, and a row of zeros, is marked missing; how many is logged. ``known``: the ids of the source
    before any filter, against which features without ids are counted.

    Raises:
        InputError: rows that do not fit the ids, values too large for float16, mapping where rows are in another
            order, no row that is present.
    """
    place = _by_number(features, item_ids, known) if features.ids is None else _by_id(features, item_ids)
    values = _mapped(features, place) if features.mapped else _gathered(features, place)
    present = torch.from_numpy(place >= 0)
    for start in range(0, len(values), BLOCK):
        present[start : start + BLOCK] &= (values[start : start + BLOCK] != 0).any(1)
    zero = int((place >= 0).sum()) - int(present.sum())
    if zero:
        log.warning("%s: %d rows of zeros are marked missing", features.origin, zero)
    if not bool(present.any()):
        raise InputError(f"{features.origin}: no item has a row other than zeros; the modality would be empty.")
    return Modality(values, present)


def _by_number(features: Features, item_ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The integer ids themselves, once it is sure that the rows are meant so."""
    strange = [i for i in known.astype(str).tolist() if not i.isdecimal() or str(int(i)) != i or len(i) > LONGEST]
    if strange:
        raise InputError(
            f"{features.origin}: without ids of its rows, item ids must be row numbers from 0, got {strange[0]!r}."
        )
    size = int(known.astype(np.int64).max(initial=-1)) + 1
    if len(features.values) != size:
        raise InputError(
            f"{features.origin} must have a row for each item id from 0 to {size - 1} (without ids, row i is the item "
            f"with the id i; name the rows by ids for another order), {size} rows, got {len(features.values)}."
        )
    return item_ids.astype(np.int64)


def _by_id(features: Features, item_ids: np.ndarray) -> np.ndarray:
    """The row of every item, -1 where there is none."""
    assert features.ids is not None
    rows = {name: row for row, name in enumerate(features.ids.tolist())}
    place = np.array([rows.get(name, -1) for name in item_ids.astype(str).tolist()], dtype=np.int64)
    found = int((place >= 0).sum())
    if not found:
        raise InputError(
            f"{features.origin}: none of its ids is an item's; it has ids such as {str(features.ids[0])!r}, the items "
            f"ids such as {str(item_ids[0])!r}."
        )
    if found < len(place) or found < len(rows):
        log.warning(
            "%s: %d of %d items have no row and are marked missing; %d rows belong to no item",
            features.origin, len(place) - found, len(place), len(rows) - found,
        )  # fmt: skip
    return place


def _gathered(features: Features, place: np.ndarray) -> torch.Tensor:
    """Rows in the order of items, zeros where there is none."""
    out = np.zeros((len(place), features.values.shape[1]), dtype=np.float16 if features.half else np.float32)
    most, kind = float(np.finfo(out.dtype).max), "half" if features.half else "float32"
    wider = np.result_type(features.values.dtype, out.dtype) != out.dtype
    for start in range(0, len(place), BLOCK):
        rows = place[start : start + BLOCK]
        block = np.asarray(features.values[np.maximum(rows, 0)])
        if wider and np.abs(block).max(initial=0) > most:
            raise InputError(f"{features.origin}: {kind} holds values up to {most:g}, got {np.abs(block).max():g}.")
        out[start : start + BLOCK] = np.where(rows[:, None] >= 0, block, 0)
    return torch.from_numpy(out)


def _mapped(features: Features, place: np.ndarray) -> torch.Tensor:
    """The file itself as a tensor: rows must stand as the items do, in the type that is asked for."""
    values, kind = features.values, np.dtype(np.float16 if features.half else np.float32)
    if len(place) != len(values) or not np.array_equal(place, np.arange(len(place))):
        raise InputError(
            f"{features.origin}: mapped needs the {len(place)} rows of the items, in their order and no other; "
            "leave mapped out, or write the file anew."
        )
    if values.dtype != kind:
        raise InputError(
            f"{features.origin}: mapped with half={features.half} needs {kind} values, got {values.dtype}."
        )
    return torch.from_numpy(values)


def _npy(path: Path, mapped: bool) -> tuple[np.ndarray, None]:
    """The matrix, mapped: copied on write, so that nothing can change the file."""
    return np.load(path, mmap_mode="c" if mapped else "r", allow_pickle=False), None


def _npz(path: Path, mapped: bool) -> tuple[np.ndarray, np.ndarray | None]:
    if mapped:
        raise InputError(f"{path}: only a .npy file can be mapped.")
    with np.load(path, allow_pickle=False) as file:
        return _of(path, dict(file))


def _safetensors(path: Path, mapped: bool) -> tuple[np.ndarray, np.ndarray | None]:
    from safetensors.torch import load_file

    if mapped:
        raise InputError(f"{path}: only a .npy file can be mapped.")
    found = load_file(path)
    return _of(path, {n: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for n, t in found.items()})


def _of(path: Path, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """The matrix among the arrays of a file, and the ids of its rows."""
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    name = "values" if "values" in arrays else matrices[0] if len(matrices) == 1 else None
    if name is None:
        raise InputError(f"{path} must hold one matrix, or one called 'values', got {', '.join(arrays) or 'nothing'}.")
    return arrays[name], arrays.get("ids")

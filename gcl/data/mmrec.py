"""MMRec folders: one ``.inter`` file with ``x_label``, and features in ``*_feat.npy``."""

from pathlib import Path

import numpy as np

from gcl.data.atomic import Named, atomic_files, read_inter
from gcl.data.dataset import Dataset
from gcl.data.plan import Plan, prepare
from gcl.data.table import Source
from gcl.errors import InputError

LABEL = "x_label"
SUFFIX = "_feat.npy"


def from_mmrec(path: Path | str, *, plan: Plan = Plan(), name: str | None = None) -> Dataset:
    """A data set from a folder in the layout of MMRec (Zhou, 2023), or from its ``.inter`` file.

    ``userID itemID [rating] [timestamp] x_label``: label 0 is train, 1 valid, 2 test. ``image_feat.npy`` becomes the
    modality ``image``: row i belongs to the item with the integer id i. Features are read through a memory map, and
    only the rows of items in the data set are kept, as float32.

    Raises:
        InputError: files that are not there, features with another number of rows than there are item ids, or that
            are not finite, and what :func:`gcl.data.plan.prepare` refuses.
    """
    files, stem = atomic_files(Path(path))
    if "interactions" not in files:
        raise InputError(f"{path} has parts in files of their own; an MMRec folder has one .inter file.")
    folder = files["interactions"].parent
    features = {file.name.removesuffix(SUFFIX): file for file in sorted(folder.glob(f"*{SUFFIX}"))}
    return prepare(read_mmrec(files["interactions"], features), plan, name or stem)


def read_mmrec(inter: Path, features: dict[str, Path], named: Named | None = None, separator: str = "\t") -> Source:
    """The raw rows and features of :func:`from_mmrec`; ``features``: modality -> file."""
    rows = read_inter(inter, named or {}, LABEL, separator)
    if not features:
        return Source(rows, str(inter))
    found = {name: _features(file) for name, file in features.items()}
    size = _items(rows["item"].unique().to_list(), inter)
    for name, values in found.items():
        if len(values) != size:
            raise InputError(
                f"{features[name]} must have a row for each item id from 0 to {size - 1}, {size} rows, "
                f"got {len(values)}."
            )
    return Source(rows, str(inter), features=found)


def _features(path: Path) -> np.ndarray:
    """The matrix in a file, mapped, not read; checked block by block for entries that are not finite."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"Cannot read the features {path}: {error}.") from error
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise InputError(f"{path} must be a matrix of numbers [items, dim], got {values.dtype} {values.shape}.")
    for start in range(0, len(values), 4096):
        bad = ~np.isfinite(values[start : start + 4096]).all(1)
        if bad.any():
            row = start + int(bad.argmax())
            raise InputError(f"{path}: row {row} has entries that are NaN or infinite; mend or replace them.")
    return values


def _items(ids: list[str], inter: Path) -> int:
    """How many rows features must have: the largest integer id, plus one."""
    strange = [i for i in ids if not (isinstance(i, str) and i.isdecimal())]
    if strange:
        raise InputError(f"{inter}: with features, item ids must be row numbers from 0, got {strange[0]!r}.")
    return max((int(i) for i in ids), default=-1) + 1

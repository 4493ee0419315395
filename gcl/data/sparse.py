"""Sparse matrices in files: what ``scipy.sparse.save_npz`` writes."""

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from gcl.data.files import Files, origin, read_parts
from gcl.data.table import Source
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def read_npz(files: Files) -> Source:
    """Stored entries [users, items] that are not 0, with their values.

    Ids are row and column numbers, or the lines of ``users.txt`` and ``items.txt`` beside the file.

    Raises:
        InputError: a file that is no sparse matrix, or ids of another number than it has rows or columns.
    """
    return Source(read_parts(files, _read), origin(files))


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl
    from scipy import sparse

    try:
        matrix = sparse.load_npz(path).tocoo()
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{path} is no sparse matrix as scipy.sparse.save_npz writes it: {error}.") from error
    kept = matrix.data != 0
    columns = {}
    axes = (("user", matrix.row, matrix.shape[0]), ("item", matrix.col, matrix.shape[1]))
    for what, codes, size in axes:
        names = path.parent / f"{what}s.txt"
        codes = codes[kept].astype(np.int64)
        if names.is_file():
            ids = np.array(names.read_text(encoding="utf-8").splitlines())
            if len(ids) != size:
                raise InputError(f"{names} must have {size} lines, one a {what} of {path.name}, got {len(ids)}.")
            columns[what] = pl.Series(ids[codes].tolist(), dtype=pl.String)
        else:
            columns[what] = pl.Series(codes)
    return pl.DataFrame({**columns, "value": matrix.data[kept].astype(np.float64)})

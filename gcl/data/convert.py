"""``convert``: write a data set, as it is filtered and split, for others to read."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gcl.data.dataset import Dataset
from gcl.data.interactions import Interactions
from gcl.data.table import PARTS
from gcl.errors import InputError, nearest

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")
Target = Literal["atomic", "csv", "npz"]
TARGETS: tuple[str, ...] = get_args(Target)


def convert(dataset: Dataset, out_folder: Path | str, format: Target = "atomic") -> list[Path]:
    """Write the parts of ``dataset`` into a folder that :func:`gcl.data.load` reads back with equal parts.

    ``atomic``: RecBole's benchmark files ``NAME.train.inter`` and so on, ``NAME.item``, ``NAME.user``. ``csv``: one
    table a part, ``items.csv`` and ``users.csv``. ``npz``: one sparse matrix [users, items] a part, ids
    line by line in ``users.txt`` and ``items.txt``; times are not kept. Lists are written as words separated by blanks;
    features are not written. Returns the files.

    Raises:
        InputError: an unknown format, or text that the format cannot hold (a tab in an atomic file).
    """
    if format not in TARGETS:
        raise InputError(f"format {format!r} is unknown. {nearest(format, TARGETS)}")
    folder = Path(out_folder)
    folder.mkdir(parents=True, exist_ok=True)
    if dataset.modalities:
        log.warning("features are not written: %s", ", ".join(dataset.modalities))
    parts = {part: getattr(dataset, part) for part in PARTS if len(getattr(dataset, part))}
    if format == "npz":
        return _write_npz(dataset, parts, folder)
    return _write_tables(dataset, parts, folder, atomic=format == "atomic")


def _write_tables(data: Dataset, parts: dict[str, Interactions], folder: Path, atomic: bool) -> list[Path]:
    stem = Path(data.name).name
    written = []
    for part, rows in parts.items():
        path = folder / (f"{stem}.{part}.inter" if atomic else f"{part}.csv")
        written.append(_write(_rows(data, rows), path, atomic))
    sides = (("item", data.item_ids, data.item_columns), ("user", data.user_ids, data.user_columns))
    for kind, ids, columns in sides:
        if columns:
            path = folder / f"{stem}.{kind}" if atomic else folder / f"{kind}s.csv"
            written.append(_write(_side(kind, ids, dict(columns)), path, atomic))
    return written


def _rows(data: Dataset, rows: Interactions) -> "pl.DataFrame":
    import polars as pl

    columns = {
        "user_id": pl.Series(data.user_ids[rows.user.numpy()].tolist(), dtype=pl.String),
        "item_id": pl.Series(data.item_ids[rows.item.numpy()].tolist(), dtype=pl.String),
    }
    for name, values in (("rating", rows.value), ("timestamp", rows.time)):
        if values is not None:
            columns[name] = pl.Series(values.numpy())
    return pl.DataFrame(columns)


def _side(kind: str, ids: np.ndarray, columns: dict[str, np.ndarray]) -> "pl.DataFrame":
    """Ids and columns; lists become words separated by blanks."""
    import polars as pl

    frame: dict[str, pl.Series] = {f"{kind}_id": pl.Series(ids.tolist(), dtype=pl.String)}
    for name, values in columns.items():
        if values.dtype == object:
            frame[name] = pl.Series([" ".join(str(word) for word in row) for row in values], dtype=pl.String)
        else:
            frame[name] = pl.Series(values.tolist() if values.dtype.kind == "U" else values)
    lists = {name for name, values in columns.items() if values.dtype == object}
    return pl.DataFrame(frame).rename({name: f"{name}:token_seq" for name in lists})


def _write(frame: "pl.DataFrame", path: Path, atomic: bool) -> Path:
    """Write under a temporary name and rename."""
    import polars as pl

    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    if atomic:
        for name in texts:
            if frame[name].str.contains("[\t\n\r]").any():
                raise InputError(f"{name} holds tabs or line breaks, which an atomic file cannot; convert to csv.")
        frame = frame.rename(
            {n: f"{n}:{'token' if n in texts else 'float'}" for n in frame.columns if not n.endswith(":token_seq")}
        )
    else:
        frame = frame.rename({name: name.removesuffix(":token_seq") for name in frame.columns})
    part = path.with_name(f"{path.name}.part")
    frame.write_csv(part, separator="\t" if atomic else ",", quote_style="never" if atomic else "necessary")
    return part.replace(path)


def _write_npz(data: Dataset, parts: dict[str, Interactions], folder: Path) -> list[Path]:
    from scipy import sparse

    written = []
    for part, rows in parts.items():
        values = np.ones(len(rows), dtype=np.float32) if rows.value is None else rows.value.numpy()
        if not values.all():
            raise InputError("A value of 0 cannot be kept in a sparse matrix; convert to csv or atomic.")
        matrix = sparse.csr_matrix(
            (values, (rows.user.numpy(), rows.item.numpy())), shape=(data.num_users, data.num_items)
        )
        partial = folder / f"{part}.npz.part"
        with partial.open("wb") as file:
            sparse.save_npz(file, matrix)
        written.append(partial.replace(folder / f"{part}.npz"))
    for kind, ids in (("users", data.user_ids), ("items", data.item_ids)):
        path = folder / f"{kind}.txt"
        path.write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
        written.append(path)
    return written

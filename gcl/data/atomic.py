"""RecBole's atomic files: tab separated, with typed headers (``user_id:token``)."""

from pathlib import Path
from typing import TYPE_CHECKING

from gcl.data.dataset import Dataset
from gcl.data.files import Files, head, read_parts, read_table
from gcl.data.names import find, pick
from gcl.data.plan import Plan, prepare
from gcl.data.table import PARTS, Source
from gcl.errors import InputError

if TYPE_CHECKING:
    import polars as pl

TYPES = ("token", "token_seq", "float", "float_seq")
SPOKEN = ("title", "name")
"""A ``token_seq`` column whose name holds one of these is kept as text, not cut into words."""
Named = dict[str, str | None]


def from_atomic(
    path: Path | str,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    value: str | None = None,
    plan: Plan = Plan(),
    name: str | None = None,
) -> Dataset:
    """A data set from ``NAME.inter``, or from a folder that holds one; ``NAME.item``, ``NAME.user`` beside it are read.

    A folder with ``NAME.train.inter``, ``NAME.test.inter`` and perhaps ``NAME.valid.inter`` is a given split. Columns
    that are not named are looked for under their common names (``user_id``, ``rating`` ...). Columns of items and
    users: ``token`` is text, ``float`` a number, ``token_seq`` and ``float_seq`` are lists.

    Raises:
        InputError: files that are not there or not atomic, a column that is not there, and what
            :func:`gcl.data.plan.prepare` refuses.
    """
    files, stem = atomic_files(Path(path))
    source = read_atomic(files, {"user": user, "item": item, "time": time, "value": value})
    return prepare(source, plan, name or stem)


def atomic_files(path: Path) -> tuple[dict[str, Path], str]:
    """Role (interactions, or train, valid, test; items, users) -> file, and the name they share.

    Raises:
        InputError: no ``.inter`` file, or several that are no parts of one split.
    """
    found = sorted(path.glob("*.inter")) if path.is_dir() else [path]
    stems = {file.name.removesuffix(".inter"): file for file in found}
    bare = {stem.rpartition(".")[0] if stem.rpartition(".")[2] in PARTS else stem for stem in stems}
    if len(bare) != 1:
        raise InputError(f"{path} must hold the .inter file of one data set, got {sorted(stems) or 'none'}.")
    stem = bare.pop()
    files = {key.rpartition(".")[2]: file for key, file in stems.items() if key != stem}
    if path.is_file() or not files:
        files = {"interactions": found[0]}
    folder = found[0].parent
    sides = {"items": folder / f"{stem}.item", "users": folder / f"{stem}.user"}
    return files | {role: file for role, file in sides.items() if file.is_file()}, stem


def read_atomic(
    files: dict[str, Path], named: Named, rename: dict[str, str] | None = None, separator: str = "\t"
) -> Source:
    """The raw rows of :func:`from_atomic`; ``rename`` gives item and user columns other names."""
    parts: Files = files["interactions"] if "interactions" in files else {p: files[p] for p in PARTS if p in files}
    rows = read_parts(parts, lambda path: read_inter(path, named, separator=separator))
    sides = {role: read_side(files[role], role, rename or {}) for role in ("items", "users") if role in files}
    where = str(files.get("interactions", files.get("train")))
    return Source(rows, where, items=sides.get("items"), users=sides.get("users"))


def read_inter(path: Path, named: Named, label: str | None = None, separator: str = "\t") -> "pl.DataFrame":
    """User, item and, where present, time and value of one ``.inter`` file, and the column ``label`` as ``part``."""
    present = [field.partition(":")[0] for field in _fields(path, separator)]
    chosen = pick(present, named, str(path))
    if label is not None and label in present:
        chosen = {role: c for role, c in chosen.items() if c != label} | {"part": label}
    places = {present.index(column): role for role, column in chosen.items()}
    return read_table(path, separator, True, None, places, len(present))


def _fields(path: Path, separator: str) -> list[str]:
    first = head(path, 1)[0]
    fields = first.split(separator)
    if len(fields) < 2:
        looks = " It looks separated by tabs." if "\t" in first else ""
        raise InputError(f"{path}: its header, {first[:80]!r}, is not separated by {separator!r}.{looks}")
    for field in fields:
        if field.partition(":")[2] not in ("", *TYPES):
            raise InputError(f"{path}: column {field!r} must have one of the types {', '.join(TYPES)}.")
    return fields


def read_side(path: Path, role: str, rename: dict[str, str]) -> "pl.DataFrame":
    """A frame with ``id`` and the other columns of a ``.item`` or ``.user`` file."""
    import polars as pl

    kinds = {name: kind for name, _, kind in (field.partition(":") for field in _fields(path, "\t"))}
    ids = find(list(kinds), role.removesuffix("s")) or next(iter(kinds))
    frame = read_table(path, "\t", True, None, dict(enumerate(kinds)), len(kinds))
    columns = [_typed(name, kind).alias(rename.get(name, name)) for name, kind in kinds.items() if name != ids]
    return frame.select(pl.col(ids).alias("id"), *columns)


def _typed(name: str, kind: str) -> "pl.Expr":
    import polars as pl

    column = pl.col(name)
    if kind == "float":
        return column.cast(pl.Float64, strict=False)
    if kind == "float_seq":
        return column.str.split(" ").cast(pl.List(pl.Float64), strict=False)
    return column.str.split(" ") if kind == "token_seq" and not any(s in name for s in SPOKEN) else column

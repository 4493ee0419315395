"""``load``: a data set by the name of its card, or from a path in any format."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gcl.data import cards
from gcl.data.atomic import Named, atomic_files, read_atomic
from gcl.data.cards import Card
from gcl.data.dataset import Dataset
from gcl.data.delimited import read_csv
from gcl.data.detect import FORMATS, Format, contents, detect
from gcl.data.files import Files
from gcl.data.items import read_items
from gcl.data.lists import read_lists
from gcl.data.locate import locate
from gcl.data.mmrec import SUFFIX, read_mmrec
from gcl.data.modalities import Spec
from gcl.data.plan import Plan, SplitKind, prepare
from gcl.data.sparse import read_npz
from gcl.data.splits import Order
from gcl.data.table import PARTS, Source
from gcl.data.text import Columns
from gcl.errors import InputError, nearest

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("gcl.data")


def load(
    dataset: str | Path,
    *,
    user: str | int | None = None,
    item: str | int | None = None,
    time: str | int | None = None,
    value: str | int | None = None,
    separator: str | None = None,
    format: Format | None = None,
    min_value: float | None = None,
    min_user: int | None = None,
    min_item: int | None = None,
    split: SplitKind | None = None,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    order: Order = "random",
    seed: int = 0,
    ordered: bool | None = None,
    valid_from: float | str | None = None,
    test_from: float | str | None = None,
    train: str | Path | None = None,
    valid: str | Path | None = None,
    test: str | Path | None = None,
    modalities: Mapping[str, Spec] | None = None,
    items: str | Path | None = None,
    unseen: bool = False,
    show: tuple[str, ...] = ("title",),
) -> Dataset:
    """The data set with a card's name, or at a path to a file or folder.

    None stands for what the card says; without a card, for what is found: columns by their common names, the separator
    and format by the first lines, no filter, a given split where there are parts, else 8:1:1 a user.

    Args:
        dataset: a name (``gcl.data.cards.names()``) or a path; only a name for the result where ``train`` is given.
        user, item, time, value: names of columns, or their numbers from 1 in a file without header.
        separator: what separates the columns.
        format: atomic, csv, lists, mmrec or npz.
        min_value: rows with a smaller value are no positives.
        min_user, min_item: least number of rows of every user and item.
        split: ratio, leave_one_out, by_time, cold_items or given.
        ratios, order, seed: of the split ``ratio``, ratios and seed also of ``cold_items`` (shares of items), the seed
            also of what is set aside for valid in ``given``.
        ordered: True where rows stand in time order though there is no time column; False to forget time.
        valid_from, test_from: dates or numbers of the split ``by_time``.
        train, valid, test: files of a given split.
        modalities: features of items by name, beside those of the set: a path (``.npy``, ``.npz``, ``.safetensors``),
            a mapping (:func:`gcl.data.with_modalities`), or None to leave one out.
        items: a table of items with a header (:func:`gcl.data.read_items`), in place of the set's own.
        unseen: True keeps the items of that table that have no row at all: a model that reads modalities can recommend
            them.
        show: columns of items that are kept to be shown.

    Raises:
        InputError: whatever of this does not fit, with what to do.
    """
    named = {role: None if c is None else str(c) for role, c in _roles(user, item, time, value).items()}
    told = None if items is None else read_items(items)
    plan = Plan(
        min_value, min_user, min_item, split, ratios, order, seed, ordered, valid_from, test_from, modalities or {},
        told, unseen,
    )  # fmt: skip
    parts = {name: Path(file) for name, file in zip(PARTS, (train, valid, test), strict=True) if file is not None}
    if parts:
        found = _from_files(_given(parts), Path(dataset).stem or str(dataset), named, separator, format, plan)
    elif _is_path(dataset):
        path = Path(dataset)
        name = path.resolve().name if path.is_dir() else path.stem
        found = _from_files(contents(path), name, named, separator, format, plan)
    else:
        found = _from_card(cards.find(str(dataset)), named, separator, format, plan)
    for column in show:
        if column not in found.item_columns and column != "title":
            hint = nearest(column, found.item_columns) if found.item_columns else "There are no columns of items."
            raise InputError(f"show: items have no column {column!r}. {hint}")
    return found


def _roles(*columns: str | int | None) -> dict[str, str | int | None]:
    return dict(zip(("user", "item", "time", "value"), columns, strict=True))


def _is_path(dataset: str | Path) -> bool:
    """A name with a card is a name; else whatever exists or looks like a path is one."""
    if isinstance(dataset, Path):
        return True
    if dataset in cards.names():
        return False
    path = Path(dataset)
    return path.exists() or len(path.parts) > 1 or path.suffix != ""


def _given(parts: dict[str, Path]) -> dict[str, Path]:
    if not {"train", "test"} <= set(parts):
        raise InputError(f"A given split needs train=... and test=..., and may have valid=...; got {', '.join(parts)}.")
    for name, file in parts.items():
        if not file.is_file():
            raise InputError(f"There is no file {file} for {name}.")
    return parts


def _from_files(
    files: Path | dict[str, Path], name: str, named: Named, separator: str | None, format: Format | None, plan: Plan
) -> Dataset:
    kind = format or detect(files)
    if format is None:
        log.info("%s: format %s", name, kind)
    return prepare(_read(kind, files, named, separator), plan, name)


def _read(kind: str, files: Path | dict[str, Path], named: Named, separator: str | None) -> Source:
    """The raw rows of a file or folder, or of the files of parts."""
    if kind not in FORMATS:
        raise InputError(f"format {kind!r} is unknown. {nearest(kind, FORMATS)}")
    parts: Files = files if isinstance(files, Path) else {**files}
    if kind == "csv":
        return read_csv(parts, named, separator)
    if kind in ("lists", "npz"):
        _no_columns(kind, named, separator)
        return read_lists(parts) if kind == "lists" else read_npz(parts)
    found = atomic_files(files)[0] if isinstance(files, Path) else files
    if kind == "atomic":
        return read_atomic(found, named, separator=separator or "\t")
    if "interactions" not in found:
        raise InputError("format=mmrec needs one .inter file with x_label, got files of parts.")
    folder = found["interactions"].parent
    features = {file.name.removesuffix(SUFFIX): file for file in sorted(folder.glob(f"*{SUFFIX}"))}
    return read_mmrec(found["interactions"], features, named, separator or "\t")


def _no_columns(kind: str, named: Named, separator: str | None) -> None:
    for option, value in {**named, "separator": separator}.items():
        if value is not None:
            raise InputError(f"{option}={value!r} has no meaning in the format {kind}; leave it out.")


def _from_card(card: Card, named: Named, separator: str | None, format: Format | None, plan: Plan) -> Dataset:
    if card.kind == "graph":
        raise InputError(f"{card.name} is a data set of graphs: it has no users and items to train a recommender on.")
    if format is not None and format != card.format:
        raise InputError(f"{card.name} has the format {card.format}, not {format!r}; leave format out.")
    folder = locate(card)
    log.info("%s: %s, from %s", card.name, card.title, folder)
    known = {r: None if c is None else str(c) for r, c in card.columns.model_dump().items()}
    named = {role: named[role] or known[role] for role in known}
    plan = replace(
        plan,
        min_value=card.filters.min_value if plan.min_value is None else plan.min_value,
        min_user=card.filters.min_user if plan.min_user is None else plan.min_user,
        min_item=card.filters.min_item if plan.min_item is None else plan.min_item,
        split=plan.split or card.split,
        ordered=card.ordered if plan.ordered is None else plan.ordered,
    )
    return prepare(_card_source(card, folder, named, separator), plan, card.name, card.plain())


def _card_source(card: Card, folder: Path, named: Named, separator: str | None) -> Source:
    files = {role: folder / file.path for role, file in card.files.items() if (folder / file.path).is_file()}
    features = {role: file for role, file in files.items() if file.name.endswith(SUFFIX)}
    if card.format == "atomic":
        source = read_atomic(files, named, dict(card.rename), separator or "\t")
    elif card.format == "mmrec":
        source = read_mmrec(files["interactions"], features, named, separator or "\t")
    else:
        parts = {name: files[name] for name in PARTS if name in files}
        source = _read(card.format, parts or files["interactions"], named, separator)
    made = {n: Columns(columns=list(m.columns), dim=m.dim, optional=True) for n, m in card.modalities.items()}
    source = replace(source, features={**source.features, **made})
    lists = {role: file for role, file in files.items() if file.suffix == ".json"}
    return replace(source, items=_lists(lists)) if lists else source


def _lists(files: Mapping[str, Path]) -> "pl.DataFrame":
    """Columns of lists from JSON files, item id -> list."""
    import polars as pl

    frames = []
    for name, file in files.items():
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{file} is not JSON: {error}.") from error
        frames.append(pl.DataFrame({"id": list(rows), name: list(rows.values())}))
    joined = frames[0]
    for frame in frames[1:]:
        joined = joined.join(frame, on="id", how="full", coalesce=True)
    return joined

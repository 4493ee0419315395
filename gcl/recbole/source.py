"""RecBole's data as gcl's: read, filtered and split by RecBole itself, then the same pairs in the same parts."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gcl.data import Dataset, Interactions, Split, TrainInteractions
from gcl.data.atomic import read_atomic, read_inter
from gcl.data.ids import encode, numbers
from gcl.data.side import align
from gcl.data.table import PARTS
from gcl.errors import InputError, unknown
from gcl.recbole import names
from gcl.recbole.enclosure import enclosed

if TYPE_CHECKING:
    import polars as pl


def load(dataset: str | Path | Mapping[str, Any] | Any = "ml-100k", *, model: str = "BPR", **settings: Any) -> Dataset:
    """The data set that RecBole makes of a configuration, with RecBole's exact split.

    RecBole reads, filters, orders and divides; the parts hold the pairs that its loaders for ``model`` would train and
    evaluate on, under the same settings and seed (RecBole's is 2020). External ids are RecBole's tokens. Times and
    values come from the file itself, for RecBole keeps times in float32; columns of ``.item`` and ``.user`` files come
    with it.

    Args:
        dataset: ``ml-100k``, which is in RecBole's wheel, a folder of atomic files, a mapping of
            RecBole's settings (with ``dataset``), or a RecBole ``Config``.
        model: whose kind decides the defaults: RecBole splits by leave-one-out for its sequential models.
        settings: RecBole's, under RecBole's names: ``eval_args={"split": {"LS": "valid_and_test"}, "order": "TO"}``.

    Raises:
        InputError: no such data set, a setting that RecBole does not have (with the nearest), columns that the files do
            not have, a split that RecBole cannot make, a pair that it put into two parts (set ``rm_dup_inter``).
    """
    with _configured(dataset, model, settings) as config:
        known = _known(config)
        with enclosed(config["seed"]):
            parts = _parts(config)
        return _dataset(_rows(parts, known), _folder(config), config["dataset"], _made(config))


WHEEL = "ml-100k"
"""The name of the data set in RecBole's wheel; a folder of that name is meant by a ``Path``."""


@contextmanager
def _configured(dataset: Any, model: str, settings: Mapping[str, Any]) -> Iterator[Any]:
    """RecBole's configuration; its checkpoint folder, where it would look for stored splits, is an empty one."""
    kind = import_module("recbole.config").Config
    if isinstance(dataset, kind):
        yield dataset
        return
    if not isinstance(dataset, str | Path | Mapping):
        raise InputError(f"dataset must be a name, a folder, settings or a Config of RecBole, got {dataset!r}.")
    given = {**(dataset if isinstance(dataset, Mapping) else {}), **settings}
    model = given.pop("model", model)
    names.check(model)
    unknown(given, sorted(names.settings(model)), "RecBole")
    name = given.pop("dataset", None) if isinstance(dataset, Mapping) else dataset
    if name is None:
        raise InputError("The settings must name a dataset: a name of RecBole's or a folder of atomic files.")
    folder = Path(name) if name != WHEEL and Path(name).is_dir() else None
    with tempfile.TemporaryDirectory() as empty, enclosed(0):
        path = {} if folder is None else {"data_path": str(folder.resolve().parent)}
        given = {"show_progress": False, "gpu_id": "", "checkpoint_dir": empty, **path, **given}
        if given.get("loss_type", _loss_type(model)) == "CE":
            given.setdefault("train_neg_sample_args", None)
        config = kind(model=model, dataset=str(name) if folder is None else folder.resolve().name, config_dict=given)
        if folder is not None:
            config["data_path"] = str(folder)
        if not Path(config["data_path"]).is_dir():
            raise InputError(
                f"RecBole's data set {name!r} is not in {config['data_path']}; name its folder, or set data_path. "
                "Nothing is downloaded here."
            )
        yield config


def _loss_type(model: str) -> str | None:
    return names.defaults(model).get("loss_type")


def _parts(config: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tokens of users and items of train, valid and test, as RecBole splits them."""
    whole = import_module("recbole.data.utils").create_dataset(config)
    try:
        parts = whole.build()
    except (NotImplementedError, ValueError) as error:  # what RecBole raises for strategies and ratios
        raise InputError(f"RecBole cannot make this split: {error}; eval_args is {config['eval_args']}.") from error
    return [_tokens(part, at == 0) for at, part in enumerate(parts)]


def _tokens(part: Any, train: bool) -> tuple[np.ndarray, np.ndarray]:
    rows, uid, iid = part.inter_feat, part.uid_field, part.iid_field
    user, item = rows[uid], rows[iid]
    lengths = getattr(part, "item_list_length_field", None)
    if train and lengths is not None and lengths in rows:
        first = rows[lengths] == 1
        place = 2 * torch.arange(len(user))
        order = torch.argsort(torch.cat([place + 1, place[first]]))
        item = torch.cat([item, rows[part.item_id_list_field][first, 0]])[order]
        user = torch.cat([user, user[first]])[order]
    return np.asarray(part.id2token(uid, user)), np.asarray(part.id2token(iid, item))


def _known(config: Any) -> "pl.DataFrame":
    """Users and items of the files, with time and value where these have them.

    Raises:
        InputError: a file without the columns that the configuration names.
    """
    import polars as pl

    named = {"user": config["USER_ID_FIELD"], "item": config["ITEM_ID_FIELD"], "time": None, "value": None}
    ends = [f".{name}.inter" for name in config["benchmark_filename"] or ()] or [".inter"]
    files = [_folder(config) / f"{config['dataset']}{end}" for end in ends]
    read = [read_inter(file, named, separator=config["field_separator"]) for file in files]
    return pl.concat(read, how="vertical_relaxed").unique(["user", "item"], keep="first", maintain_order=True)


def _rows(parts: list[tuple[np.ndarray, np.ndarray]], known: "pl.DataFrame") -> "pl.DataFrame":
    """Rows of all parts, with time and value where they are known."""
    import polars as pl

    frames = [
        pl.DataFrame({"user": users.astype(str), "item": items.astype(str)}).with_columns(pl.lit(at).alias("part"))
        for at, (users, items) in enumerate(parts)
        if len(users)
    ]
    return pl.concat(frames).join(known, on=["user", "item"], how="left", maintain_order="left")


def _dataset(rows: "pl.DataFrame", folder: Path, name: str, made: dict[str, Any]) -> Dataset:
    """The data set of rows with a column ``part``; ids are numbered as gcl numbers those of a file."""
    user, user_ids = encode(rows["user"], "the user")
    item, item_ids = encode(rows["item"], "the item")
    optional = {c: torch.from_numpy(numbers(rows[c], c)) for c in ("time", "value") if c in rows.columns}
    part = torch.from_numpy(rows["part"].to_numpy(writable=True))
    found: dict[str, Any] = {}
    for at, label in enumerate(PARTS):
        kind = TrainInteractions if label == "train" else Interactions
        here = part == at
        columns = {c: (column.float() if c == "value" else column)[here] for c, column in optional.items()}
        ids = (torch.from_numpy(user)[here], torch.from_numpy(item)[here])
        found[label] = kind.from_columns(*ids, len(user_ids), len(item_ids), **columns)
    try:
        split = Split(**found, made=made)
    except ValueError as error:
        raise InputError(f"RecBole's split of {name!r} cannot be used: {error} RecBole's rm_dup_inter does.") from error
    files = {"interactions": folder / f"{name}.inter"}
    files |= {role: folder / f"{name}.{end}" for role, end in (("items", "item"), ("users", "user"))}
    sides = _sides({role: file for role, file in files.items() if file.is_file()})
    known = {
        kind: align(sides[f"{kind}s"], ids, kind) if f"{kind}s" in sides else {}
        for kind, ids in (("item", item_ids), ("user", user_ids))
    }
    return Dataset(name, split, user_ids, item_ids, known["item"], known["user"])


def _sides(files: dict[str, Path]) -> "dict[str, pl.DataFrame]":
    if "interactions" not in files:
        return {}
    source = read_atomic(files, {"user": None, "item": None, "time": None, "value": None})
    return {role: frame for role, frame in (("items", source.items), ("users", source.users)) if frame is not None}


def _folder(config: Any) -> Path:
    return Path(config["data_path"])


def _made(config: Any) -> dict[str, Any]:
    """How the split was made, as RecBole's settings say it."""
    told = {name: config["eval_args"][name] for name in ("split", "order", "group_by")}
    return {"kind": "given", "by": "recbole", **told, "seed": config["seed"]}

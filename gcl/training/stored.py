"""A data set in a run's folder: what is needed to build the model again, to score and to print, without the source."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from gcl.data import Dataset, Interactions, Modality, Split, TrainInteractions
from gcl.errors import InputError
from gcl.training.files import replacing, write_text

PARTS = ("train", "valid", "test")
PAIRS, FACTS = "interactions.npz", "dataset.json"


UNREADABLE = (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile)
"""What a file that was truncated or changed makes its readers raise."""


def kept(data: Dataset, needs: Collection[str], show: Collection[str]) -> Dataset:
    """What a run keeps of a data set: its split and ids, and the columns of items in ``show``.

    ``needs`` of the model: ``modalities`` keeps these, ``columns`` keeps all columns of items and users.
    """
    every = "columns" in needs
    return replace(
        data,
        item_columns={name: c for name, c in data.item_columns.items() if every or name in show},
        user_columns=data.user_columns if every else {},
        modalities=data.modalities if "modalities" in needs else {},
    )


def write(folder: Path, data: Dataset, settings: Mapping[str, Any] | None = None) -> None:
    """Store a data set, and the settings that it was loaded under. ``dataset.json`` is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_arrays(folder / PAIRS, _pairs(data.split))
    for name, modality in data.modalities.items():
        for path, tensor in zip(_features(folder, name), (modality.values, modality.present), strict=True):
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, tensor.cpu().numpy(), allow_pickle=False)
    facts = {
        "name": data.name,
        "num_users": data.num_users,
        "num_items": data.num_items,
        "made": data.split.made,
        "hash": data.split.hash,
        "settings": dict(settings or {}),
        "modalities": list(data.modalities),
        "card": dict(data.card),
        "ids": {"user": _encode(data.user_ids), "item": _encode(data.item_ids)},
        "item_columns": {name: _encode(column) for name, column in data.item_columns.items()},
        "user_columns": {name: _encode(column) for name, column in data.user_columns.items()},
    }
    write_text(folder / FACTS, json.dumps(facts, ensure_ascii=False, default=_plain) + "\n")


def read(folder: Path) -> Dataset:
    """The data set that :func:`write` stored.

    Raises:
        InputError: a file is missing or unreadable, or the interactions are not those that were stored.
    """
    try:
        facts = _facts(folder)
        data, written = _dataset(folder, facts), facts["hash"]
    except UNREADABLE as error:
        raise _unreadable(folder, error) from error
    if data.split.hash != written:
        raise InputError(
            f"{folder / PAIRS} was changed after it was written: the split has hash {data.split.hash}, not {written}; "
            "put the original back, or train anew."
        )
    return data


def settings(folder: Path) -> dict[str, Any]:
    """The settings that :func:`write` was given.

    Raises:
        InputError: the file is missing or unreadable.
    """
    try:
        return dict(_facts(folder)["settings"])
    except UNREADABLE as error:
        raise _unreadable(folder, error) from error


def _facts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))


def _unreadable(folder: Path, error: BaseException) -> InputError:
    return InputError(
        f"The data stored in {folder} cannot be read ({error}); put the original files back, or train anew."
    )


def _dataset(folder: Path, facts: Mapping[str, Any]) -> Dataset:
    arrays = _read_arrays(folder / PAIRS)
    return Dataset(
        name=facts["name"],
        split=_split(arrays, facts),
        user_ids=_decode(facts["ids"]["user"]),
        item_ids=_decode(facts["ids"]["item"]),
        item_columns={name: _decode(column) for name, column in facts["item_columns"].items()},
        user_columns={name: _decode(column) for name, column in facts["user_columns"].items()},
        modalities={name: _modality(folder, name) for name in facts["modalities"]},
        card=facts["card"],
    )


def _pairs(split: Split) -> dict[str, np.ndarray]:
    """Columns of every part, ids as int32 where they fit."""
    found: dict[str, np.ndarray] = {}
    for name in PARTS:
        part: Interactions = getattr(split, name)
        fits = max(part.num_users, part.num_items) < 2**31
        for column in ("user", "item", "time", "value"):
            tensor = getattr(part, column)
            if tensor is not None:
                small = fits and column in ("user", "item")
                found[f"{name}/{column}"] = tensor.cpu().to(torch.int32 if small else tensor.dtype).numpy()
    return found


def _split(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Split:
    parts: dict[str, Any] = {}
    for name in PARTS:
        columns = {c: torch.from_numpy(arrays[f"{name}/{c}"]) for c in ("time", "value") if f"{name}/{c}" in arrays}
        user, item = (torch.from_numpy(arrays[f"{name}/{c}"]).long() for c in ("user", "item"))
        kind = TrainInteractions if name == "train" else Interactions
        parts[name] = kind(user, item, facts["num_users"], facts["num_items"], **columns)
    return Split(**parts, made=facts["made"])


def _features(folder: Path, name: str) -> tuple[Path, Path]:
    """The files of a modality: its values, and which rows are present."""
    return folder / f"modality-{name}.npy", folder / f"modality-{name}-present.npy"


def _modality(folder: Path, name: str) -> Modality:
    """Mapped from its file, copied on write: it takes no memory of its own."""
    values, present = (np.load(path, mmap_mode="c", allow_pickle=False) for path in _features(folder, name))
    return Modality(torch.from_numpy(values), torch.from_numpy(present))


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _encode(column: np.ndarray) -> dict[str, Any]:
    """A column as JSON has it, with the type to give it back."""
    column = np.asarray(column)
    kind = column.dtype.kind
    if kind in "US":
        return {"type": "text", "values": column.astype(str).tolist()}
    if kind in "biuf":
        return {"type": column.dtype.str, "values": column.tolist()}
    if kind in "mM":
        return {"type": column.dtype.str, "values": column.astype(np.int64).tolist()}
    return {"type": "object", "values": list(column)}


def _decode(column: Mapping[str, Any]) -> np.ndarray:
    values, kind = column["values"], column["type"]
    if kind == "text":
        return np.array(values, dtype=str)
    if kind == "object":
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found
    dtype = np.dtype(kind)
    return np.array(values, dtype=np.int64).view(dtype) if dtype.kind in "mM" else np.array(values, dtype=dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)

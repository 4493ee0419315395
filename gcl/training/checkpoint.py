"""Tensors and facts on the disk, such that at any moment the last complete state can be read.

A checkpoint is a folder: ``checkpoint.json`` holds the facts and names the tensor file beside it. The tensor file is
complete before the JSON is replaced, and the one before it is removed only after: a process killed anywhere leaves the
old state or the new one. Nothing is pickled.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from gcl.errors import InputError
from gcl.training.files import replacing, write_json

INDEX = "checkpoint.json"
Record = dict[str, Any]
"""What ``checkpoint.json`` holds: ``file``, its ``sha256``, the ``facts``, and ``seal``, a digest of these three."""


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], keep: Collection[str] = ()) -> Record:
    """Write a checkpoint and return its record; then remove all tensor files but it and those in ``keep``.

    Raises:
        WriteError: the disk is full, or the folder cannot be written; the checkpoint before is intact.
    """
    path = folder / f"{secrets.token_hex(8)}.safetensors"
    with replacing(path) as temporary:
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(_apart(tensors), temporary)
        digest = _digest(temporary)
    record: Record = {"file": path.name, "sha256": digest, "facts": dict(facts)}
    record["seal"] = _seal(record)
    point(folder, record)
    prune(folder, {path.name, *keep})
    return record


def point(folder: Path, record: Record) -> None:
    """Make a record, whose tensor file is there, the checkpoint of the folder."""
    write_json(folder / INDEX, record)


def prune(folder: Path, keep: Collection[str]) -> None:
    """Remove what earlier checkpoints, and writes that were cut off, left behind."""
    for path in (*folder.glob("*.safetensors"), *folder.glob(".*.tmp")):
        if path.name not in keep:
            path.unlink(missing_ok=True)


def exists(folder: Path) -> bool:
    """Whether the folder holds a checkpoint."""
    return (folder / INDEX).is_file()


def record_of(folder: Path) -> Record:
    """The record of a checkpoint.

    Raises:
        InputError: there is none, or its text was cut off or changed.
    """
    path = folder / INDEX
    if not exists(folder):
        raise InputError(f"{folder} holds no checkpoint: {INDEX} is missing; train the run first.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        sealed = set(record) == {"file", "sha256", "facts", "seal"} and record["seal"] == _seal(record)
    except (ValueError, TypeError, AttributeError):
        sealed = False
    if not sealed:
        raise InputError(f"{path} was truncated or changed after it was written; put the original back, or train anew.")
    return dict(record)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and facts of a checkpoint.

    Raises:
        InputError: there is none, or one of its files is missing, was cut off or changed.
    """
    record = record_of(folder)
    path = folder / record["file"]
    if not path.is_file():
        raise InputError(f"{path} is missing, and {folder / INDEX} needs it; put it back, or train anew.")
    if _digest(path) != record["sha256"]:
        raise InputError(
            f"{path} was truncated or changed after it was written: its SHA-256 is not the one in {INDEX}; "
            "put the original back, or train anew."
        )
    return safetensors.torch.load_file(path), record["facts"]


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU, no two in one place of memory."""
    taken = set[int]()
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        here = tensor.detach().cpu().contiguous()
        storage = here.untyped_storage().data_ptr()
        found[name] = here.clone() if storage in taken else here
        taken.add(storage)
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(record: Record) -> str:
    told = {name: record[name] for name in ("file", "sha256", "facts")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

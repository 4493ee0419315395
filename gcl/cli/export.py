"""``gcl export``: vectors for an index elsewhere."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gcl.cli.console import Json, Output, RunFolder
from gcl.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from gcl.training import Run

BLOCK = 4096
"""Users computed at once."""


class Format(StrEnum):
    """What is written."""

    npy = "npy"
    faiss = "faiss"


def export(
    run: RunFolder,
    format: Annotated[Format, typer.Option(help="npy: arrays; faiss: an index of the items.")] = Format.npy,
    out: Annotated[Path | None, typer.Option(help="The folder to write to [RUN/export].")] = None,
    json: Json = False,
) -> None:
    """Write the vectors of users and items, whose inner product is the score, with their ids in the same order.

    npy: users.npy [users, d] and items.npy [items, d] float32, user_ids.npy and item_ids.npy text.
    faiss: items.faiss, an exact inner-product index, in place of items.npy; it needs the extra of that name.
    """
    import numpy as np

    if format is Format.faiss:
        _faiss()
    from gcl.training import load_run

    output = Output(json)
    loaded = load_run(run)
    arrays = _vectors(loaded)
    items = arrays["items"]
    folder = out or loaded.path / "export"
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            path = folder / (f"{name}.faiss" if format is Format.faiss and name == "items" else f"{name}.npy")
            if path.suffix == ".faiss":
                _write_index(path, array)
            else:
                np.save(path, array, allow_pickle=False)
            files.append(str(path))
    except OSError as error:
        raise InputError(f"--out: cannot write to {folder}: {error.strerror}.") from error
    output.line(f"{items.shape[0]} items of {items.shape[1]} numbers: {', '.join(files)}")
    output.emit(
        {"run": str(loaded.path), "format": format.value, "items": len(items), "dim": items.shape[1], "files": files}
    )


def _vectors(run: "Run") -> "dict[str, np.ndarray]":
    """Vectors and ids; no users where the model knows only histories."""
    import numpy as np
    import torch

    from gcl.data import query

    with torch.no_grad():
        found = {"items": run.model.items().float().numpy(), "item_ids": run.data.item_ids.astype(str)}
        if "users" in run.model.answers:
            blocks = torch.arange(run.data.num_users).split(BLOCK)
            users = [run.model.queries(query(run.data, block, "test")).float().numpy() for block in blocks]
            found |= {"users": np.concatenate(users), "user_ids": run.data.user_ids.astype(str)}
    return found


def _faiss() -> None:
    from importlib.util import find_spec

    if find_spec("faiss") is None:
        raise InputError("--format faiss needs faiss: pip install 'gcl-rec[faiss]', or take --format npy.")


def _write_index(path: Path, items: "np.ndarray") -> None:
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(items.shape[1])
    index.add(np.ascontiguousarray(items))
    faiss.write_index(index, str(path))

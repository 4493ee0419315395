"""SELFRec's own training loop on its own data classes, from a checkout; CPU by making ``.cuda()`` do nothing."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
import yaml

OPTIONS = {
    "LightGCN": {},
    "SGL": {"lambda": 0.1, "drop_rate": 0.1, "aug_type": 1, "temp": 0.2},
    "SimGCL": {"lambda": 0.5, "eps": 0.1},
    "XSimGCL": {"l_star": 1, "lambda": 0.2, "eps": 0.2, "tau": 0.15},
}


def write(folder: Path, parts: dict[str, list[tuple[int, int]]]) -> None:
    """``user item 1`` a line; SELFRec has a train and a test part."""
    for part in ("train", "test"):
        (folder / f"{part}.txt").write_text("".join(f"{u} {i} 1\n" for u, i in parts[part]))


def repair() -> None:
    """``.cuda()`` without effect; without numba a ``jit`` that changes nothing, which only evaluation uses."""
    torch.Tensor.cuda = lambda self, *_, **__: self
    torch.nn.Module.cuda = lambda self, *_, **__: self
    if find_spec("numba") is None:
        numba = ModuleType("numba")
        numba.jit = lambda *_, **__: lambda function: function
        sys.modules["numba"] = numba


def write_sequences(folder: Path, histories: list[tuple[int, list[int], list[int]]]) -> None:
    """``user:item item ...`` a line; the item that is tested is valid's."""
    parts = {"train": ((u, train) for u, train, _ in histories), "test": ((u, held[:1]) for u, _, held in histories)}
    for part, rows in parts.items():
        lines = (f"{user}:{' '.join(map(str, items))}\n" for user, items in rows if items)
        (folder / f"{part}.txt").write_text("".join(lines))


def train(job: dict[str, Any]) -> Callable[[], None]:
    """The ``train`` method of SELFRec's model: an epoch begins with shuffling the rows, for SGL with two graphs."""
    return trained(job, "graph", {"n_layer": job["layers"], **OPTIONS[job["model"]]})


def train_sequences(job: dict[str, Any]) -> Callable[[], None]:
    """The same for sequences, with the options of its own files."""
    options = {"n_blocks": job["layers"], "drop_rate": 0.2, "n_heads": 1}
    contrast = {"aug_type": 0, "aug_rate": 0.5, "cl_rate": 0.05} if job["model"] == "CL4SRec" else {}
    return trained(job, "sequential", options | contrast)


def trained(job: dict[str, Any], kind: str, options: dict[str, float]) -> Callable[[], None]:
    """SELFRec's model on its own data classes."""
    sys.path.insert(0, job["checkout"])
    repair()
    folder, model = Path(job["files"]), job["model"]
    conf = {
        "training.set": str(folder / "train.txt"),
        "test.set": str(folder / "test.txt"),
        "model": {"name": model, "type": kind},
        "item.ranking.topN": [10, 20],
        "embedding.size": job["dim"],
        "max.epoch": 1,
        "max.len": 50,
        "batch.size": job["batch_size"],
        "learning.rate": 0.001,
        "reg.lambda": 0.0001,
        model: options,
        "output": "./results/",
    }
    Path("conf.yaml").write_text(yaml.safe_dump(conf))
    settings = import_module("util.conf").ModelConf("conf.yaml")
    read = import_module("data.loader").FileIO.load_data_set
    train, test = (read(settings[f"{part}.set"], kind) for part in ("training", "test"))
    built = getattr(import_module(f"model.{kind}.{model}"), model)(settings, train, test)
    return cast(Callable[[], None], built.train)

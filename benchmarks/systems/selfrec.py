"""SELFRec's own training loop on its own data classes, from a checkout; CPU by making ``.cuda()`` do nothing."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

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
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    if find_spec("numba") is None:
        numba = ModuleType("numba")
        numba.jit = lambda *_, **__: lambda function: function  # type: ignore[attr-defined]
        sys.modules["numba"] = numba


def train(job: dict[str, Any]) -> Callable[[], None]:
    """The ``train`` method of SELFRec's model: an epoch begins with shuffling the rows, for SGL with two graphs."""
    sys.path.insert(0, job["checkout"])
    repair()
    folder, model = Path(job["files"]), job["model"]
    conf = {
        "training.set": str(folder / "train.txt"),
        "test.set": str(folder / "test.txt"),
        "model": {"name": model, "type": "graph"},
        "item.ranking.topN": [10, 20],
        "embedding.size": job["dim"],
        "max.epoch": 1,
        "batch.size": job["batch_size"],
        "learning.rate": 0.001,
        "reg.lambda": 0.0001,
        model: {"n_layer": job["layers"], **OPTIONS[model]},
        "output": "./results/",
    }
    Path("conf.yaml").write_text(yaml.safe_dump(conf))
    settings = import_module("util.conf").ModelConf("conf.yaml")
    read = import_module("data.loader").FileIO.load_data_set
    train, test = (read(settings[f"{part}.set"], "graph") for part in ("training", "test"))
    recommender = getattr(import_module(f"model.graph.{model}"), model)(settings, train, test)
    return recommender.train

"""RecBole's own trainer and data loader, from the installed package, with the aliases it needs on numpy 2 and scipy."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import dok_matrix


def repair() -> None:
    """Names that numpy 2 and scipy took away and RecBole 1.2.1 asks for; its reading of the command line, hidden."""
    for name, kind in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
        setattr(np, name, kind)
    dok_matrix._update = lambda self, entries: self._dict.update(entries)
    sys.argv = sys.argv[:1]


def write(folder: Path, parts: dict[str, list[tuple[int, int]]]) -> None:
    """Three atomic files of one set; valid is a copy of test's first rows, so that every part has one."""
    for name, rows in {"train": parts["train"], "valid": parts["test"][:100], "test": parts["test"]}.items():
        text = "".join(f"{u}\t{i}\n" for u, i in rows)
        (folder / f"bench.{name}.inter").write_text("user_id:token\titem_id:token\n" + text)


def config(**settings: Any) -> Any:
    """RecBole's configuration on the CPU, silent."""
    given = {"use_gpu": False, "show_progress": False, "state": "ERROR", **settings}
    model, dataset = given.pop("model"), given.pop("dataset")
    return import_module("recbole.config").Config(model=model, dataset=dataset, config_dict=given)


def train(job: dict[str, Any]) -> Callable[[], None]:
    """``Trainer._train_epoch`` of a new trainer: negatives are drawn batch by batch in its data loader."""
    repair()
    Path("bench").symlink_to(job["files"])
    settings = config(
        model=job["model"], dataset="bench", data_path=".", benchmark_filename=["train", "valid", "test"],
        load_col={"inter": ["user_id", "item_id"]}, train_batch_size=job["batch_size"], embedding_size=job["dim"],
        n_layers=job["layers"],
    )  # fmt: skip
    utils, data = import_module("recbole.utils"), import_module("recbole.data")
    utils.init_seed(settings["seed"], settings["reproducibility"])
    train, _, _ = data.data_preparation(settings, data.create_dataset(settings))
    model = utils.get_model(settings["model"])(settings, train._dataset)
    trainer = utils.get_trainer(settings["MODEL_TYPE"], settings["model"])

    def epoch() -> None:
        trainer(settings, model)._train_epoch(train, 0)

    return epoch


def load(job: dict[str, Any]) -> Callable[[], object]:
    """``create_dataset``: reading and ids; with ``split`` also ``dataset.build()``, the 8:1:1 split by user."""
    repair()
    Path("bench").mkdir()
    Path("bench/bench.inter").symlink_to(job["file"])
    settings = config(
        model="LightGCN", dataset="bench", data_path=".", load_col={"inter": job["columns"]},
    )  # fmt: skip
    create = import_module("recbole.data").create_dataset
    return (lambda: create(settings).build()) if job["split"] else (lambda: create(settings))

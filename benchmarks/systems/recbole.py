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


def write_sequences(folder: Path, histories: list[tuple[int, list[int], list[int]]]) -> None:
    """One atomic file whose times are positions, so that RecBole's own leave-one-out makes the same split."""
    rows = ((user, item, at) for user, train, held in histories for at, item in enumerate(train + held))
    text = "".join(f"{user}\t{item}\t{at}\n" for user, item, at in rows)
    (folder / "bench.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + text)


def sequential(job: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Trainer, train and valid of a sequential model with RecBole's defaults: every prefix a row, full softmax."""
    repair()
    Path("bench").symlink_to(job["files"])
    settings = config(
        model=job["model"], dataset="bench", data_path=".", train_batch_size=job["batch_size"],
        load_col={"inter": ["user_id", "item_id", "timestamp"]}, train_neg_sample_args=None, eval_batch_size=4096,
        eval_args={"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
        metrics=["NDCG"], topk=[10], valid_metric="NDCG@10",
    )  # fmt: skip
    utils, data = import_module("recbole.utils"), import_module("recbole.data")
    utils.init_seed(settings["seed"], settings["reproducibility"])
    train, valid, _ = data.data_preparation(settings, data.create_dataset(settings))
    model = utils.get_model(settings["model"])(settings, train._dataset)
    return utils.get_trainer(settings["MODEL_TYPE"], settings["model"])(settings, model), train, valid


def train_sequences(job: dict[str, Any]) -> Callable[[], None]:
    """``Trainer._train_epoch``, again and again."""
    trainer, train, _ = sequential(job)
    return lambda: trainer._train_epoch(train, 0)


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

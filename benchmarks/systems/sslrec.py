"""SSLRec's own trainer on its own data handler, from a checkout; on the CPU, its ``.cuda()`` without effect."""

import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix

OPTIONS = {
    "LightGCN": {"keep_rate": 1.0},
    "SGL": {"keep_rate": 0.9, "temperature": 0.2, "augmentation": "edge_drop"},
    "SimGCL": {"temperature": 0.2, "eps": 0.1},
}


def write(folder: Path, parts: dict[str, list[tuple[int, int]]]) -> None:
    """Three pickled 0/1 matrices."""
    shape = tuple(1 + max(pair[side] for rows in parts.values() for pair in rows) for side in (0, 1))
    for name, part in {"train": "train", "valid": "test", "test": "test"}.items():
        user, item = np.array(parts[part]).T
        matrix = coo_matrix((np.ones(len(user), dtype=np.float32), (user, item)), shape=shape)
        with (folder / f"{name}_mat.pkl").open("wb") as file:
            pickle.dump(matrix, file)


def train(job: dict[str, Any]) -> Callable[[], None]:
    """``Trainer.train_epoch`` after ``create_optimizer``: an epoch begins with one negative for every row."""
    checkout, model = Path(job["checkout"]), job["model"]
    sys.path.insert(0, str(checkout))
    sys.argv = ["main.py", "--model", model, "--dataset", "gowalla", "--device", "cpu"]
    torch.Tensor.cuda = lambda self, *_, **__: self
    Path("config").symlink_to(checkout / "config")
    Path("datasets/general_cf").mkdir(parents=True)
    Path("datasets/general_cf/sparse_gowalla").symlink_to(job["files"])
    configs = import_module("config.configurator").configs
    configs["train"]["batch_size"] = job["batch_size"]
    configs["model"].update(embedding_size=job["dim"], layer_num=job["layers"], **OPTIONS[model])
    trainers = import_module("trainer.trainer")
    trainers.init_seed()
    data = import_module("data_utils.build_data_handler").build_data_handler()
    data.load_data()
    built = import_module("models.bulid_model").build_model(data).to("cpu")
    trainer = import_module("trainer.build_trainer").build_trainer(data, import_module("trainer.logger").Logger())

    def epoch() -> None:
        trainer.create_optimizer(built)
        trainer.train_epoch(built, 0)

    return epoch

"""MMRec's own trainer, models and data loader, from a checkout, on the CPU.

    python -m benchmarks.systems.mmrec DATASET FOLDER

writes the rows and the first two modalities of a data set of gcl's as MMRec reads them; the last word on
stdout is the number of train rows.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.systems import recbole, selfrec

FILES = ("image_feat.npy", "text_feat.npy")


def main() -> None:
    from benchmarks.systems.gcl import dataset

    data, folder = dataset(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True)
    with (folder / "bench.inter").open("w") as file:
        file.write("userID\titemID\tx_label\n")
        for label, rows in enumerate((data.train, data.valid, data.test)):
            pairs = zip(rows.user.tolist(), rows.item.tolist(), strict=True)
            file.writelines(f"{u}\t{i}\t{label}\n" for u, i in pairs)
    for name, modality in zip(FILES, data.modalities.values(), strict=False):
        np.save(folder / name, modality.values.numpy())
    print(len(data.train))


def without_images() -> None:
    """Modules that MMRec imports for raw images and never uses here, where they are not installed."""
    helpers = ModuleType("utils.data_utils")
    for name in ("ImageResize", "ImagePad", "image_to_tensor", "load_decompress_img_from_lmdb_value"):
        setattr(helpers, name, None)
    sys.modules["utils.data_utils"] = helpers
    sys.modules.setdefault("lmdb", ModuleType("lmdb"))
    if find_spec("torch_scatter") is None:  # for sums of rows when the item graphs are made, in no step
        scatter = ModuleType("torch_scatter")
        scatter.scatter_add = row_sums
        sys.modules["torch_scatter"] = scatter


def row_sums(src: Tensor, index: Tensor, dim: int = -1, dim_size: int | None = None) -> Tensor:
    """``torch_scatter.scatter_add``."""
    size = int(index.max()) + 1 if dim_size is None else dim_size
    return torch.zeros(size, dtype=src.dtype).scatter_add_(dim, index, src)


def train(job: dict[str, Any]) -> Callable[[], None]:
    """``Trainer._train_epoch`` as ``fit`` calls it, after what the model does before an epoch."""
    recbole.repair()
    selfrec.repair()
    without_images()
    source = Path(job["checkout"]) / "src"
    sys.path.insert(0, str(source))
    Path("configs").symlink_to(source / "configs")
    folder = Path("data/bench")
    folder.mkdir(parents=True)
    for file in Path(job["files"]).iterdir():
        (folder / file.name).symlink_to(file)
    given = {
        "use_gpu": False, "data_path": f"{Path.cwd()}/data/", "inter_file_name": "bench.inter", "seed": 0,
        "USER_ID_FIELD": "userID", "ITEM_ID_FIELD": "itemID", "TIME_FIELD": "timestamp", "field_separator": "\t",
        "vision_feature_file": FILES[0], "text_feature_file": FILES[1], "filter_out_cod_start_users": True,
        "train_batch_size": job["batch_size"], "embedding_size": job["dim"], "feat_embed_dim": job["dim"],
        **job["peer"],
    }  # fmt: skip
    config = import_module("utils.configurator").Config(job["model"], "bench", given)
    utils = import_module("utils.utils")
    whole = import_module("utils.dataset").RecDataset(config)
    str(whole)
    rows = whole.split()[0]
    str(rows)
    loader = import_module("utils.dataloader").TrainDataLoader(
        config, rows, batch_size=config["train_batch_size"], shuffle=True
    )
    utils.init_seed(config["seed"])
    loader.pretrain_setup()
    os.environ.setdefault("MPLBACKEND", "Agg")
    model = utils.get_model(config["model"])(config, loader).to(config["device"])
    trainer = utils.get_trainer()(config, model)

    def epoch() -> None:
        loader.pr = loader.inter_pr = 0  # a round that was left early stands where it was left
        model.pre_epoch_processing()
        trainer._train_epoch(loader, 0)

    return epoch


if __name__ == "__main__":
    main()

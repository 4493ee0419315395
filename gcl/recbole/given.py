"""gcl's data set and split as RecBole's: the same ids but for a padding row in front, the same pairs in each part.

Test rows are never handed over.
"""

import tempfile
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gcl.data import Dataset, Interactions, Sequences
from gcl.data.sequences import SequenceRows, windows
from gcl.errors import InputError

METRICS = {"recall": "Recall", "ndcg": "NDCG", "hit_rate": "Hit", "precision": "Precision", "map": "MAP", "mrr": "MRR"}
"""gcl's name of a metric -> RecBole's."""

SCORED = 1 << 17
"""Scores at once in RecBole's evaluation on valid; its 4,096 are two users of MovieLens, one of a large catalogue."""


class Loaders(NamedTuple):
    """RecBole's loaders, and the data set that its models are built from; no ``valid`` where that part is empty."""

    train: Any
    valid: Any
    dataset: Any


def configure(
    model: str | type, settings: Mapping[str, Any], train: Mapping[str, Any], seed: int, device: torch.device
) -> Any:
    """RecBole's configuration of a model under its own settings and gcl's section ``train``.

    ``train.patience`` p is RecBole's ``stopping_step`` p - 1: RecBole stops after one evaluation more without gain.
    Its metric on valid is that of full ranking, whatever candidates gcl evaluates.
    """
    name, _, k = str(train["metric"]).partition("/")[0].partition("@")
    patience = train["patience"]
    given: dict[str, Any] = {
        **{key: value for key, value in settings.items() if key != "train_neg_sample_args"},
        "epochs": train["epochs"],
        "train_batch_size": train["batch_size"],
        "learning_rate": train["lr"],
        "weight_decay": train["weight_decay"],
        "eval_step": train["eval_every"],
        "stopping_step": train["epochs"] if patience is None else patience - 1,
        "valid_metric": f"{METRICS[name]}@{k}",
        "metrics": [METRICS[name]],
        "topk": [int(k)],
        "seed": seed,
        "eval_batch_size": SCORED,
        "benchmark_filename": ["train", "valid", "test"],
        "data_path": ".",
        "checkpoint_dir": tempfile.gettempdir(),
        "show_progress": False,
        "gpu_id": "0" if device.type == "cuda" else "",
        "use_gpu": device.type == "cuda",
    }
    sampling = settings.get("train_neg_sample_args")
    if sampling is not None or settings.get("loss_type") == "CE":
        given["train_neg_sample_args"] = sampling
    config = import_module("recbole.config").Config(model=model, dataset="given", config_dict=given)
    config["device"] = device
    return config


def dataset(config: Any, data: Dataset) -> Any:
    """``data`` as RecBole's data set; its ``given`` is ``data``, user u is u + 1 there and item i is i + 1."""
    module = import_module("recbole.data.dataset")
    sequential = config["MODEL_TYPE"].name == "SEQUENTIAL"
    base = module.SequentialDataset if sequential else module.Dataset
    return _given(base, sequential)(config, data)


def loaders(config: Any, data: Dataset) -> Loaders:
    """RecBole's loaders of train and valid, as its own ``data_preparation`` makes them.

    Raises:
        InputError: RecBole cannot sample negatives, for a user has every item.
    """
    utils = import_module("recbole.data.utils")
    whole = dataset(config, data)
    train, valid, test = whole.build()
    try:
        train_sampler, valid_sampler, _ = utils.create_samplers(config, train, [train, valid, test])
    except ValueError as error:
        raise InputError(f"RecBole cannot sample negatives on {data.name!r}: {error}") from error
    shuffled = config["shuffle"] is not False
    made = utils.get_dataloader(config, "train")(config, train, train_sampler, shuffle=shuffled)
    if not len(valid):
        return Loaders(made, None, train)
    return Loaders(made, utils.get_dataloader(config, "valid")(config, valid, valid_sampler, shuffle=False), train)


def latest(history: Tensor, length: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The last ``width`` items of histories [B, T] in RecBole's ids, 0 beyond; lengths at least 1."""
    kept = length.clamp(max=width)
    place = torch.arange(width, device=history.device)
    position = (length - kept)[:, None] + place
    items = history.gather(1, position.clamp_(0, history.shape[1] - 1)) + 1
    return items.masked_fill(place >= kept[:, None], 0), kept.clamp(min=1)


def _given(base: Any, sequential: bool) -> Any:
    """A RecBole data set class whose rows come from a gcl data set in memory."""
    enums = import_module("recbole.utils")
    kinds, sources = enums.FeatureType, enums.FeatureSource
    interaction = import_module("recbole.data.interaction").Interaction

    class Given(base):
        """gcl's split; RecBole's reading, filters and renumbering have nothing to do."""

        def __init__(self, config: Any, data: Dataset) -> None:
            self.given = data
            super().__init__(config)

        def _load_data(self, token: str, dataset_path: str) -> None:
            self.user_feat = self.item_feat = None
            if sequential:
                rows, sizes = _sequences(self.given, self.config["MAX_ITEM_LIST_LENGTH"])
            else:
                rows, sizes = _pairs(self.given)
            fields = {"user": self.uid_field, "item": self.iid_field, "value": self.config["RATING_FIELD"]}
            fields["history"] = self.iid_field + self.config["LIST_SUFFIX"]
            fields["length"] = self.config["ITEM_LIST_LENGTH_FIELD"]
            self.inter_feat = interaction({fields[name]: column for name, column in rows.items()})
            self.file_size_list = sizes
            for field, kind, source, width in (
                (self.uid_field, kinds.TOKEN, sources.USER_ID, 1),
                (self.iid_field, kinds.TOKEN, sources.ITEM_ID, 1),
                (fields["value"], kinds.FLOAT, sources.INTERACTION, 1),
            ):
                if field in self.inter_feat:
                    self.set_field_property(field, kind, source, width)
            for field, ids in ((self.uid_field, self.given.user_ids), (self.iid_field, self.given.item_ids)):
                self.field2id_token[field] = ["[PAD]", *map(str, ids)]
                self.field2token_id[field] = {token: at for at, token in enumerate(self.field2id_token[field])}
            if sequential:
                width = self.config["MAX_ITEM_LIST_LENGTH"]
                self.item_id_list_field = fields["history"]
                self.set_field_property(fields["history"], kinds.TOKEN_SEQ, sources.INTERACTION, width)
                self.field2id_token[fields["history"]] = self.field2id_token[self.iid_field]

        def _data_processing(self) -> None:
            self.feat_name_list = self._build_feat_name_list()

        def _benchmark_presets(self) -> None:
            self.set_field_property(self.item_list_length_field, kinds.TOKEN, sources.INTERACTION, 1)

        def _change_feat_format(self) -> None:
            """Rows are tensors already."""

    return Given


def _pairs(data: Dataset) -> tuple[dict[str, Tensor], list[int]]:
    """Rows of train, then of valid, from the earliest where times are known; how many of each, and none of test."""
    parts = [_ordered(part) for part in (data.train, data.valid)]
    rows = {"user": torch.cat([p.user for p in parts]) + 1, "item": torch.cat([p.item for p in parts]) + 1}
    values = [p.value for p in parts if p.value is not None]
    if len(values) == len(parts):
        rows["value"] = torch.cat(values)
    return rows, [*map(len, parts), 0]


def _ordered(rows: Interactions) -> Interactions:
    return rows if rows.time is None else rows.select(torch.argsort(rows.time, stable=True))


def _sequences(data: Dataset, width: int) -> tuple[dict[str, Tensor], list[int]]:
    """A row a train prefix, then a row a valid item after all of train; users without train rows have none."""
    made = SequenceRows(data.train.history, Sequences("prefix", width))
    history, valid = data.train.history, data.valid
    count = history.counts[valid.user]
    valid = valid.select(count > 0)
    before = history.counts[valid.user].clamp(max=width)
    last = torch.cat([made.last, history.indptr[valid.user + 1] - 1])
    length = torch.cat([made.length, before])
    items = windows(history, last, length, width) + 1
    rows = {
        "user": torch.cat([made.user, valid.user]) + 1,
        "item": torch.cat([history.indices[made.last + 1], valid.item]) + 1,
        "history": items.masked_fill(torch.arange(width) >= length[:, None], 0),
        "length": length,
    }
    return rows, [len(made), len(valid), 0]

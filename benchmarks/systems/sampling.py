"""The negatives of one epoch of gowalla."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks.systems.gowalla import forget, train
from benchmarks.systems.recbole import repair
from gcl.data import Dataset, Interactions, Pairs, Split, loader


def gcl(job: dict[str, Any]) -> Callable[[], object]:
    """A whole epoch of the loader: permutation, negatives, slices."""
    rows, nothing = train(), torch.zeros(0, dtype=torch.int64)
    empty = Interactions(nothing, nothing, rows.num_users, rows.num_items)
    names = (np.arange(n).astype(str) for n in (rows.num_users, rows.num_items))
    data = Dataset("gowalla", Split(rows, empty, empty), *names)
    sampling = Pairs(negatives=job["negatives"], popularity=job["popularity"])
    batches = loader(data, sampling, job["batch_size"], torch.Generator().manual_seed(0))
    forget()
    return lambda: [batch.negatives for batch in batches]


def recbole(job: dict[str, Any]) -> Callable[[], object]:
    """RecBole's ``Sampler`` asked for every batch of a permutation, as its train loader asks it; nothing else of it."""
    repair()
    from recbole.sampler import Sampler

    rows = train()
    features = {"user": rows.user + 1, "item": rows.item + 1}
    sizes = {"user_num": rows.num_users + 1, "item_num": rows.num_items + 1}
    part = SimpleNamespace(uid_field="user", iid_field="item", inter_feat=features, **sizes)
    kind = "popularity" if job["popularity"] else "uniform"
    sampler = Sampler("train", part, distribution=kind, alpha=job["popularity"] or 1.0).set_phase("train")
    user, item = features["user"], features["item"]

    def epoch() -> None:
        for index in torch.randperm(len(user)).split(job["batch_size"]):
            sampler.sample_by_user_ids(user[index].numpy(), item[index].numpy(), job["negatives"])

    forget()
    return epoch

"""Tiny recommenders, and a way to train them."""

import os
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from gcl.recommenders import Phase, Recommender
from gcl.testing import tiny_dataset
from gcl.training import Interrupted, RunDirectory, TrainSettings, train
from gcl.training.seeds import initialising


class MF(Recommender):
    """Two tables, a pairwise loss, randomness of its own and of torch, hooks that change buffers."""

    def __init__(self, data, *, dim: int = 4, noise: float = 0.1):
        super().__init__(data)
        self.user_table, self.item_table = nn.Embedding(data.num_users, dim), nn.Embedding(data.num_items, dim)
        self.noise = noise
        self.register_buffer("average", torch.zeros(data.num_items, dim))
        self.register_buffer("centre", torch.zeros(dim))

    def losses(self, batch):
        z = torch.randn(len(batch), self.user_table.embedding_dim, generator=self.generator)
        u = F.dropout(self.user_table(batch.users) + self.noise * z, 0.1)
        i, j = self.item_table(batch.items), self.item_table(batch.negatives[:, 0])
        rank = F.softplus((u * (j - i)).sum(-1)).mean()
        return {"rank": rank, "reg": 1e-3 * (u.square().mean() + i.square().mean())}

    def begin_epoch(self, epoch, generator):
        self.centre.copy_(torch.randn(self.centre.shape, generator=generator))

    def after_step(self, step):
        with torch.no_grad():
            self.average.lerp_(self.item_table.weight, 0.1)

    def tables(self):
        return self.user_table.weight, self.item_table.weight + 0.01 * self.average + 0.001 * self.centre


class Turns(MF):
    """Three phases, the first and the last of which share an optimiser."""

    def phases(self):
        users, items = list(self.user_table.parameters()), list(self.item_table.parameters())
        return [
            Phase("users", users, self.losses),
            Phase("items", items, self.losses, lr=0.02, weight_decay=0.01),
            Phase("users", users, self.losses),
        ]


class Counting(Recommender):
    """Closed form: items by their train rows."""

    def __init__(self, data):
        super().__init__(data)
        self.register_buffer("degree", torch.zeros(data.num_items))

    def phases(self):
        return []

    def fit_closed(self, data):
        self.degree.copy_(data.train.by_item.counts)

    def scores(self, query):
        return self.degree.expand(len(query), -1)


SETTINGS = {"epochs": 3, "batch_size": 64, "lr": 0.05, "metric": "ndcg@5"}
EVALUATE = {"k": (5,)}


def go(path, cls=MF, data=None, resume=False, seed=0, **settings):
    """Train a fresh model in a folder: (result, model)."""
    data = tiny_dataset() if data is None else data
    with initialising(seed):
        model = cls(data)
    chosen = TrainSettings(**{**SETTINGS, **settings})
    run = RunDirectory(path)
    result = train(model, data, chosen, EVALUATE, run=run, seed=seed, device="cpu", resume=resume, progress=False)
    return result, model


def same(a: Path, b: Path):
    """Assert that two finished runs have the same metrics, line for line, and the same weights, bit for bit."""
    from gcl.training import checkpoint

    one, two = RunDirectory(a), RunDirectory(b)
    assert one.metrics.read_text() == two.metrics.read_text()
    first, second = one.read_json(one.result), two.read_json(two.result)
    told = ("metrics", "epochs", "best_epoch", "protocol", "split_hash", "cold")
    assert {n: first[n] for n in told} == {n: second[n] for n in told}
    for left, right in ((one.best, two.best), (one.last, two.last)):
        if checkpoint.exists(left) or checkpoint.exists(right):
            x, y = checkpoint.load(left)[0], checkpoint.load(right)[0]
            assert x.keys() == y.keys()
            assert [n for n in x if not torch.equal(x[n], y[n])] == []
            assert not [p for p in left.iterdir() if p.name != "checkpoint.json" and p.suffix != ".safetensors"]


def child(path, resume, settings):
    """The body of a process that trains, not waiting for the disk; exits as the command line does."""
    torch.set_num_threads(1)
    os.fsync = lambda _: None
    try:
        go(path, resume=resume, **settings)
    except Interrupted as error:
        sys.exit(error.exit_code)

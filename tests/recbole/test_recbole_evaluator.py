"""On equal scores and an equal split RecBole's evaluator and gcl's give equal figures."""

from dataclasses import replace

import pytest
import torch

import gcl
from gcl.data import Split
from gcl.recbole import given
from gcl.recbole.enclosure import enclosed
from gcl.testing import tiny_dataset

METRICS = {"recall": "recall", "ndcg": "ndcg", "hit_rate": "hit", "precision": "precision", "map": "map", "mrr": "mrr"}


class Fixed:
    """Scores out of a matrix, for both."""

    def __init__(self, scores):
        self.table = scores

    def scores(self, query):
        return self.table[query.users]

    def full_sort_predict(self, interaction):
        found = self.table[interaction["user_id"] - 1]
        return torch.cat([torch.zeros(len(found), 1), found], 1).flatten()

    def eval(self):
        return self


@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluators_agree(part):
    from recbole.model.general_recommender import BPR
    from recbole.trainer import Trainer

    data = tiny_dataset(users=300, items=120, seed=3)
    scores = Fixed(torch.randn(300, 120, generator=torch.Generator().manual_seed(1)))
    ours = gcl.evaluate(scores, data, part, k=(5, 10, 20)).metrics
    if part == "test":
        whole = data.split.refit()
        data = replace(data, split=Split(whole.train, whole.test, whole.valid))
    settings = {"metric": "ndcg@5", "epochs": 1, "batch_size": 64, "lr": 0.1, "weight_decay": 0.0, "eval_every": 1}
    with enclosed(0):
        config = given.configure("BPR", {"embedding_size": 4}, {**settings, "patience": 1}, 0, torch.device("cpu"))
        for name, value in {
            "topk": [5, 10, 20], "metrics": ["Recall", "NDCG", "Hit", "Precision", "MAP", "MRR"],
            "metric_decimal_place": 12,
        }.items():  # fmt: skip
            config[name] = value
        loaders = given.loaders(config, data)
        trainer = Trainer(config, BPR(config, loaders.dataset))
        trainer.eval_collector.data_collect(loaders.train)
        trainer.model = scores
        theirs = trainer.evaluate(loaders.valid, load_best_model=False)
    for ours_name, theirs_name in METRICS.items():
        for k in (5, 10, 20):
            assert ours[f"{ours_name}@{k}"] == pytest.approx(theirs[f"{theirs_name}@{k}"], abs=1e-6)

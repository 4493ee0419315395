"""Metrics by hand, and against torch_geometric and RecBole on random lists."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gcl.evaluation.metrics import METRICS, VARIANTS, micro_recall

PER_USER = METRICS | {name: f for name, f in VARIANTS.items() if name != "micro_recall"}


def by_hand(name: str, hits: list[int], n: int) -> float:
    ranks = [r for r, hit in enumerate(hits, 1) if hit]
    at_hits = sum((j + 1) / r for j, r in enumerate(ranks))
    ideal = sum(1 / math.log2(r + 1) for r in range(1, min(n, len(hits)) + 1))
    return {
        "recall": len(ranks) / n,
        "precision": len(ranks) / len(hits),
        "hit_rate": float(bool(ranks)),
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks) / ideal,
        "map": at_hits / min(n, len(hits)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "recall_capped": len(ranks) / min(n, len(hits)),
        "map_full": at_hits / n,
    }[name]


def random_hits(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    hits = torch.rand(n, k, generator=g) < 0.3
    positives = hits.sum(1) + torch.randint(0, 2 * k, (n,), generator=g)
    return hits, positives.clamp(min=1)


@pytest.mark.parametrize("name", PER_USER)
@pytest.mark.parametrize(("hits", "n"), [([0, 1, 0, 1], 3), ([1, 1, 1, 1], 9), ([0, 0, 0, 0], 2), ([1, 0, 0, 0], 1)])
def test_by_hand(name, hits, n):
    value = PER_USER[name](torch.tensor([hits]).bool(), torch.tensor([n]))
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(by_hand(name, hits, n), abs=1e-15)


def test_worked_numbers():
    hits, n = torch.tensor([[False, True, False, True]]), torch.tensor([3])
    assert METRICS["recall"](hits, n).item() == pytest.approx(2 / 3)
    assert METRICS["map"](hits, n).item() == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert METRICS["mrr"](hits, n).item() == 0.5
    ideal = 1 + 1 / math.log2(3) + 0.5
    assert METRICS["ndcg"](hits, n).item() == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)


def test_micro_recall_adds_over_users():
    hits, n = random_hits(40, 5)
    assert micro_recall(hits, n).item() == hits.sum().item() / n.sum().item()


def test_a_user_without_positives_gets_zero():
    for metric in PER_USER.values():
        assert metric(torch.zeros(1, 3, dtype=torch.bool), torch.tensor([0])).item() == 0.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), k=st.integers(1, 25), data=st.data())
def test_chunks_merge_exactly_and_order_of_users_does_not_matter(seed, n, k, data):
    hits, positives = random_hits(n, k, seed)
    cut = data.draw(st.integers(1, n - 1))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for metric in PER_USER.values():
        whole = metric(hits, positives)
        parts = torch.cat([metric(hits[:cut], positives[:cut]), metric(hits[cut:], positives[cut:])])
        assert torch.equal(whole, parts)
        assert torch.equal(whole[order], metric(hits[order], positives[order]))
        assert bool((whole >= 0).all() & (whole <= 1 + 1e-12).all())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_recall_hit_rate_and_mrr_grow_with_k(seed):
    hits, positives = random_hits(20, 12, seed)
    for name in ("recall", "hit_rate", "mrr", "map_full"):
        values = torch.stack([PER_USER[name](hits[:, :k], positives) for k in range(1, 13)])
        assert bool((values.diff(dim=0) >= -1e-15).all()), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), place=st.integers(0, 10))
def test_a_hit_one_place_higher_never_hurts(seed, place):
    hits, positives = random_hits(20, 12, seed)
    better = hits.clone()
    both = better[:, [place, place + 1]].sort(1, descending=True).values
    better[:, [place, place + 1]] = both
    for metric in PER_USER.values():
        assert bool((metric(better, positives) >= metric(hits, positives) - 1e-15).all())


def lists_of_scores(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Top 20 of random scores [200, 500], and the relevant pairs [2, m]; every user has one at least."""
    g = torch.Generator().manual_seed(seed)
    scores = torch.rand(200, 500, generator=g)
    relevant = torch.rand(200, 500, generator=g) < 0.03
    relevant[torch.arange(200), torch.randint(0, 500, (200,), generator=g)] = True
    scores += relevant * 0.3
    return scores.topk(20).indices, relevant.nonzero().T, relevant


@pytest.mark.parametrize("k", [1, 5, 20])
def test_equal_to_torch_geometric(k):
    pyg = pytest.importorskip("torch_geometric.metrics")
    items, pairs, relevant = lists_of_scores(k)
    hits, positives = relevant.gather(1, items)[:, :k], relevant.sum(1)
    for name, other in {
        "recall": pyg.LinkPredRecall, "precision": pyg.LinkPredPrecision, "ndcg": pyg.LinkPredNDCG,
        "map": pyg.LinkPredMAP, "mrr": pyg.LinkPredMRR, "hit_rate": pyg.LinkPredHitRatio,
    }.items():  # fmt: skip
        metric = other(k)
        metric.update(items, pairs)
        assert METRICS[name](hits, positives).mean().item() == pytest.approx(float(metric.compute()), abs=1e-6), name


@pytest.fixture
def recbole_metrics(monkeypatch):
    """RecBole's metric classes; the names that numpy 2 removed stand in while they are imported and run."""
    for name, kind in {
        "float": float, "int": int, "bool": bool, "object": object,
        "float_": np.float64, "unicode_": np.str_, "complex_": np.complex128,
    }.items():  # fmt: skip
        monkeypatch.setattr(np, name, kind, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("recbole.evaluator.metrics", exc_type=ImportError)


def test_equal_to_recbole(recbole_metrics):
    items, _, relevant = lists_of_scores(7)
    hits, positives = relevant.gather(1, items), relevant.sum(1)
    config = {"topk": [5, 10, 20], "metric_decimal_place": 12}
    names = {"recall": "Recall", "precision": "Precision", "ndcg": "NDCG", "map": "MAP", "mrr": "MRR"}
    for name, other in (names | {"hit_rate": "Hit"}).items():
        metric = getattr(recbole_metrics, other)(config)
        arguments = (hits.numpy(), positives.numpy())
        values = metric.metric_info(*arguments[: 1 if other in ("MRR", "Hit", "Precision") else 2])
        for k in config["topk"]:
            expected = values[:, k - 1].mean()
            assert METRICS[name](hits[:, :k], positives).mean().item() == pytest.approx(expected, abs=1e-6), (name, k)

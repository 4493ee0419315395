"""evaluate(): hand-worked cases, a naive reference, and what results must not depend on."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gcl.errors import InputError
from gcl.evaluation import Evaluation, evaluate, rank
from gcl.evaluation.metrics import METRICS
from gcl.evaluation.ranking import ENTRY

MATRIX = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5]])
"""Three users over five items; user 2 likes everything alike."""


@pytest.fixture
def small(make_data):
    return make_data([[0], [4], []], [[1], [], []], [[3], [2, 0], [1]], 5)


def test_hand_worked(small, table):
    result = evaluate(table(MATRIX), small, k=[1, 2])
    # lists: user 0 [2, 3], user 1 [3, 2], user 2 [0, 1]; hits [01], [01], [01]
    assert result.users.tolist() == [0, 1, 2]
    assert result.metrics["recall@1"] == 0.0
    assert result.per_user["recall@2"].tolist() == [1.0, 0.5, 1.0]
    assert result.metrics["hit_rate@2"] == 1.0
    assert result.metrics["precision@2"] == 0.5
    assert result.metrics["mrr@2"] == 0.5
    assert result.per_user["map@2"].tolist() == [0.5, 0.25, 0.5]
    first = 1 / math.log2(3)
    expected = torch.tensor([first, first / (1 + first), first], dtype=torch.float64)
    torch.testing.assert_close(result.per_user["ndcg@2"], expected, rtol=0, atol=1e-15)
    assert result.metrics["coverage@2"] == 4 / 5
    assert result.per_user["popularity@2"].tolist() == [0.0, 0.0, 0.5]
    assert result.metrics["gini@2"] == pytest.approx(((2 - 4) + 0 + 2 * 2 + 2 * 4) / 30)  # counts 0 1 1 2 2
    assert result.cold == 1
    assert list(result.metrics)[:6] == ["recall@1", "ndcg@1", "hit_rate@1", "precision@1", "map@1", "mrr@1"]


@pytest.mark.parametrize(
    ("exclude", "lists"),
    [
        ("seen", [[2, 3, 4], [3, 2, 1], [0, 1, 2]]),
        ("train", [[1, 2, 3], [3, 2, 1], [0, 1, 2]]),
        ("none", [[0, 1, 2], [4, 3, 2], [0, 1, 2]]),
    ],
)
def test_exclude(small, table, exclude, lists):
    assert rank(table(MATRIX), small, k=3, exclude=exclude).items.tolist() == lists


def test_valid_leaves_out_train_alone(small, table):
    made = rank(table(MATRIX), small, "valid", k=2)
    assert made.users.tolist() == [0]
    assert made.items.tolist() == [[1, 2]]
    assert made.hits.tolist() == [[True, False]]


def test_refit_counts_valid_as_train(small, table):
    again = small.refit()
    assert rank(table(MATRIX), again, k=2).items.tolist() == rank(table(MATRIX), small, k=2).items.tolist()
    assert rank(table(MATRIX), again, k=2, exclude="train").items[0].tolist() == [2, 3]
    with pytest.raises(InputError, match="valid of 'made' has no user to count: 0 users have items in it"):
        evaluate(table(MATRIX), again, "valid", k=2)


def test_min_train_and_cold(small, table):
    result = evaluate(table(MATRIX), small, k=2, min_train=1)
    assert result.users.tolist() == [0, 1]
    assert result.cold == 0
    assert result.protocol.counted == 2


def test_minus_infinity_and_short_lists_are_misses(make_data, table):
    data = make_data([[0, 1, 2]], [[]], [[3, 4]], 5)
    scores = torch.tensor([[1.0, 1.0, 1.0, 0.5, -math.inf]])
    result = evaluate(table(scores), data, k=4)
    assert rank(table(scores), data, k=4).items.tolist() == [[3, -1, -1, -1]]
    assert result.metrics["recall@4"] == 0.5
    assert result.metrics["precision@4"] == 0.25
    assert result.metrics["coverage@4"] == 0.2
    assert result.metrics["popularity@4"] == 0.0


def naive(matrix: torch.Tensor, data, part: str, exclude: str, k: int) -> dict[str, list[float]]:
    """Every user on its own with Python lists."""
    positives = getattr(data, part)
    parts = {"none": [], "train": [data.train], "seen": [data.train, data.valid] if part == "test" else [data.train]}
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for user in range(data.num_users):
        wanted = positives.item[positives.user == user].tolist()
        if not wanted:
            continue
        hidden = {i for p in parts[exclude] for i in p.item[p.user == user].tolist()}
        row = matrix[user].tolist()
        order = sorted((i for i in range(data.num_items) if i not in hidden), key=lambda i: (-row[i], i))[:k]
        hits = torch.tensor([[i in wanted for i in order] + [False] * (k - len(order))])
        for name, metric in METRICS.items():
            values[name].append(metric(hits, torch.tensor([len(wanted)])).item())
    return values


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), part=st.sampled_from(["valid", "test"]),
    exclude=st.sampled_from(["seen", "train", "none"]), levels=st.sampled_from([2, 10**6]), k=st.integers(1, 20),
)  # fmt: skip
def test_equal_to_a_naive_evaluation(make_random, table, seed, part, exclude, levels, k):
    data = make_random(15, 20, seed)
    if not len(getattr(data, part)):
        return
    matrix = torch.randint(0, levels, (15, 20), generator=torch.Generator().manual_seed(seed)).float()
    result = evaluate(table(matrix), data, part, k=k, exclude=exclude)
    for name, expected in naive(matrix, data, part, exclude, k).items():
        assert result.per_user[f"{name}@{k}"].tolist() == expected, name


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 40), candidates=st.sampled_from(["full", "uni7"]))
def test_chunking_changes_nothing(make_random, table, seed, rows, candidates):
    data = make_random(30, 25, seed)
    matrix = torch.randint(0, 9, (30, 25), generator=torch.Generator().manual_seed(seed)).float()
    whole, part = table(matrix), table(matrix)
    a = evaluate(whole, data, k=[3, 25], candidates=candidates)
    b = evaluate(part, data, k=[3, 25], candidates=candidates, memory_bytes=rows * ENTRY * 25)
    assert a.metrics == b.metrics
    assert all(torch.equal(a.per_user[name], b.per_user[name]) for name in a.per_user)
    assert len(set(part.sizes)) == 1, "all blocks have one size"
    assert part.sizes[0] == min(rows, len(a.users))
    assert a.protocol.id == b.protocol.id


def test_threads_change_nothing_much(make_random):
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            g = torch.Generator().manual_seed(0)
            self.users = nn.Parameter(torch.randn(300, 16, generator=g))
            self.items = nn.Parameter(torch.randn(500, 16, generator=g))

        def scores(self, query):
            return self.users[query.users] @ self.items.T

    data, before = make_random(300, 500, 0), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            for memory in (1 << 29, 64 * ENTRY * 500):
                torch.set_num_threads(threads)
                found.append(evaluate(Product(), data, memory_bytes=memory).metrics)
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-5)


def test_recall_grows_with_k(make_random, table):
    data = make_random(40, 30, 2)
    matrix = torch.rand(40, 30, generator=torch.Generator().manual_seed(2))
    metrics = evaluate(table(matrix), data, k=range(1, 31), exclude="none").metrics
    for name in ("recall", "hit_rate", "mrr", "coverage"):
        values = [metrics[f"{name}@{k}"] for k in range(1, 31)]
        assert values == sorted(values)
    assert metrics["recall@30"] == 1.0


def test_sampled_candidates(make_random, table):
    data = make_random(60, 80, 4)
    scores = torch.rand(60, 80, generator=torch.Generator().manual_seed(4))
    made = rank(table(scores), data, k=[5, 40], candidates="uni10")
    result = evaluate(table(scores), data, k=[5, 40], candidates="uni10")
    assert set(result.metrics) > {"ndcg@5/uni10", "recall@40/uni10", "coverage@5/uni10"}
    assert all(name.endswith("/uni10") for name in result.metrics)
    known = data.train.contains(made.users[:, None].expand_as(made.items), made.items.clamp(min=0)) & (made.items >= 0)
    assert not bool(known.any())
    assert torch.equal((made.items >= 0).sum(1), made.positives + 10)
    assert result.metrics["recall@40/uni10"] == 1.0
    again = evaluate(table(scores), data, k=[5, 40], candidates="uni10", seed=1)
    assert again.metrics != result.metrics
    assert again.protocol.id != result.protocol.id


def test_the_scorer_is_left_as_it_was(small):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(MATRIX.clone())

        def scores(self, query):
            assert not self.training
            assert not torch.is_grad_enabled()
            return self.table

    model = Model().train()
    assert evaluate(model, small, k=2).metrics["hit_rate@2"] == 1.0
    assert model.training
    assert torch.equal(model.table, MATRIX), "items left out keep their scores"


def test_groups(make_data, table):
    data = make_data([[0], [0, 1], [0, 1, 2, 3]], [[]] * 3, [[4], [4], [4, 5]], 6)
    scores = torch.tensor([[0, 0, 0, 0, 1, 0.0], [0, 0, 0, 0, 0, 1.0], [0, 0, 0, 0, 1, 2.0]])
    result = evaluate(table(scores), data, k=1)
    users = [g for g in result.groups if g.kind == "activity"]
    assert [(g.low, g.high, g.size) for g in users] == [(1, 1, 1), (2, 2, 1), (4, 4, 1)]
    assert [g.metrics["recall@1"] for g in users] == [1.0, 0.0, 0.5]
    assert users[0].name == "users with 1 to 1 train rows"
    items = [g for g in result.groups if g.kind == "popularity"]
    assert [(g.low, g.high, g.size) for g in items] == [(0, 0, 2), (1, 1, 2), (2, 3, 2)]
    assert items[0].metrics == {"recall@1": pytest.approx((1 + 0 + 0.5) / 3)}
    assert items[0].name == "items with 0 to 0 train rows"
    halves = evaluate(table(scores), data, k=1, quantiles=[0.5]).groups
    assert [g.kind for g in halves] == ["activity"] * 2 + ["popularity"] * 2
    assert [g.size for g in halves] == [2, 1, 4, 2]


def test_group_means_weighted_by_size_are_the_mean(make_random, table):
    data = make_random(50, 40, 9)
    scores = torch.rand(50, 40, generator=torch.Generator().manual_seed(9))
    result = evaluate(table(scores), data)
    users = [g for g in result.groups if g.kind == "activity"]
    for name, value in result.metrics.items():
        if name in users[0].metrics:
            assert sum(g.size * g.metrics[name] for g in users) / len(result.users) == pytest.approx(value)


def test_written_and_read_back(small, table):
    result = evaluate(table(MATRIX), small, k=2)
    again = Evaluation.from_dict(result.to_dict(), result.tensors())
    assert (again.metrics, again.protocol, again.groups, again.cold) == (
        result.metrics, result.protocol, result.groups, result.cold,
    )  # fmt: skip
    assert torch.equal(again.users, result.users)
    assert set(again.per_user) == set(result.per_user)
    assert len(Evaluation.from_dict(result.to_dict()).users) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"k": 0}, r"k must hold whole numbers from 1 to 5, the size of the catalogue, got \[0\]; .*k=\[10, 20\]"),
        ({"k": [2, 6]}, r"got \[6\]"),
        ({"k": []}, r"got \[\]"),
        ({"k": True}, r"got \[True\]"),
        ({"k": [2.5]}, r"got \[2\.5\]"),
        ({"part": "train"}, r"part must be one of a few names, got 'train'\. .*Valid: test, valid"),
        ({"exclude": "see"}, r"exclude must be .* got 'see'\. Did you mean 'seen'\?"),
        ({"candidates": "uni0"}, r"candidates must be 'full', 'cold', or 'uniN', .* got 'uni0'; for instance 'uni100'"),
        ({"candidates": "pop"}, "got 'pop'"),
        ({"min_train": -1}, r"min_train must be a whole number from 0, got -1"),
        ({"min_train": 9}, r"test of 'made' has no user to count: 3 users .* none of them with 9 train rows"),
        ({"memory_bytes": 10}, r"memory_bytes must hold the scores of one user, 40 bytes for 5 items, got 10"),
        ({"quantiles": (0.5, 0.2)}, r"quantiles must ascend inside \(0, 1\), got \(0\.5, 0\.2\)"),
        ({"quantiles": (0, 1)}, r"quantiles must ascend"),
    ],
)
def test_bad_arguments(small, table, arguments, text):
    with pytest.raises(InputError, match=text):
        evaluate(table(MATRIX), small, **{"k": 2, **arguments})


def test_bad_scores_name_the_scorer(small, table):
    with pytest.raises(InputError, match=r"scores of Table must have one row .*\(3, 5\), got \(3, 4\)"):
        evaluate(table(MATRIX[:, :4]), small, k=2)
    broken = MATRIX.clone()
    broken[1, 2] = math.nan
    with pytest.raises(InputError, match="scores of Table must be numbers, got NaN"):
        evaluate(table(broken), small, k=2)


@pytest.mark.gpu
def test_devices_agree(make_random):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            g = torch.Generator().manual_seed(0)
            self.users = nn.Parameter(torch.randn(300, 16, generator=g))
            self.items = nn.Parameter(torch.randn(3000, 16, generator=g))

        def scores(self, query):
            return self.users[query.users] @ self.items.T

    data = make_random(300, 3000, 0)
    for candidates in ("full", "uni50"):
        host = evaluate(Product(), data, candidates=candidates).metrics
        for place in (data, data.to("cuda")):
            assert evaluate(Product().cuda(), place, candidates=candidates).metrics == pytest.approx(host, abs=1e-5)

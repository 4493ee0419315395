"""Paired tests: against scipy, on cases that can be counted, and under a simulated null."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from gcl.errors import InputError
from gcl.evaluation import Evaluation, Protocol, compare, holm
from gcl.evaluation.significance import bootstrap_interval, effect_size, permutation_test, t_test


def evaluation(values, users=None, **changes) -> Evaluation:
    values = torch.as_tensor(np.asarray(values), dtype=torch.float64)
    users = torch.arange(len(values)) if users is None else torch.as_tensor(users)
    protocol = replace(Protocol("0" * 16, "test", (10,), "seen", "full", 0, len(values)), **changes)
    per_user = {"recall@10": values, "ndcg@10": values**2}
    return Evaluation({name: float(v.mean()) for name, v in per_user.items()}, per_user, users, protocol)


def test_exact_permutation_by_hand():
    # differences 1, 2, 3: of the 8 sign patterns only +++ and --- reach |sum| = 6
    assert permutation_test(np.array([[1.0], [2.0], [3.0]])) == [2 / 8]
    # 1, 1, -1: every pattern has |sum| >= 1
    assert permutation_test(np.array([[1.0], [1.0], [-1.0]])) == [1.0]


def test_permutation_equals_scipy_when_all_flips_are_counted():
    change = np.random.default_rng(0).normal(0.3, 1, (10, 2))
    for m in range(2):
        other = stats.permutation_test((change[:, m],), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert permutation_test(change)[m] == pytest.approx(other.pvalue, abs=1e-12)


def test_permutation_by_sampling_is_near_the_exact_one():
    change = np.random.default_rng(1).normal(0.4, 1, (13, 1))
    exact, sampled = permutation_test(change, 10_000), permutation_test(change, 8_000)
    assert 2**13 <= 10_000
    assert abs(exact - sampled) < 4 * np.sqrt(exact * (1 - exact) / 8_000)


def test_permutation_in_pieces_is_seeded():
    change = np.random.default_rng(2).normal(0.01, 1, (3000, 2))
    first = permutation_test(change, 6000, seed=3)
    assert np.array_equal(first, permutation_test(change, 6000, seed=3))
    assert not np.array_equal(first, permutation_test(change, 6000, seed=4))
    assert permutation_test(np.full((3000, 1), 0.1), 999) == [1 / 1000]


def test_t_test_equals_scipy():
    g = np.random.default_rng(3)
    a, b = g.normal(size=(40, 3)), g.normal(0.2, 1, size=(40, 3))
    np.testing.assert_allclose(t_test(b - a), stats.ttest_rel(b, a).pvalue, rtol=1e-10)


def test_bootstrap_equals_scipy_about():
    change = np.random.default_rng(4).normal(0.1, 1, (200, 1))
    low, high = bootstrap_interval(change, 4000)
    other = stats.bootstrap((change[:, 0],), np.mean, n_resamples=4000, method="percentile", rng=0)
    assert low[0] == pytest.approx(other.confidence_interval.low, abs=0.02)
    assert high[0] == pytest.approx(other.confidence_interval.high, abs=0.02)


def test_effect_size_by_hand():
    assert effect_size(np.array([[1.0], [2.0], [3.0]])) == [2.0]


def test_no_difference_and_constant_difference():
    same = np.zeros((30, 1))
    assert permutation_test(same) == [1.0]
    assert t_test(same) == [1.0]
    assert effect_size(same) == [0.0]
    constant = np.full((30, 1), 0.5)
    assert t_test(constant) == [0.0]
    assert effect_size(constant) == [np.inf]


def test_false_positive_rate_under_the_null():
    """400 comparisons of equal scorers at level .05: rejections stay inside the 99.9 % binomial interval."""
    change = np.random.default_rng(5).exponential(size=(60, 400)) - np.random.default_rng(6).exponential(size=(60, 400))
    low, high = stats.binom.interval(0.999, 400, 0.05)
    assert low <= (permutation_test(change, 2000) < 0.05).sum() <= high
    assert low <= (t_test(change) < 0.05).sum() <= high
    below, above = bootstrap_interval(change, 500)
    assert low <= ((below > 0) | (above < 0)).sum() <= high + 12, "percentile intervals are a little narrow at n = 60"


def test_power():
    change = np.random.default_rng(7).normal(0.5, 1, (60, 200))
    assert (permutation_test(change, 2000) < 0.05).mean() > 0.9


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_compare():
    g = np.random.default_rng(8)
    a = g.random(50)
    b = a + g.normal(0.05, 0.1, 50)
    found = compare(evaluation(a), evaluation(b))
    assert list(found) == ["recall@10", "ndcg@10"]
    row = found["recall@10"]
    assert (row.first, row.second) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    assert row.difference == pytest.approx((b - a).mean())
    assert row.low < row.difference < row.high
    assert row.users == 50
    assert row.p_t == pytest.approx(stats.ttest_rel(b, a).pvalue)
    assert row.p_permutation == pytest.approx(row.p_t, abs=0.01)
    assert row.effect == pytest.approx((b - a).mean() / (b - a).std(ddof=1))
    assert compare(evaluation(a), evaluation(b)) == found, "seeded"
    alone = compare(evaluation(a), evaluation(b), ["ndcg@10"])
    assert list(alone) == ["ndcg@10"]
    back = compare(evaluation(b), evaluation(a))["recall@10"]
    assert back.difference == -row.difference
    assert back.p_permutation == row.p_permutation


def test_different_protocols_name_the_field():
    text = r"different protocols cannot be compared: exclude is 'seen' and 'train'; evaluate both under one protocol"
    with pytest.raises(InputError, match=text):
        compare(evaluation([0.1, 0.2]), evaluation([0.1, 0.2], exclude="train"))


def test_different_users():
    with pytest.raises(InputError, match="results must be of the same users, got 2 and 2 users that are not the same"):
        compare(evaluation([0.1, 0.2]), evaluation([0.1, 0.2], users=[0, 2]))


def test_too_few_users():
    with pytest.raises(InputError, match="a paired test needs values of at least 2 users, got 1"):
        compare(evaluation([0.1]), evaluation([0.2]))


def test_unknown_metric():
    text = r"metric 'recal@10' has no values of users in both\. Did you mean 'recall@10'"
    with pytest.raises(InputError, match=text):
        compare(evaluation([0.1, 0.2]), evaluation([0.1, 0.3]), ["recal@10"])

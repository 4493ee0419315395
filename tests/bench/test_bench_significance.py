"""Significance as the tables tell it: hand-worked, against scipy, and under a simulated null."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from gcl.bench.measure import mean
from gcl.evaluation import Evaluation, Protocol, compare, holm
from gcl.evaluation.significance import bootstrap_interval, permutation_test, t_test

NULL, USERS, LEVEL = 2000, 60, 0.05


def evaluation(values):
    values = torch.as_tensor(np.asarray(values), dtype=torch.float64)
    protocol = Protocol("0" * 16, "test", (10,), "seen", "full", 0, len(values))
    return Evaluation({"ndcg@10": float(values.mean())}, {"ndcg@10": values}, torch.arange(len(values)), protocol)


def null(kind):
    """Paired values [USERS, NULL] of two scorers that are equally good."""
    g = np.random.default_rng(11)
    if kind == "skewed":
        return g.exponential(size=(USERS, NULL)) - g.exponential(size=(USERS, NULL))
    if kind == "mostly ties":
        return g.integers(0, 2, (USERS, NULL)) * g.integers(-1, 2, (USERS, NULL)) * 0.5
    return g.normal(size=(USERS, NULL)) * g.uniform(0.1, 3, (USERS, 1))


@pytest.mark.parametrize("kind", ["skewed", "mostly ties", "users of different spread"])
def test_false_positives_of_the_permutation_test(kind):
    """Rejections at 5 % among 2,000 null comparisons lie within the 99 % binomial interval, or below it where ties make
    the p values coarse."""
    rejected = int((permutation_test(null(kind), 1999) <= LEVEL).sum())
    low, high = stats.binom.interval(0.99, NULL, LEVEL)
    assert rejected <= high
    assert rejected >= low or (kind == "mostly ties" and rejected >= 0.6 * low)


def test_false_positives_of_the_t_test():
    rejected = int((t_test(null("users of different spread")) <= LEVEL).sum())
    low, high = stats.binom.interval(0.99, NULL, LEVEL)
    assert low <= rejected <= high


def test_false_positives_of_a_table():
    """Under Holm at most 5 % of tables with five equal rows have any row that is called different."""
    p = permutation_test(null("skewed"), 1999).reshape(-1, 5)
    found = sum(min(holm(list(row))) <= LEVEL for row in p)
    assert found <= stats.binom.interval(0.99, len(p), LEVEL)[1]
    uncorrected = int((p.min(1) <= LEVEL).sum())
    assert uncorrected > 3 * found, "without the correction, a fifth of the tables would"


def test_coverage_of_the_interval():
    """The 95 % interval holds the truth in 92 to 97 % of cases: percentile intervals are a little narrow."""
    change = null("skewed")[:, :500] + 0.3
    low, high = bootstrap_interval(change, 1000)
    assert 0.92 <= ((low <= 0.3) & (high >= 0.3)).mean() <= 0.97


def test_p_by_hand():
    """Four users: every flip is counted, and the two that reach the sum are all pluses and all minuses, of sixteen."""
    first, second = [0.1, 0.2, 0.3, 0.4], [0.2, 0.4, 0.6, 0.8]
    found = compare(evaluation(first), evaluation(second))["ndcg@10"]
    change = np.subtract(second, first)
    extreme = sum(abs(np.dot(s, change)) >= change.sum() - 1e-12 for s in product((-1, 1), repeat=4))
    assert extreme == 2
    assert found.p_permutation == 2 / 16
    assert found.effect == pytest.approx(0.25 / np.std(change, ddof=1))
    assert found.p_t == pytest.approx(stats.ttest_rel(second, first).pvalue)


def test_p_against_scipy():
    g = np.random.default_rng(3)
    first = g.random(12)
    second = first + g.normal(0.1, 0.2, 12)
    found = compare(evaluation(first), evaluation(second))["ndcg@10"].p_permutation
    other = stats.permutation_test((second - first,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found == pytest.approx(other.pvalue, abs=1e-12)


def test_holm_by_hand():
    """0.01 x 3, then max(0.03, 0.02 x 2), then max(0.04, 0.03 x 1)."""
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])


def test_users_are_means_over_seeds():
    found = mean([evaluation([0.0, 1.0]), evaluation([1.0, 1.0])], "ndcg@10")
    assert found.per_user["ndcg@10"].tolist() == [0.5, 1.0]
    assert found.metrics == {"ndcg@10": 0.75}

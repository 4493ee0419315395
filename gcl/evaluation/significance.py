"""Is one scorer better than another on the same users? Paired tests on values of users."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcl.errors import InputError, nearest
from gcl.evaluation.result import Evaluation

Floats = NDArray[np.float64]
CELLS = 1 << 23


@dataclass(frozen=True)
class Comparison:
    """Second minus first on the same users: means, difference with its bootstrap interval, p values, effect size.

    ``effect`` is Cohen's d_z: mean difference over the standard deviation of the differences.
    """

    metric: str
    users: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_permutation: float
    p_t: float
    effect: float


def compare(
    first: Evaluation,
    second: Evaluation,
    metrics: Iterable[str] | None = None,
    *,
    permutations: int = 10_000,
    resamples: int = 2_000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare two evaluations of one protocol, metric by metric (default: all that have values of users).

    The p values stand alone: over several metrics or several runs, correct them with :func:`holm`.

    Raises:
        InputError: different protocols (the fields are named), different users, fewer than two users, a metric that
            one lacks.
    """
    _check_same(first, second)
    names = [name for name in first.per_user if name in second.per_user] if metrics is None else list(metrics)
    for name in names:
        if name not in first.per_user or name not in second.per_user:
            raise InputError(f"metric {name!r} has no values of users in both. {nearest(name, first.per_user)}")
    a = np.stack([first.per_user[name].cpu().numpy() for name in names], 1)
    b = np.stack([second.per_user[name].cpu().numpy() for name in names], 1)
    change = b - a
    low, high = bootstrap_interval(change, resamples, level, seed)
    sign, t, effect = permutation_test(change, permutations, seed), t_test(change), effect_size(change)
    rows = np.stack([a.mean(0), b.mean(0), change.mean(0), low, high, sign, t, effect], 1).tolist()
    return {name: Comparison(name, len(change), *row) for name, row in zip(names, rows, strict=True)}


def permutation_test(change: Floats, permutations: int = 10_000, seed: int = 0) -> Floats:
    """Two-sided p values [M] of the sign-flip test on differences ``change`` [n, M], all columns under the same flips.

    Null: each user's difference is as likely as its negative. p = (1 + #{|sum of flipped| >= |sum|}) / (1 + flips);
    where 2^n is at most ``permutations``, all flips are gone through once and p is exact.
    """
    n = len(change)
    observed = np.abs(change.sum(0))
    threshold = observed - 1e-9 * np.abs(change).sum(0)
    exact = 2**n <= permutations
    extreme = np.zeros(change.shape[1])
    for signs in _every_sign(n) if exact else _random_signs(n, permutations, seed):
        extreme += (np.abs(signs @ change) >= threshold).sum(0)
    return extreme / 2**n if exact else (1 + extreme) / (1 + permutations)


def bootstrap_interval(
    change: Floats, resamples: int = 2_000, level: float = 0.95, seed: int = 0
) -> tuple[Floats, Floats]:
    """Percentile bootstrap interval of the mean of ``change`` [n, M] over users: (low [M], high [M])."""
    n = len(change)
    generator = np.random.default_rng(seed)
    means = []
    for count in _pieces(resamples, n):
        chosen = generator.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        weight = np.bincount(chosen.ravel(), minlength=count * n).reshape(count, n)
        means.append(weight.astype(np.float64) @ change / n)
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return low, high


def t_test(change: Floats) -> Floats:
    """Two-sided p values [M] of the paired t-test on differences [n, M]; 1 where all differences are 0."""
    from scipy import stats

    spread = change.std(0, ddof=1)
    mean = np.abs(change.mean(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, mean / spread * math.sqrt(len(change)))
    return np.asarray(2 * stats.t.sf(t, len(change) - 1), dtype=np.float64)


def effect_size(change: Floats) -> Floats:
    """Cohen's d_z [M]: mean over standard deviation of the differences [n, M]; 0 where all differences are 0."""
    mean = change.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean == 0, 0.0, mean / change.std(0, ddof=1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm, 1979): reject those that stay below the level, at any dependence.

    In ascending order, the i-th of m (from 0) becomes max over j <= i of min(1, (m - j) p_j).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(x) for x in adjusted]


def _check_same(first: Evaluation, second: Evaluation) -> None:
    different = first.protocol.difference(second.protocol)
    if different:
        raise InputError(
            f"results of different protocols cannot be compared: {different}; evaluate both under one protocol."
        )
    if not np.array_equal(first.users.cpu().numpy(), second.users.cpu().numpy()):
        raise InputError(
            f"results must be of the same users, got {len(first.users)} and {len(second.users)} users that are not "
            "the same; evaluate both on one data set."
        )
    if len(first.users) < 2:
        raise InputError(f"a paired test needs values of at least 2 users, got {len(first.users)}.")


def _pieces(total: int, width: int) -> Iterator[int]:
    """Row counts that sum to ``total``, each so that rows x width stays within :data:`CELLS`."""
    most = max(1, CELLS // width)
    for start in range(0, total, most):
        yield min(most, total - start)


def _random_signs(n: int, total: int, seed: int) -> Iterator[Floats]:
    """``total`` rows of n independent signs, by pieces."""
    generator = np.random.default_rng(seed)
    for count in _pieces(total, n):
        bits = np.unpackbits(np.frombuffer(generator.bytes(-(-count * n // 8)), np.uint8), count=count * n)
        yield 2 * bits.reshape(count, n).astype(np.float64) - 1


def _every_sign(n: int) -> Iterator[Floats]:
    """All 2^n rows of n signs, at once (n is small)."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    yield 2 * bits.astype(np.float64) - 1

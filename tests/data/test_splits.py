import logging

import pytest
import torch
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from gcl.data import Interactions, by_time, given, leave_one_out, ratio
from gcl.data.splits import _sizes
from gcl.errors import InputError


def rows(counts, time=True):
    """Interactions of users with so many items each; times fall from the first row to the last."""
    user = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    item = torch.cat([torch.arange(n) for n in counts])
    stamp = torch.arange(len(user), 0, -1) if time else None
    return Interactions(user, item, len(counts), max(counts), stamp)


def everything(split):
    return torch.cat([p.user * 1000 + p.item for p in (split.train, split.valid, split.test)]).sort().values


def recbole_bump(count, shares):
    """The rounding, one user at a time."""
    exact = [s * count for s in shares]
    sizes = [0 if x < 1 else round(x) for x in exact]
    sizes[0] = count - sum(sizes[1:])
    for part in (2, 1):
        if sizes[0] > 1 and 0 < exact[part] < 1:
            sizes[part] += 1
            sizes[0] -= 1
        while sizes[0] < 1 and sizes[part]:
            sizes[part] -= 1
            sizes[0] += 1
    return sizes


@cases(
    st.lists(st.integers(1, 200), min_size=1, max_size=20),
    st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)),
)
@settings(max_examples=60, deadline=None)
def test_sizes_equal_the_rule_of_one_user(counts, weights):
    shares = [w / sum(weights) for w in weights]
    found = _sizes(torch.tensor(counts), shares)
    assert found.T.tolist() == [recbole_bump(count, shares) for count in counts]
    assert int(found[0].min()) >= 1


def test_ratio_keeps_every_row_once_and_follows_its_seed():
    data = rows([1, 2, 3, 10, 25, 40])
    one, same, other = ratio(data, seed=1), ratio(data, seed=1), ratio(data, seed=2)
    assert torch.equal(everything(one), (data.user * 1000 + data.item).sort().values)
    assert one.hash == same.hash != other.hash
    assert one.made == {"kind": "ratio", "ratios": [0.8, 0.1, 0.1], "order": "random", "seed": 1}
    sizes = torch.stack([torch.bincount(p.user, minlength=6) for p in (one.train, one.valid, one.test)])
    assert sizes.T.tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 1], [8, 1, 1], [21, 2, 2], [32, 4, 4]]


def test_ratio_by_time_gives_the_latest_to_test():
    split = ratio(rows([10, 10]), order="time")
    assert split.test.item.tolist() == [0, 0]
    assert split.valid.item.tolist() == [1, 1]
    assert split.made == {"kind": "ratio", "ratios": [0.8, 0.1, 0.1], "order": "time"}


def test_ratio_draws_within_users_evenly():
    data = rows([10] * 2000, time=False)
    split = ratio(data)
    drawn = torch.bincount(split.test.item, minlength=10)
    assert int((drawn - 200).abs().max()) < 60


def test_leave_one_out_leaves_short_users_in_train(caplog):
    with caplog.at_level(logging.INFO, "gcl.data"):
        split = leave_one_out(rows([1, 2, 3, 5]))
    assert [(int(u), int(i)) for u, i in zip(split.test.user, split.test.item, strict=True)] == [(2, 0), (3, 0)]
    assert split.valid.item.tolist() == [1, 1]
    assert torch.bincount(split.train.user).tolist() == [1, 2, 1, 3]
    assert "2 users with fewer than 3 items stay in train only" in caplog.text


def test_equal_times_keep_the_order_of_rows():
    data = rows([4])
    tied = Interactions(data.user, data.item, 1, 4, torch.zeros(4, dtype=torch.int64))
    assert leave_one_out(tied).test.item.tolist() == [3]


def test_by_time_cuts_at_moments():
    data = rows([3, 3])
    assert by_time(data, 3, 5).train.time.tolist() == [2, 1]
    assert by_time(data, 3, 5).valid.time.tolist() == [4, 3]
    day = 24 * 3600
    dated = Interactions(data.user, data.item, 2, 3, torch.arange(6) * day)
    split = by_time(dated, "1970-01-03", "1970-01-05T00:00")
    assert [len(p) for p in (split.train, split.valid, split.test)] == [2, 2, 2]
    assert split.made == {"kind": "by_time", "valid_from": "1970-01-03", "test_from": "1970-01-05T00:00"}
    assert len(by_time(dated, "1970-01-03", "1970-01-03").valid) == 0


def test_given_sets_a_tenth_of_train_aside():
    data = rows([40, 3, 1, 6], time=False)
    test = data.select(data.item == 0)
    train = data.select(data.item > 0)
    split = given(train, None, test, seed=3)
    assert torch.bincount(split.valid.user, minlength=4).tolist() == [4, 1, 0, 1]
    assert torch.equal(everything(split), (data.user * 1000 + data.item).sort().values)
    assert split.made == {"kind": "given", "valid": "10 % of train", "seed": 3}
    assert given(train, None, test, seed=3).hash == split.hash != given(train, None, test, seed=4).hash
    assert given(split.train, split.valid, test).made == {"kind": "given"}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda d: ratio(d, (0, 0.5, 0.5)), r"^ratios must be three shares for train > 0, .* got \[0, 0\.5, 0\.5\]\.$"),
        (lambda d: ratio(d, (0.9, -0.1, 0.2)), r"^ratios must be three shares"),
        (lambda d: ratio(d, (0.9, 0.1)), r"^ratios must be three shares"),
        (lambda d: ratio(d, order="tme"), r"^order must be 'random' or 'time', got 'tme'\.$"),
        (lambda d: ratio(d, order="time"), r"^order='time' needs time, but the interactions have none; name a time"),
        (leave_one_out, r"^split='leave_one_out' needs time, but the interactions have none"),
        (lambda d: by_time(d, 1, 2), r"^split='by_time' needs time, but the interactions have none"),
        (lambda d: by_time(rows([3]), 2, 1), r"^valid_from must not be later than test_from, got 2 and 1\.$"),
        (lambda d: by_time(rows([3]), "x", 1), r"^valid_from must be a number or a date such as 2014-01-31, got 'x'"),
        (lambda d: by_time(rows([3]), "2014-01-01", "2015-01-01"), r"by_time leaves no row .* times run from 1 to 3,"),
        (lambda d: leave_one_out(rows([2, 2])), r"^The split leave_one_out leaves no row for valid of 4\.$"),
        (lambda d: ratio(rows([1, 1])), r"^The split ratio leaves no row for valid of 2\.$"),
        (lambda d: given(d, d, d), r"^The given split cannot be used: train and valid must be disjoint, but 5 pairs"),
        (lambda d: given(d.select(torch.zeros(0, dtype=torch.int64)), None, d), r"^The given split has no train rows"),
    ],
)
def test_errors(make, text):
    with pytest.raises(InputError, match=text):
        make(rows([2, 3], time=False))

"""Checks of a split: every leak that is planted is found, and clean splits have none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gcl.data import Plan, from_arrays
from gcl.data.leaks import leaks
from gcl.testing import tiny_dataset


def timed(**options):
    """Twelve users with ten rows each, at shuffled times."""
    user = np.repeat(np.arange(12), 10)
    item = (user * 3 + np.tile(np.arange(10), 12)) % 17
    time = np.random.default_rng(0).permutation(120)
    return from_arrays(user, item, time=time, plan=Plan(**options))


def texts(data, leak=True):
    return [found.text for found in leaks(data) if found.leak is leak]


def spoiled(data, **parts):
    """The data set with parts changed behind the split's back."""
    split = replace(data.split)
    for name, part in parts.items():
        object.__setattr__(split, name, part)
    return replace(data, split=split)


@pytest.mark.parametrize(
    "options",
    [{}, {"order": "time"}, {"split": "leave_one_out"}, {"split": "by_time", "valid_from": 80, "test_from": 100}],
)
def test_own_splits_are_clean(options):
    assert texts(timed(**options)) == []


def test_a_pair_in_two_parts():
    data = tiny_dataset()
    both = spoiled(data, test=data.test.union(data.train.select(torch.arange(3))))
    assert texts(both) == ["3 pairs stand in train and in test; remove them from one."]


def test_train_after_test_under_a_split_by_date():
    data = timed(split="by_time", valid_from=80, test_from=100)
    late = spoiled(data, train=replace(data.train, time=data.train.time + 5))
    found = texts(late)
    assert found == ["5 rows of train are not earlier than valid, which is split off by date."]


def test_test_before_train_under_a_split_by_each_users_time():
    data = timed(split="leave_one_out")
    early = spoiled(data, test=replace(data.test, time=data.test.time - 1000))
    assert texts(early) == [
        "12 users have a row of test before their last row of train.",
        "12 users have a row of test before their last row of valid.",
    ]


def test_what_should_be_known():
    found = texts(timed(), leak=False)
    assert any("users have a test row before their last train row: the split is not one by time." in t for t in found)
    found = texts(timed(split="leave_one_out"), leak=False)
    assert any("train rows are later than the earliest test row of anybody" in t for t in found)
    data = tiny_dataset()
    cold = spoiled(data, train=data.train.select(data.train.user != int(data.test.user[0])))
    assert any("of 24 users" in t or "users of test have no train row." in t for t in texts(cold, leak=False))

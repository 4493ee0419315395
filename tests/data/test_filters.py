import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcl.data import Plan, from_arrays
from gcl.data.filters import at_least, k_core
from gcl.data.table import Table
from gcl.errors import InputError


def table(user, item, value=None):
    ids = [np.unique(np.array(column)).astype(str) for column in (user, item)]
    codes = [np.unique(np.array(column), return_inverse=True)[1] for column in (user, item)]
    return Table(*codes, *ids, value=None if value is None else np.array(value))


def naive_core(pairs, min_user, min_item):
    while True:
        left = [
            (u, i)
            for u, i in pairs
            if sum(v == u for v, _ in pairs) >= min_user and sum(j == i for _, j in pairs) >= min_item
        ]
        if left == pairs:
            return pairs
        pairs = left


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40, unique=True),
    st.integers(0, 4), st.integers(0, 4),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_k_core_equals_the_naive_one(pairs, min_user, min_item):
    wanted = naive_core(pairs, min_user, min_item)
    made = table(*zip(*pairs, strict=True))
    if not wanted:
        with pytest.raises(InputError, match=rf"^min_user={min_user}, min_item={min_item} removed the last row of"):
            k_core(made, min_user, min_item)
        return
    found = k_core(made, min_user, min_item)
    named = zip(found.user_ids[found.user], found.item_ids[found.item], strict=True)
    assert [(int(u), int(i)) for u, i in named] == wanted
    assert len(np.unique(found.user)) == len(found.user_ids)


def test_least_value_keeps_equal_values_and_logs(caplog):
    with caplog.at_level(logging.INFO, "gcl.data"):
        found = at_least(table([0, 0, 1], [0, 1, 1], [3, 4, 5]), 4)
    assert found.user_ids.tolist() == ["0", "1"]
    assert found.item_ids.tolist() == ["1"]
    assert "min_value=4: 3 rows, 2 users, 2 items -> 2 rows, 2 users, 1 items" in caplog.text
    assert "may be drawn as negatives" in caplog.text


def test_errors_name_the_filter():
    with pytest.raises(InputError, match=r"^min_value=6 removed the last row of 2 rows, 2 users, 2 items; lower it\.$"):
        at_least(table([0, 1], [0, 1], [3, 4]), 6)
    with pytest.raises(InputError, match=r"^min_value=1 needs a value for every row, but this data set has no value"):
        at_least(table([0, 1], [0, 1]), 1)
    with pytest.raises(InputError, match=r"^min_user must be 0 or more, got -1\.$"):
        Plan(min_user=-1)


def test_value_filter_comes_before_duplicates_and_core_after():
    user = ["a", "a", "a", "b", "b", "b", "c"]
    item = ["x", "x", "y", "x", "y", "y", "x"]
    value = [1, 5, 5, 5, 5, 5, 5]
    plan = Plan(min_value=2, min_user=2, split="ratio", ratios=(1, 0, 0))
    found = from_arrays(user, item, value=value, plan=plan)
    assert found.user_ids.tolist() == ["a", "b"]
    assert len(found.train) == 4

import logging

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from gcl.data import Plan, from_arrays, from_dataframe, from_scipy
from gcl.errors import InputError

ALL = Plan(ratios=(1, 0, 0))


def pairs(data):
    named = zip(data.user_ids[data.train.user], data.item_ids[data.train.item], strict=True)
    return [(str(u), str(i)) for u, i in named]


def test_integers_sort_as_numbers_and_text_by_code_point():
    data = from_arrays([10, 9, 100], ["é", "b c", "B"], plan=ALL)
    assert data.user_ids.tolist() == ["9", "10", "100"]
    assert data.item_ids.tolist() == ["B", "b c", "é"]
    assert pairs(data) == [("10", "é"), ("9", "b c"), ("100", "B")]


def test_ids_that_look_alike_stay_apart():
    data = from_arrays(["007", "7", "-1", "7"], ["a", "a", "a", " a"], plan=ALL)
    assert data.user_ids.tolist() == ["-1", "007", "7"]
    assert data.item_ids.tolist() == [" a", "a"]
    assert from_arrays(["1.5", "2"], [1, 2], plan=ALL).user_ids.tolist() == ["1.5", "2"]
    assert from_arrays([2.0, 1.0], [1, 2], plan=ALL).user_ids.tolist() == ["1", "2"]
    huge = ["99999999999999999999", "3", "20"]
    assert from_arrays(huge, [1, 2, 3], plan=ALL).user_ids.tolist() == ["20", "3", "99999999999999999999"]


def test_duplicates_keep_the_first_and_are_counted(caplog):
    data = from_arrays([1, 2, 1, 1], [1, 1, 1, 2], time=[5, 6, 7, 8], plan=ALL)
    assert pairs(data) == [("1", "1"), ("2", "1"), ("1", "2")]
    assert data.train.time.tolist() == [5, 6, 8]
    assert "dropped 1 duplicate rows of 4" in caplog.text


def test_columns_have_their_types():
    data = from_arrays([1, 2], [1, 2], time=torch.tensor([1.5, 2]), value=[1, 2], plan=ALL)
    assert (data.train.time.dtype, data.train.value.dtype) == (torch.float64, torch.float32)
    assert from_arrays([1, 2], [1, 2], time=[1.0, 2.0], plan=ALL).train.time.dtype == torch.int64
    assert data.train.user.dtype == torch.int64
    data.train.user[0] = 0


def test_order_may_be_forgotten_or_taken_from_rows():
    assert not from_arrays([1, 2], [1, 2], plan=ALL).ordered
    assert not from_arrays([1, 2], [1, 2], time=[1, 2], plan=Plan(ratios=(1, 0, 0), ordered=False)).ordered
    data = from_arrays([1, 2, 1], [1, 2, 3], plan=Plan(ratios=(1, 0, 0), ordered=True))
    assert data.train.time.tolist() == [0, 1, 2]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames(make, caplog):
    frame = make({"Timestamp": [3, 1, 2], "user_id": ["ü", "b", "b"], "SKU": [7, 8, 7], "title": ["x", "y", "x"]})
    with caplog.at_level(logging.INFO, "gcl.data"):
        data = from_dataframe(frame, plan=ALL)
    assert pairs(data) == [("ü", "7"), ("b", "8"), ("b", "7")]
    assert data.train.time.tolist() == [3, 1, 2]
    assert "user = 'user_id', item = 'SKU', time = 'Timestamp'" in caplog.text
    assert pairs(from_dataframe(frame, user="title", item="user_id", plan=ALL))[0] == ("x", "ü")


def test_frames_with_dates_and_missing_entries():
    dated = pd.DataFrame({"user": [1, 2], "item": [3, 4], "time": pd.to_datetime(["1970-01-02", "1970-01-03"])})
    assert from_dataframe(dated, plan=ALL).train.time.tolist() == [86400, 172800]
    holes = pd.DataFrame({"user": ["a", None, "c"], "item": [1, 2, 3]})
    with pytest.raises(InputError, match=r"^dataframe: the user must be given in every row, but row 2 has none;"):
        from_dataframe(holes)
    with pytest.raises(InputError, match=r"the item must be given in every row, but row 3 has none"):
        from_dataframe(pd.DataFrame({"user": [1, 2, 3], "item": [1, 2, np.nan]}))


def test_sparse_matrix_takes_stored_entries():
    matrix = sp.csr_matrix(np.array([[0, 2, 0], [0, 0, 0], [3, 1, 0]], dtype=np.float32))
    data = from_scipy(matrix, plan=ALL)
    assert pairs(data) == [("0", "1"), ("2", "0"), ("2", "1")]
    assert data.train.value.tolist() == [2, 3, 1]
    named = from_scipy(matrix, user_ids=["a", "b", "c"], item_ids=["x", "y", "z"], plan=Plan(2, ratios=(1, 0, 0)))
    assert named.user_ids.tolist() == ["a", "c"]
    assert named.item_ids.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1, 2], [1]), r"^Columns must have one entry a row, got lengths \{'user': 2, 'item': 1\}\.$"),
        (([[1], [2]], [1, 2]), r"^user must be one column, got shape \(2, 1\)\.$"),
        (([], []), r"^arrays has no interactions: it is empty, or holds a header alone\.$"),
        (([1, 1], [1, 2]), r"^arrays has one user only, '1'; at least two are needed\.$"),
        (([1, 2], [5, 5]), r"^arrays has one item only, '5'; at least two are needed\.$"),
        (([1, 2], ["a", " "]), r"^arrays: the item must be given in every row, but row 2 has none"),
        (([1, 2], [1, 2], ["3", "soon"]), r"^arrays: the time must be a number in every row, but row 2 has 'soon'\.$"),
        (([1, 2], [1, 2], [1, 2], ["1", ""]), r"^arrays: the value must be a number in every row, but row 2 has ''\.$"),
        (([1, 2], [1, 2], [1, float("nan")]), r"^arrays: the time must be a number in every row, but row 2 has nan\.$"),
    ],
)
def test_errors(arguments, text):
    with pytest.raises(InputError, match=text):
        from_arrays(*arguments)


@pytest.mark.parametrize(
    ("frame", "arguments", "text"),
    [
        ({"user": [1], "item": [2]}, {"item": "itm"}, r"^dataframe has no column 'itm' for the item\. Did you mean"),
        ({"user": [1], "thing": [2]}, {}, r"^dataframe: no column is known to be the item; .*'user', 'thing'\."),
        ({"user": [1], "item": [2]}, {"user": "item", "item": "item"}, r"column 'item' is used twice"),
    ],
)
def test_errors_of_columns(frame, arguments, text):
    with pytest.raises(InputError, match=text):
        from_dataframe(pd.DataFrame(frame), **arguments)


def test_errors_of_ids_and_plans():
    with pytest.raises(InputError, match=r"^user_ids must have 2 entries as the matrix has, got 1\.$"):
        from_scipy(sp.eye(2), user_ids=["a"])
    with pytest.raises(InputError, match=r"^split 'ration' is unknown\. Did you mean 'ratio'\?"):
        Plan(split="ration")
    with pytest.raises(InputError, match=r"^split='by_time' and its valid_from and test_from go together"):
        Plan(split="by_time", valid_from=1)
    with pytest.raises(InputError, match=r"valid_from=1, test_from=None\.$"):
        Plan(valid_from=1)
    with pytest.raises(InputError, match=r"^split='given' needs parts, but arrays has none; choose another split\.$"):
        from_arrays([1, 2], [1, 2], plan=Plan(split="given"))

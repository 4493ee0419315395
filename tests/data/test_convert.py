import numpy as np
import pytest

from gcl.data import Plan, convert, from_arrays, load
from gcl.errors import InputError
from gcl.testing.data import tiny_dataset


@pytest.mark.parametrize("format", ["atomic", "csv", "npz"])
def test_what_is_written_reads_back_equal(tmp_path, format, caplog):
    data = tiny_dataset()
    written = convert(data, tmp_path / "out", format)
    assert all(path.is_file() for path in written) and not list(tmp_path.rglob("*.part"))
    assert "features are not written: text, image" in caplog.text
    again = load(tmp_path / "out")
    for part in ("train", "valid", "test"):
        mine, theirs = (pairs(d, part) for d in (data, again))
        assert mine == theirs
    if format == "atomic":
        titles = dict(zip(again.item_ids.tolist(), again.item_columns["title"].tolist(), strict=True))
        assert titles == {f"i{n}": f"Title {n}" for n in range(18)}
    if format != "npz":
        stamps = [np.sort(d.train.time.numpy()).tolist() for d in (data, again)]
        assert stamps[0] == stamps[1]


def pairs(data, part):
    rows = getattr(data, part)
    return sorted(zip(data.user_ids[rows.user].tolist(), data.item_ids[rows.item].tolist(), strict=True))


def test_values_and_strange_ids_are_kept(tmp_path):
    data = from_arrays(["a,b", 'q"'], ["x y", "é"], value=[2.5, 1], plan=Plan(ratios=(1, 0, 0)))
    convert(data, tmp_path, "csv")
    assert (tmp_path / "train.csv").read_text() == 'user_id,item_id,rating\n"a,b",x y,2.5\n"q""",é,1.0\n'
    convert(data, tmp_path, "npz")
    assert (tmp_path / "users.txt").read_text() == 'a,b\nq"\n'


def test_errors(tmp_path):
    data = from_arrays(["a\tb", "c"], [1, 2], value=[0, 1], plan=Plan(ratios=(1, 0, 0)))
    with pytest.raises(InputError, match=r"^format 'atomics' is unknown\. Did you mean 'atomic'\?"):
        convert(data, tmp_path, "atomics")
    with pytest.raises(InputError, match=r"^user_id holds tabs or line breaks, which an atomic file cannot; convert"):
        convert(data, tmp_path, "atomic")
    with pytest.raises(InputError, match=r"^A value of 0 cannot be kept in a sparse matrix; convert to csv or atomic"):
        convert(data, tmp_path, "npz")

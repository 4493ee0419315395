"""Sequential models on the command line: from a table with times to a list after a history."""

import pytest
from calls import QUICK, gcl, good, write_csv


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequential")
    rows = [(f"u{u}", f"i{(u + at) % 9}", 10 * at) for u in range(12) for at in range(7)]
    table = write_csv(folder / "rows.csv", rows, "user,item,timestamp")
    settings = ["dim=8", "inner=16", "targets=windows", "max_length=4", "data.split=leave_one_out"]
    good("train", "MCLRec", table, "data.time=timestamp", *settings, *QUICK, "--out", folder / "run")
    return folder / "run"


def test_recommend_after_a_history_shorter_and_longer_than_the_limit(run):
    for history in ("i3", "i1,i2,i3,i4,i5,i6"):
        found = good("recommend", run, "--history", history, "--k", 3, "--json").json["history"]
        assert len(found) == 3 and not {item for item, _ in found} & set(history.split(","))
    assert "after the history" in good("recommend", run, "--history", "i3,i4", "--k", 2).out


def test_bad_histories_are_named(run):
    called = gcl("recommend", run, "--history", "i3,zzz")
    assert called.code == 2 or "zzz" in repr(called.error)
    called = gcl("recommend", run, "--history", ",")
    assert "at least one item" in repr(called.error) + called.err


def test_a_table_without_times_is_refused(tmp_path):
    table = write_csv(tmp_path / "rows.csv", [(f"u{u}", f"i{i}") for u in range(6) for i in range(5)])
    called = gcl("train", "SASRec", table, *QUICK, "--out", tmp_path / "run")
    assert "needs the order of interactions" in repr(called.error) + called.err

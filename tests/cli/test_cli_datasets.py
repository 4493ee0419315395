import pytest
from calls import QUICK, gcl, good, rows

from gcl.data import cards
from gcl.data.check import Report
from gcl.data.locate import present


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GCL_CACHE", str(tmp_path / "cache"))


def test_list_names_every_card():
    found = good("datasets", "list", "--json").json
    assert [entry["name"] for entry in found] == cards.names()
    for entry in found:
        assert {"name", "family", "reference", "arguments", "title", "expected", "license", "folder"} == set(entry)
    assert "ml-100k" in good("datasets", "list").out


def test_get_says_what_to_do_by_hand(no_data):
    called = gcl("datasets", "get", "amazon-baby-mmrec")
    assert called.code == 2
    assert "cannot be fetched" in called.err
    assert "By hand: " in called.err
    called = gcl("datasets", "get", "ml-100")
    assert called.code == 2
    assert "Unknown data set 'ml-100'. Did you mean 'ml-100k'?" in called.err


def test_training_on_a_set_that_is_not_here(no_data, tmp_path):
    called = gcl("train", "EASE", "gowalla", "--out", tmp_path / "run")
    assert called.code == 2
    assert "The data set 'gowalla' is not on this machine; looked in" in called.err


def test_a_set_of_graphs_has_no_users(gcl_data, tmp_path):
    called = gcl("train", "EASE", "cora", "--out", tmp_path / "run")
    assert called.code == 2
    assert "cora is a data set of graphs" in called.err


def test_get_and_check_what_is_here():
    if present(cards.find("ml-100k")) is None:
        pytest.skip("ml-100k is not on this machine")
    assert "ml-100k is in " in good("datasets", "get", "ml-100k").out
    found = good("datasets", "check", "ml-100k", "--json").json
    assert found["ok"]
    assert found["counts"]["interactions"] == {"card": 100000, "found": 100000}


def test_check_fails_where_counts_differ(monkeypatch, tmp_path):
    report = Report("ml-100k", tmp_path, {"ml-100k.inter": "changed"}, {"users": (943, 942)})
    monkeypatch.setattr("gcl.data.check", lambda name: report)
    called = gcl("datasets", "check", "ml-100k")
    assert called.code == 1
    assert "changed" in called.out
    assert "users: 942, not 943" in called.out


@pytest.mark.parametrize("format", ["atomic", "csv", "npz"])
def test_convert_writes_what_train_reads(table, tmp_path, format):
    found = good("datasets", "convert", table, tmp_path / "out", "data.seed=3", "--format", format, "--json").json
    assert found["files"]
    trained = good("train", "EASE", tmp_path / "out", *QUICK, "--out", tmp_path / "run", "--json").json
    direct = good("train", "EASE", table, "data.seed=3", *QUICK, "--out", tmp_path / "direct", "--json").json
    assert trained["metrics"]["test"]["recall@5"] == pytest.approx(direct["metrics"]["test"]["recall@5"], abs=0.2)
    assert trained["protocol"]["counted"] == direct["protocol"]["counted"]
    assert len(rows()) == sum(1 for _ in table.open(encoding="utf-8")) - 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["dim=3"], "Settings here are of the section data, such as data.user=uid, got 'dim'."),
        (["data.usr=x"], "data has no argument 'usr'. Did you mean 'user'?"),
        (["data.seed=x"], "data: seed must be a valid integer, got 'x'."),
        (["--format", "xml"], "'xml' is not one of"),
    ],
)
def test_bad_conversions(table, tmp_path, settings, text):
    called = gcl("datasets", "convert", table, tmp_path / "out", *settings)
    assert called.code == 2
    assert text in called.err


def test_a_folder_that_cannot_be_written_to(table):
    called = gcl("datasets", "convert", table, table / "out")
    assert called.code == 2
    assert f"OUT: cannot write to {table / 'out'}: Not a directory." in called.err


def parts(folder, leak=False):
    """Files of a given split, by part."""
    pairs = rows()
    chosen = {"train": pairs[: len(pairs) // 2], "test": pairs[len(pairs) // 2 :]}
    if leak:
        chosen["test"] = [*chosen["test"], *chosen["train"][:3]]
    for name, found in chosen.items():
        (folder / f"{name}.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in found), encoding="utf-8")
    return [f"data.{name}={folder / name}.csv" for name in chosen]


def test_check_of_ones_own_split(tmp_path):
    called = good("datasets", "check", "mine", *parts(tmp_path))
    assert "mine: split given, hash " in called.out
    assert "no leak found" in called.out
    assert "note" in called.out, "halves by user: the users of test have no train row"
    called = gcl("datasets", "check", "mine", *parts(tmp_path, leak=True))
    assert called.code == 2
    assert "The given split cannot be used: train and test must be disjoint, but " in called.err


def test_check_tells_a_leak_in_time(tmp_path, monkeypatch):
    from gcl.data import Finding

    table = tmp_path / "times.csv"
    table.write_text(
        "user,item,time\n" + "".join(f"{u},{i},{n}\n" for n, (u, i) in enumerate(rows())), encoding="utf-8"
    )
    found = good("datasets", "check", table, "data.split=leave_one_out", "--json").json
    assert found["ok"]
    assert found["leaks"] == []
    assert "time is kept a user, not over all" in found["notes"][0]
    monkeypatch.setattr("gcl.data.leaks", lambda data: [Finding(True, "5 rows of train are not earlier than test.")])
    called = gcl("datasets", "check", table)
    assert called.code == 1
    assert "leak       5 rows of train are not earlier than test." in called.out

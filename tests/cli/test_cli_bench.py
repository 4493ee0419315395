import pytest
import yaml
from calls import gcl, good


@pytest.fixture
def file(table, tmp_path):
    tree = {
        "datasets": [str(table)],
        "metric": "ndcg@5",
        "show": ["ndcg@5"],
        "seeds": [0, 1],
        "settings": {"evaluate.k": [5]},
        "models": {"Popularity": None, "EASE": None},
        "reference": "Popularity",
    }
    path = tmp_path / "few.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def test_bench_prints_tables_and_one_object(file, tmp_path):
    called = good("bench", file, "--out", tmp_path / "out", "--json")
    (table,) = called.json["tables"]
    assert [row["row"] for row in table["rows"]] == ["Popularity", "EASE"]
    (against,) = table["rows"][1]["against"]
    assert against["reference"] == "Popularity"
    assert 0 < against["p_holm"] <= 1
    assert called.json["failed"] == {}
    assert called.json["out"] == str(tmp_path / "out")
    called = good("bench", file, "--out", tmp_path / "out")
    assert "ratings, test: full ranking" in called.out
    assert f"report: {tmp_path / 'out' / 'report.html'}" in called.out.replace("\n", "")


def test_bench_exits_with_1_where_a_run_failed(file, tmp_path):
    tree = yaml.safe_load(file.read_text())
    tree["models"] = {"Popularity": None, "LightGCN": {"settings": {"dim": 4, "train.epochs": 3, "train.lr": 1e30}}}
    tree["seeds"] = [0]
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    called = gcl("bench", file, "--out", tmp_path / "out")
    assert called.code == 1
    assert "failed: LightGCN on " in called.out


def test_bench_of_a_bad_file(tmp_path):
    called = gcl("bench", tmp_path / "none.yaml")
    assert called.code == 2
    assert "none.yaml: No such file or directory." in called.err


def test_tune(table, tmp_path):
    pytest.importorskip("optuna")
    space = tmp_path / "space.yaml"
    space.write_text("l2: {low: 1.0, high: 500.0, log: true}\n")
    few = ["evaluate.k=[5]", "train.metric=ndcg@5", "--space", space, "--trials", 2, "--out", tmp_path / "out"]
    called = good("tune", "EASE", table, *few, "--json")
    assert called.json["metric"] == "ndcg@5"
    assert len(called.json["trials"]) == 2
    assert called.json["best"]["value"] == max(t["value"] for t in called.json["trials"])
    called = good("tune", "EASE", table, *few)
    assert "best: trial " in called.out
    assert "--config" in called.out

import csv
import json

import numpy as np
import pytest
from calls import QUICK, gcl, good, rows


def test_evaluate_gives_the_figures_of_the_run(trained):
    stored = json.loads((trained["LightGCN"] / "result.json").read_text())
    found = good("evaluate", trained["LightGCN"], "--json").json
    assert found["metrics"]["test"] == pytest.approx(stored["metrics"]["test"], abs=1e-6)
    assert found["protocol"]["id"] == stored["protocol"]["id"]
    assert (found["model"], found["seed"], found["epochs"]) == ("LightGCN", 0, 1)
    valid = good("evaluate", trained["LightGCN"], "--split", "valid", "--json").json
    assert valid["metrics"]["valid"] == pytest.approx(stored["metrics"]["valid"], abs=1e-6)


def test_evaluate_under_another_protocol(trained):
    called = good("evaluate", trained["EASE"], "evaluate.k=[3]", "evaluate.exclude=train")
    assert "test @3" in called.out
    assert "test: full ranking, train items left out" in called.out
    assert "users with" in called.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["dim=3"], "gcl evaluate takes settings of the section evaluate, such as evaluate.k=[5], got 'dim'."),
        (["evaluate.kk=3"], "evaluate has no argument 'kk'."),
        (["evaluate.k=[0]"], "k must hold whole numbers from 1 to 18"),
        (["evaluate.k=[19]"], "k must hold whole numbers from 1 to 18"),
        (["--split", "train"], "'train' is not one of"),
    ],
)
def test_bad_evaluations(trained, arguments, text):
    called = gcl("evaluate", trained["EASE"], *arguments)
    assert called.code == 2
    assert text in called.err


@pytest.mark.parametrize("command", ["evaluate", "recommend", "export", "compare"])
def test_no_run_there(tmp_path, command):
    extra = {"recommend": ["--all"], "compare": [tmp_path]}.get(command, [])
    called = gcl(command, tmp_path, *extra)
    assert called.code == 2
    assert f"{tmp_path} holds no run: config.yaml is missing" in called.err


def test_recommend_prints_lists(trained):
    called = good("recommend", trained["EASE"], "--users", "u 1,u 2", "--k", 3)
    assert "user u 1:" in called.out
    assert "user u 2:" in called.out
    found = good("recommend", trained["EASE"], "--users", "u 1", "--users", "u 2", "--k", 3, "--json").json
    assert list(found) == ["u 1", "u 2"]
    assert all(len(line) == 3 for line in found.values())
    seen = {item for user, item in rows() if user == "u 1"}
    assert not seen & {item for item, _ in found["u 1"]}
    scores = [score for _, score in found["u 1"]]
    assert scores == sorted(scores, reverse=True)


def test_recommend_all_and_histories(trained, tmp_path):
    assert len(good("recommend", trained["Popularity"], "--all", "--json").json) == 24
    found = good("recommend", trained["EASE"], "--history", "ï1, ï3", "--k", 2, "--json").json
    assert not {"ï1", "ï3"} & {item for item, _ in found["history"]}


def test_recommend_to_files(trained, tmp_path):
    for name in ("lists.csv", "lists.tsv", "lists.json"):
        good("recommend", trained["EASE"], "--all", "--k", 2, "--out", tmp_path / name)
    with (tmp_path / "lists.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0]["rank"] == "1"
    assert {line["user"] for line in lines} == {f"u {u}" for u in range(24)}
    assert (tmp_path / "lists.tsv").read_text(encoding="utf-8").startswith("user\trank\titem\tscore")
    assert len(json.loads((tmp_path / "lists.json").read_text(encoding="utf-8"))) == 24
    called = gcl("recommend", trained["EASE"], "--all", "--out", tmp_path / "none/lists.csv")
    assert called.code == 2
    assert "--out: cannot write" in called.err


@pytest.mark.parametrize(
    ("model", "arguments", "text"),
    [
        ("EASE", ["--users", "u 99"], "Unknown user 'u 99'. Did you mean 'u 9'?"),
        ("EASE", ["--history", "ï99"], "Unknown item 'ï99'."),
        ("EASE", ["--history", ","], "history must name at least one item"),
        (
            "LightGCN",
            ["--history", "ï1"],
            "LightGCN knows only the users it was trained on and cannot answer a history",
        ),
        ("EASE", [], "gcl recommend takes one of --users 196,22, --all and --history a,b,c."),
        ("EASE", ["--all", "--users", "u 1"], "gcl recommend takes one of"),
        ("EASE", ["--users", "u 1", "--k", "0"], "k must"),
        ("EASE", ["--users", "u 1", "--k", "19"], "k must"),
    ],
)
def test_bad_recommendations(trained, model, arguments, text):
    called = gcl("recommend", trained[model], *arguments)
    assert called.code == 2, called.out + called.err
    assert text in called.err


def test_export_writes_vectors_whose_product_is_the_score(trained, tmp_path):
    found = good("export", trained["LightGCN"], "--out", tmp_path, "--json").json
    assert (found["items"], found["dim"], found["format"]) == (18, 8, "npy")
    users, items, user_ids, item_ids = (
        np.load(tmp_path / f"{name}.npy", allow_pickle=False) for name in ("users", "items", "user_ids", "item_ids")
    )
    assert users.dtype == np.float32
    asked = good("recommend", trained["LightGCN"], "--users", "u 1", "--k", 1, "--json").json["u 1"]
    score = users[list(user_ids).index("u 1")] @ items[list(item_ids).index(asked[0][0])]
    assert score == pytest.approx(asked[0][1], abs=1e-5)


def test_export_of_models_without_vectors_and_without_faiss(trained, monkeypatch):
    called = gcl("export", trained["EASE"])
    assert called.code == 2
    assert "EASE scores items directly and has no vectors." in called.err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    called = gcl("export", trained["LightGCN"], "--format", "faiss")
    assert called.code == 2
    assert "--format faiss needs faiss: pip install 'gcl-rec[faiss]'" in called.err
    called = gcl("export", trained["LightGCN"], "--format", "csv")
    assert called.code == 2
    assert "'csv' is not one of 'npy', 'faiss'" in called.err


def test_files_that_cannot_be_written(trained, tmp_path):
    (tmp_path / "file").touch()
    called = gcl("export", trained["LightGCN"], "--out", tmp_path / "file/vectors")
    assert called.code == 2
    assert f"--out: cannot write to {tmp_path / 'file/vectors'}: Not a directory." in called.err
    called = gcl("recommend", trained["EASE"], "--all", "--out", tmp_path)
    assert called.code == 2
    assert f"--out: cannot write {tmp_path}: Is a directory." in called.err


def test_export_to_faiss(trained, tmp_path):
    faiss = pytest.importorskip("faiss")
    good("export", trained["LightGCN"], "--format", "faiss", "--out", tmp_path)
    index = faiss.read_index(str(tmp_path / "items.faiss"))
    assert (index.ntotal, index.d) == (18, 8)


def test_compare_pairs_runs_of_one_protocol(trained):
    called = good("compare", *(trained[name] for name in ("Popularity", "EASE", "LightGCN")))
    assert "base: Popularity" in called.out
    assert "p corrected for 8 comparisons" in called.out
    found = good("compare", *(trained[name] for name in ("Popularity", "EASE")), "--json").json
    assert [row["metric"] for row in found["comparisons"]] == ["recall@2", "ndcg@2", "recall@5", "ndcg@5"]
    for row in found["comparisons"]:
        assert row["difference"] == pytest.approx(row["second"] - row["first"])
        assert row["p_holm"] >= row["p_permutation"]


def test_compare_refuses_other_protocols(table, trained, tmp_path):
    good("train", "EASE", table, *QUICK, "evaluate.exclude=train", "--out", tmp_path / "other")
    called = gcl("compare", trained["EASE"], tmp_path / "other")
    assert called.code == 2
    assert "results of different protocols cannot be compared: exclude is 'seen' and 'train'" in called.err
    called = gcl("compare", trained["EASE"])
    assert called.code == 2
    assert "gcl compare needs two runs at least, got 1." in called.err


def test_damaged_data_is_named(copied):
    run = copied("EASE")
    path = run / "data/interactions.npz"
    path.write_bytes(path.read_bytes()[:300])
    called = gcl("evaluate", run)
    assert called.code == 2
    assert f"The data stored in {run / 'data'} cannot be read" in called.err


def test_damaged_checkpoints_are_named(copied):
    run = copied("LightGCN")
    weights = next((run / "best").glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-20])
    called = gcl("evaluate", run)
    assert called.code == 2
    assert str(run / "best") in called.err
    weights.write_bytes(content[:-4] + b"\x00\x11\x22\x33")
    called = gcl("evaluate", run)
    assert called.code == 2
    assert str(run / "best") in called.err

"""Features and cold items on the command line."""

import numpy as np
import pytest
from calls import QUICK, gcl, good, rows, write_csv


@pytest.fixture
def table(tmp_path):
    ids = np.array([f"ï{i}" for i in reversed(range(18))])
    values = np.eye(2)[[i % 2 for i in reversed(range(18))]] + np.random.default_rng(0).normal(size=(18, 2)) / 10
    np.savez(tmp_path / "look.npz", values=values, ids=ids)
    np.save(tmp_path / "plain.npy", values)
    return write_csv(tmp_path / "ratings.csv", rows())


def test_features_of_files_train_cold_items_and_print(table, tmp_path):
    given = f"data.modalities={{look: {tmp_path}/look.npz}}"
    cold = ("data.split=cold_items", "evaluate.candidates=cold", "evaluate.k=[1,2]", "train.metric=ndcg@2/cold")
    told = good("train", "VBPR", table, given, *cold, "dim=4", "train.epochs=30", "train.lr=0.05", "--device", "cpu",
                "--out", tmp_path / "run", "--json")  # fmt: skip
    assert told.json["metrics"]["test"]["recall@1/cold"] > 0.3
    assert told.json["protocol"]["candidates"] == "cold"
    (tmp_path / "look.npz").unlink()
    again = good("evaluate", tmp_path / "run", "--json").json["metrics"]["test"]
    assert again == told.json["metrics"]["test"]
    blind = good("evaluate", tmp_path / "run", "--hide", "look", "--json").json
    assert blind["hidden"] == ["look"] and blind["metrics"]["test"] != again
    assert "without look" in good("evaluate", tmp_path / "run", "--hide", "look").out
    wrong = gcl("evaluate", tmp_path / "run", "--hide", "lok")
    assert wrong.code == 2 and "VBPR has no modality 'lok'. Did you mean 'look'?" in " ".join(wrong.err.split())
    full = good("evaluate", tmp_path / "run", "evaluate.candidates=full", "--json").json["metrics"]["test"]
    assert "recall@1" in full
    assert len(good("recommend", tmp_path / "run", "--users", "u 1", "--k", "3", "--json").json["u 1"]) == 3


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("{look: plain.npy}", "without ids of its rows, item ids must be row numbers from 0"),
        ("{look: nothing.npy}", "There is no file of features nothing.npy"),
        ("{look: {path: look.npz, halve: true}}", "look has no argument 'halve'. Did you mean 'half'?"),
        ("{look: null}", "there is no 'look' to leave out"),
        ("{look: {columns: title}}", "items have no column 'title'"),
        ("3", "data: modalities"),
    ],
)
def test_bad_features(table, tmp_path, setting, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    called = gcl("train", "VBPR", table, f"data.modalities={setting}", *QUICK, "--out", "run")
    assert called.code == 2, called.out + called.err
    assert text in " ".join(called.err.split())


def test_without_features_the_message_says_how_to_give_them(table, tmp_path):
    called = gcl("train", "BM3", table, *QUICK, "--out", tmp_path / "run")
    assert called.code == 2
    assert "data.modalities={image: image.npy}" in called.err


def test_a_model_without_modalities_has_none_to_hide(table, tmp_path):
    good("train", "BPRMF", table, *QUICK, "--out", tmp_path / "run")
    told = gcl("evaluate", tmp_path / "run", "--hide", "look")
    text = "--hide look: BPRMF has no modalities to take away; leave it out."
    assert told.code == 2 and text in " ".join(told.err.split())

"""What a comparison must not pass over: what was chosen on test, what has changed, what is missing."""

import json
import re
import shutil

import pytest
from benches import comparison, rows, write, write_table

from gcl.bench import bench, parse
from gcl.bench.plan import PARITY
from gcl.errors import InputError
from gcl.training import load_run


def oracles(table, **changes):
    """Two trials: one knows valid, the other knows test."""
    trials = [{"part": "test"}, {"part": "valid"}]
    models = {"Oracle": {"model": "oracle:Oracle", "settings": {"file": str(table)}, "trials": trials}}
    settings = {"evaluate.k": [2, 5], "data.split": "ratio"}
    return comparison(table, models=models, reference=[], seeds=[0], settings=settings, **changes)


def refused(tree, out, text):
    with pytest.raises(InputError, match=text):
        bench(parse(tree, "b"), out)


@pytest.fixture(scope="module")
def parity(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    return bench(write(folder, oracles(table, select="test", parity=True)), folder / "out")


def test_valid_chooses_though_test_would_choose_otherwise(table, tmp_path):
    (line,) = bench(write(tmp_path, oracles(table)), tmp_path / "out").tables[0].lines
    assert line.settings["part"] == "valid"
    assert line.valid.mean == 1.0 > line.test["ndcg@5"].mean


def test_parity_chooses_on_test_and_its_run_says_so(parity, table, tmp_path):
    (line,) = parity.tables[0].lines
    assert line.settings["part"] == "test"
    assert line.test["ndcg@5"].mean == 1.0 > line.valid.mean
    run = parity.out / "ratings/Oracle-seed0"
    assert PARITY in load_run(run).config.origins.values()
    tree = comparison(table, models={"ours": {"run": str(run)}}, reference=[])
    refused(tree, tmp_path / "out", "models.ours.run: the settings of .* were chosen on test; it can stand only in a")
    again = bench(write(tmp_path, {**tree, "select": "test", "parity": True}), tmp_path / "out")
    assert again.tables[0].parity


def test_measures_of_an_earlier_run_are_not_shown(compared, table, tmp_path, monkeypatch):
    """The run was trained anew under other settings, and measuring it failed."""
    file, before, _ = compared
    out = shutil.copytree(before, tmp_path / "out")
    shutil.rmtree(out / "ratings/SimGCL-DCL-seed0")
    shutil.copytree(out / "ratings/SimGCL-DCL-seed1", out / "ratings/SimGCL-DCL-seed0")
    for name in ("environment.json", "result.json"):
        path = out / "ratings/SimGCL-DCL-seed0" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 0}))
    monkeypatch.setattr("gcl.bench.pool.run", lambda jobs, workers, finished: None)
    lines = {line.label: line for line in bench(file, out).tables[0].lines}
    assert [told["seed"] for told in lines["SimGCL/DCL"].records] == [1]
    assert lines["SimGCL/DCL"].note == "untuned; 1 of 2 seeds; cut at 2 epochs"
    assert lines["LightGCN"].note == "cut at 2 epochs"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seeds": [7]}, "-trial0 holds a run of other settings: seed is 7 and was 0"),
        ({"threads": 2}, "holds a run of other settings: threads is 2 and was 1"),
        ({"precision": "bf16"}, "holds a run of other settings: precision is 'bf16' and was '32'"),
    ],
)
def test_conditions_belong_to_a_run(compared, table, changes, text):
    _, out, _ = compared
    refused(comparison(table, **changes), out, text)


def test_another_table_of_the_same_name(compared, tmp_path):
    _, out, _ = compared
    copy = shutil.copytree(out, tmp_path / "out")
    (tmp_path / "b").mkdir()
    other = write_table(tmp_path / "b")
    refused(comparison(other), copy, r"holds a run of other settings: dataset is .*b/ratings.csv' and was")


def test_a_table_that_changed_between_trials_and_final_runs(tmp_path):
    table = write_table(tmp_path)
    tree = comparison(table, reference=[], seeds=[0], models={"EASE": {"trials": [{"l2": 1.0}, {"l2": 9.0}]}})
    bench(write(tmp_path, tree), tmp_path / "out")
    table.write_text("user,item\n" + "\n".join(f"{u},{i}" for u, i in rows(29)) + "\n")
    outcome = bench(write(tmp_path, {**tree, "seeds": [0, 1]}), tmp_path / "out")
    (reason,) = outcome.failed.values()
    assert re.search(
        r"ratings.csv is not what it was: its split is \w+ now, and runs of EASE in .* were made on", reason
    )
    (line,) = outcome.tables[0].lines
    assert line.note == "1 of 2 seeds"


def test_trials_without_a_figure_are_told(table, tmp_path):
    models = {"EASE": {"settings": {"data.ratios": [0.9, 0.0, 0.1]}, "trials": [{"l2": 1.0}, {"l2": 9.0}]}}
    outcome = bench(write(tmp_path, comparison(table, models=models, reference=[], seeds=[0])), tmp_path / "out")
    assert outcome.failed == {f"EASE on {table}": "no trial has ndcg@5 on valid, so none could be chosen"}


@pytest.mark.parametrize(
    ("name", "runs", "text"),
    [
        ("A", ["LightGCN-seed0", "LightGCN-seed0"], "models.A.run names runs of one seed more than once, 0; keep one"),
        (
            "A",
            ["LightGCN-seed0", "SimGCL-DCL-seed1"],
            "must name runs that differ in their seed alone: model is 'LightG",
        ),
        ("A", ["LightGCN-trial0", "LightGCN-trial1"], r"differ in their seed alone: model.layers is 1 in .*, and 2 in"),
        ("SGL", ["LightGCN-seed0"], "is a run of LightGCN; name the entry otherwise, or give it model: LightGCN"),
        ("A", ["nowhere"], "models.A.run must name folders of finished runs, and .*nowhere holds no run"),
    ],
)
def test_adopted_runs_are_one_row(compared, table, tmp_path, name, runs, text):
    _, out, _ = compared
    tree = comparison(table, models={name: {"run": [str(out / "ratings" / run) for run in runs]}}, reference=[])
    refused(tree, tmp_path / "out", text)


def test_a_column_that_is_not_evaluated(table, tmp_path):
    tree = comparison(table, show=["ndcg@7"])
    refused(tree, tmp_path / "out", r"show has ndcg@7, and evaluate.k is \[2, 5\]; add it there, or leave it out")

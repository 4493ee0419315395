"""A comparison from its file to its report."""

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from benches import comparison, stable, without_cost, write

from gcl.bench import bench, parse
from gcl.config import resolve
from gcl.errors import InputError
from gcl.evaluation import holm
from gcl.training import load_run
from gcl.training.locks import locked


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_every_run_is_stored_and_told(compared):
    _, out, outcome = compared
    assert outcome.failed == {}
    told = lines(out)
    assert told == outcome.records
    runs = {(r["row"], r["stage"], r["number"]) for r in told}
    finals = {(row, "final", s) for row in ("Popularity", "LightGCN", "SimGCL/DCL") for s in (0, 1)}
    assert runs == finals | {("LightGCN", "trial", 0), ("LightGCN", "trial", 1)}
    for record in told:
        run = load_run(record["run"])
        assert run.result["metrics"] == record["metrics"]
        assert record["chosen_on"] == "valid"


def test_the_best_trial_on_valid_is_trained(compared):
    _, out, _ = compared
    told = [r for r in lines(out) if r["row"] == "LightGCN"]
    trials = {r["settings"]["layers"]: r["metrics"]["valid"]["ndcg@5"] for r in told if r["stage"] == "trial"}
    finals = {r["settings"]["layers"] for r in told if r["stage"] == "final"}
    assert finals == {max(trials, key=trials.get)}


def test_the_winners_settings_are_a_file(compared, table):
    _, out, _ = compared
    path = out / "settings/LightGCN/ratings.yaml"
    text = path.read_text()
    assert "chosen on valid by ndcg@5 among 2 trials of small." in text
    found = resolve("LightGCN", str(table), config_file=path)
    chosen = next(r for r in lines(out) if r["row"] == "LightGCN" and r["stage"] == "final")
    assert found.model["layers"] == chosen["settings"]["layers"]
    assert found.evaluate["k"] == [10, 20], "the protocol is not a setting of the method"
    assert not (out / "settings/SimGCL-DCL").exists(), "nothing was chosen"


def test_figures_are_means_over_seeds(compared):
    _, _, outcome = compared
    (table,) = outcome.tables
    line = next(line for line in table.lines if line.label == "SimGCL/DCL")
    values = [r["metrics"]["test"]["ndcg@5"] for r in line.records]
    found = line.test["ndcg@5"]
    assert found.mean == pytest.approx(sum(values) / 2, abs=1e-6)
    assert found.deviation == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-6)
    assert line.against[0].found.difference == pytest.approx(
        found.mean - next(x for x in table.lines if x.label == "LightGCN").test["ndcg@5"].mean, abs=1e-6
    )
    assert line.spectrum[0] == pytest.approx(1)
    assert {"alignment", "uniformity/user"} <= set(line.vectors)
    popular = table.lines[0]
    assert popular.cut == ""
    assert line.cut == "cut at 2 epochs"
    assert popular.spectrum == ()


def test_reports(compared):
    _, out, _ = compared
    told = (out / "report.md").read_text()
    for text in (
        "| SimGCL/DCL |",
        "### Against LightGCN",
        "untuned; cut at 2 epochs",
        "closed form",
        "### Cost",
        "All trials",
    ):
        assert text in told
    page = (out / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 6
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", page), "nothing is fetched"


def test_finished_runs_are_not_repeated(compared):
    file, out, _ = compared
    results = {path: path.stat().st_mtime_ns for path in out.glob("*/*/result.json")}
    assert len(results) == 8
    before = without_cost((out / "report.md").read_text())
    again = bench(file, out, workers=2)
    assert again.failed == {}
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*/result.json")} == results
    assert without_cost((out / "report.md").read_text()) == before


def test_workers_do_not_change_figures(compared, table, tmp_path):
    _, out, _ = compared
    few = comparison(table, models={"LightGCN": comparison(table)["models"]["LightGCN"]})
    bench(write(tmp_path, few), tmp_path / "out", workers=2)
    ours = [stable(r) for r in lines(tmp_path / "out")]
    assert ours == [stable(r) for r in lines(out) if r["row"] in few["models"]]


def test_other_settings_in_a_folder_are_an_error(compared, table, tmp_path):
    _, out, _ = compared
    copy = shutil.copytree(out, tmp_path / "out")
    changed = comparison(table, settings={**comparison(table)["settings"], "train.lr": 0.5})
    text = (
        r"Popularity-seed0 holds a run of other settings: train.lr is 0.5 and was 0.001. Remove the folder to train it "
        r"anew, name the entry otherwise, or choose another --out\."
    )
    with pytest.raises(InputError, match=text):
        bench(write(tmp_path, changed), copy)


def test_an_older_run_may_lack_an_argument_that_is_at_its_default(compared, table, tmp_path):
    _, out, _ = compared
    copy = shutil.copytree(out, tmp_path / "out")
    path = copy / "ratings/LightGCN-trial0/config.yaml"
    path.write_text(path.read_text().replace("  negatives: 1\n", ""))
    assert "negatives" not in load_run(path.parent).config.model
    assert bench(write(tmp_path, comparison(table)), copy).failed == {}


def test_importing_is_light():
    code = "import gcl.bench, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "matplotlib",
        "optuna",
        "recbole",
        "polars",
        "lightning_fabric",
        "torch_geometric",
        "sklearn",
        "tensorboard",
    }
    assert set(done.stdout.split()) & heavy == set()


def test_trials_on_different_splits_cannot_be_chosen_from(compared, table, tmp_path):
    _, out, _ = compared
    copy = shutil.copytree(out, tmp_path / "out")
    path = copy / "ratings/LightGCN-trial1/result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "split_hash": "0" * 16}))
    text = "The trials of LightGCN were made on different splits, 0000000000000000, .*: no best one can be chosen"
    with pytest.raises(InputError, match=text):
        bench(write(tmp_path, comparison(table)), copy)


def test_a_row_without_a_stored_run_is_in_no_table(table, tmp_path):
    tree = comparison(
        table,
        reference=[],
        seeds=[0],
        models={"Popularity": None, "LightGCN": {"settings": {"dim": 4, "train.lr": 1e30}}},
    )
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    assert [line.label for line in outcome.tables[0].lines] == ["Popularity"]
    (reason,) = outcome.failed.values()
    assert reason.startswith("NonFiniteLoss: ")
    assert (tmp_path / "out/ratings/LightGCN-seed0/error.log").is_file()
    told = (tmp_path / "out/report.md").read_text()
    assert "| LightGCN" in told.partition("## Failed")[2]
    assert "| LightGCN |" not in told.partition("## Failed")[0]


def test_rows_of_different_protocols_stand_in_different_tables(table, tmp_path):
    tree = comparison(
        table,
        seeds=[0],
        models={
            "Popularity": None,
            "EASE": None,
            "all": {"model": "EASE", "settings": {"evaluate.exclude": "none"}},
        },
        reference="Popularity",
    )
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    assert [[line.label for line in t.lines] for t in outcome.tables] == [["Popularity", "EASE"], ["all"]]
    assert "nothing left out" in outcome.tables[1].title
    note = "No stored run under this protocol, so nothing is tested against: Popularity."
    assert outcome.tables[1].note == note
    assert note in (tmp_path / "out/report.md").read_text()


def test_parity_names_itself_everywhere(table, tmp_path):
    tree = comparison(
        table,
        select="test",
        parity=True,
        seeds=[0],
        reference=[],
        models={"EASE": {"trials": [{"l2": 1.0}, {"l2": 500.0}]}},
    )
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    trials = {r["settings"]["l2"]: r["metrics"]["test"]["ndcg@5"] for r in outcome.records if r["stage"] == "trial"}
    (line,) = outcome.tables[0].lines
    assert line.settings["l2"] == max(trials, key=trials.get)
    assert "PARITY: trials chosen on test" in outcome.tables[0].title
    told = (tmp_path / "out/report.md").read_text()
    assert "## " in told and "[PARITY: trials chosen on test, too high by design]" in told
    rows = [row for row in told.splitlines() if row.startswith("| EASE")]
    assert rows and all(row.startswith("| EASE (parity)") for row in rows)
    assert {r["chosen_on"] for r in outcome.records} == {"test (parity)"}


def test_finished_folders_are_taken_as_they_are(compared, table, tmp_path):
    _, out, _ = compared
    folders = [str(out / f"ratings/LightGCN-seed{seed}") for seed in (0, 1)]
    tree = comparison(table, models={"Popularity": None, "ours": {"run": folders}}, reference="ours", seeds=[0, 1])
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    line = outcome.tables[0].lines[1]
    assert (line.label, [r["run"] for r in line.records]) == ("ours", folders)
    assert "Finished runs, taken as they are stored: ours." in (tmp_path / "out/report.md").read_text()
    assert not (tmp_path / "out/ratings").exists() or not list((tmp_path / "out/ratings").glob("ours*"))


def test_several_references(compared, table, tmp_path):
    """Four comparisons of three rows with two references, corrected together."""
    _, out, _ = compared
    models = {n: {"run": [str(out / f"ratings/{n}-seed{s}") for s in (0, 1)]} for n in ("Popularity", "LightGCN")}
    models["other"] = {"run": [str(out / f"ratings/SimGCL-DCL-seed{s}") for s in (0, 1)]}
    tree = comparison(table, models=models, reference=["Popularity", "LightGCN"])
    (found,) = bench(write(tmp_path, tree), tmp_path / "out").tables
    told = {line.label: [one.reference for one in line.against] for line in found.lines}
    assert told == {"Popularity": ["LightGCN"], "LightGCN": ["Popularity"], "other": ["Popularity", "LightGCN"]}
    made = [one for line in found.lines for one in line.against]
    raw = [one.found.p_permutation for one in made]
    assert [one.p for one in made] == pytest.approx(holm(raw))
    text = (tmp_path / "out/report.md").read_text()
    assert "### Against Popularity" in text
    assert "### Against LightGCN" in text
    assert "All rows are finished runs, taken as they are stored; epochs were chosen on valid, never test." in text


def test_adopted_folders_must_fit(compared, tmp_path, gcl_data):
    _, out, _ = compared
    folder = out / "ratings/LightGCN-seed0"
    with pytest.raises(InputError, match=r"models.A.run: .* is a run on 'ratings', not on 'ml-100k'\."):
        bench(parse({"datasets": "ml-100k", "models": {"A": {"run": str(folder)}}}, "b"), tmp_path / "out")
    copy = shutil.copytree(folder, tmp_path / "run")
    (copy / "result.json").unlink()
    with pytest.raises(InputError, match="run is not finished; finish it with gcl train --resume"):
        bench(parse({"datasets": "ml-100k", "models": {"A": {"run": str(copy)}}}, "b"), tmp_path / "out")


def test_a_limit_of_seconds_cuts_and_stays(table, tmp_path):
    slow = {"settings": {"dim": 4, "train.epochs": 100_000, "train.patience": None}, "seconds": 4}
    tree = comparison(table, reference=[], seeds=[0], models={"LightGCN": slow})
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    (line,) = outcome.tables[0].lines
    assert line.cut == "cut at 4 seconds"
    epochs = line.records[0]["epochs"]
    assert epochs >= 1
    again = bench(write(tmp_path, tree), tmp_path / "out")
    assert again.tables[0].lines[0].records[0]["epochs"] == epochs
    slow["seconds"] = 6
    more = bench(write(tmp_path, tree), tmp_path / "out")
    assert more.tables[0].lines[0].records[0]["epochs"] > epochs


def test_a_metric_that_an_adopted_run_lacks(compared, table, tmp_path):
    _, out, _ = compared
    tree = comparison(table, models={"A": {"run": str(out / "ratings/LightGCN-seed0")}}, reference=[], metric="ndcg@3")
    text = r"models.A.run: .*LightGCN-seed0 has no ndcg@3 on test, only coverage@2, coverage@5, gini@2, .*"
    with pytest.raises(InputError, match=text):
        bench(write(tmp_path, tree), tmp_path / "out")


def test_a_limit_before_the_first_epoch(table, tmp_path):
    tree = comparison(table, reference=[], seeds=[0], models={"LightGCN": {"settings": {"dim": 4}, "seconds": 1e-6}})
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    (reason,) = outcome.failed.values()
    assert "was stopped before an evaluated epoch was stored: there is nothing to report. Raise seconds" in reason
    assert outcome.tables == []


def test_one_process_at_a_time(compared, tmp_path):
    file, _, _ = compared
    holder = ThreadPoolExecutor(1).submit  # threads count as other processes do
    held = locked(tmp_path)
    holder(held.__enter__).result()
    with pytest.raises(InputError, match="Another process is at work in "):
        bench(file, tmp_path)
    holder(held.__exit__, None, None, None).result()


def test_a_data_set_that_is_not_here(tmp_path, monkeypatch):
    tree = {"datasets": "ml-100", "models": {"Popularity": None}}
    with pytest.raises(
        InputError, match="datasets: 'ml-100' is no file or folder, nor the name of a card. Did you mean"
    ):
        bench(parse(tree, "b"), tmp_path / "out")
    monkeypatch.setenv("GCL_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GCL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="The data set 'gowalla' is not on this machine"):
        bench(parse({**tree, "datasets": "gowalla"}, "b"), tmp_path / "out")


def test_a_device_that_is_none(table, tmp_path):
    with pytest.raises(InputError, match="device must be .* got 'cuda:9x'"):
        bench(write(tmp_path, comparison(table, device="cuda:9x")), tmp_path / "out")


def test_workers(compared, tmp_path):
    file, _, _ = compared
    with pytest.raises(InputError, match="workers must be at least 1, got 0"):
        bench(file, tmp_path, workers=0)


def test_out_must_be_a_folder(compared, tmp_path):
    file, _, _ = compared
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out must name a folder that can be written, got .*file"):
        bench(file, tmp_path / "file")

"""Runs trained by RecBole: of the usual form, complete without RecBole's own files."""

import json
import logging
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import gcl
from gcl import recbole
from gcl.cli import main
from gcl.errors import InputError
from gcl.evaluation import compare
from gcl.testing import tiny_dataset

FEW = {"train": {"epochs": 2, "metric": "ndcg@5"}, "evaluate": {"k": [5]}}


def fit(model, out, data=None, /, **sections):
    return recbole.fit(model, data or tiny_dataset(), settings={**FEW, **sections}, device="cpu", out=out)


def test_a_run_is_of_the_usual_form(tmp_path):
    run = fit("ItemKNN", tmp_path / "a", model={"k": 5})
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert result["model"] == "gcl.recbole:ItemKNN" and result["engine"] == "recbole" and result["cut"] is False
    assert result["metrics"]["test"]["ndcg@5"] == run.evaluate("test").metrics["ndcg@5"]
    assert run.config.model["k"] == 5 and run.config.train["epochs"] == 2
    assert [len(rows) for rows in run.recommend("all", k=3).values()] == [3] * run.data.num_users
    other = fit("BPR", tmp_path / "b", model={"embedding_size": 4})
    assert other.result["epochs"] == 2 and other.result["cut"] is True
    assert [line["epoch"] for line in other.directory.lines()] == [1, 2]
    compare(run.evaluate("test"), other.evaluate("test"))


def test_only_gcls_files_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit("LightGCN", tmp_path / "run", model={"embedding_size": 4})
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    written = {p.suffix for p in (tmp_path / "run").rglob("*") if p.is_file() and p.name != ".lock"}
    assert written <= {".yaml", ".json", ".jsonl", ".npz", ".safetensors"}


def test_nothing_of_the_process_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--epochs=7", "--model=EASE"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    root = logging.getLogger()
    torch.manual_seed(5)
    random.seed(5)
    before = (sys.argv, root.level, list(root.handlers), torch.get_num_threads(), torch.backends.cudnn.deterministic)
    load, numbers = torch.load, (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    run = fit("NeuMF", tmp_path / "run", model={"mf_embedding_size": 4, "mlp_embedding_size": 4})
    assert run.result["epochs"] == 2
    after = (sys.argv, root.level, list(root.handlers), torch.get_num_threads(), torch.backends.cudnn.deterministic)
    assert before == after and torch.load is load and os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert torch.equal(numbers[0], torch.get_rng_state())
    assert (numbers[1] == np.random.get_state()[1]).all() and numbers[2] == random.getstate()  # noqa: NPY002
    assert not {"ray", "recbole.quick_start"} & set(sys.modules)


def test_a_seed_gives_one_run(tmp_path):
    one, two = (fit("BPR", tmp_path / name, model={"embedding_size": 4}) for name in "ab")
    assert one.result["metrics"] == two.result["metrics"]


def test_gcls_model_in_recboles_trainer(tmp_path):
    run = fit("SimGCL", tmp_path / "run", model={"dim": 4, "layers": 1})
    assert type(run.model).__module__ == "gcl.recommenders.general.simgcl"
    assert run.result["model"] == "SimGCL" and run.environment["engine"] == "recbole"
    assert run.evaluate("test").metrics == run.result["metrics"]["test"]


def test_sampled_candidates_are_of_gcls_evaluation_alone(tmp_path):
    run = fit("ItemKNN", tmp_path / "run", evaluate={"k": [5], "candidates": "uni3"})
    assert "ndcg@5/uni3" in run.result["metrics"]["test"] and set(run.directory.lines()[0]) == {
        "epoch",
        "loss",
        "valid/ndcg@5",
    }


def test_an_error_inside_a_model_is_not_taken_for_one_that_scores_pairs(tmp_path, monkeypatch):
    run = fit("BPR", tmp_path / "run", model={"embedding_size": 4})

    def broken(self, interaction):
        raise NotImplementedError("no kernel for this device")

    monkeypatch.setattr(type(run.model.inner), "full_sort_predict", broken)
    with pytest.raises(NotImplementedError, match="no kernel for this device"):
        run.evaluate("test")


def test_names_that_both_have(tmp_path):
    assert recbole.resolved("LightGCN", tiny_dataset()).name == "gcl.recbole:LightGCN"
    assert recbole.resolved("gcl:LightGCN", tiny_dataset()).name == "LightGCN"


def test_sequential_run_answers_histories(tmp_path):
    run = fit("GRU4Rec", tmp_path / "run", model={"embedding_size": 4, "hidden_size": 4})
    assert len(run.recommend(history=["i1", "i2"], k=3)["history"]) == 3
    assert run.evaluate("test").metrics == run.result["metrics"]["test"]


@pytest.mark.parametrize(
    ("model", "sections", "message"),
    [
        ("ItemKN", {}, "Neither RecBole nor gcl has a model 'ItemKN'. Did you mean 'ItemKNN'?"),
        ("DeepFM", {}, "RecBole's DeepFM is context-aware"),
        ("KGAT", {}, "RecBole's KGAT is knowledge-aware"),
        ("S3Rec", {}, "RecBole's S3Rec cannot be trained on interactions alone in one run: it reads features of items"),
        ("BPR", {"model": {"embeding_size": 3}}, "has no argument 'embeding_size'. Did you mean 'embedding_size'?"),
        ("BPR", {"train": {"refit": True, "metric": "ndcg@5"}}, "train.refit is not known to RecBole's trainer"),
        ("BPR", {"train": {"metric": "ndcg@7"}}, "train.metric must be a metric that is evaluated, got 'ndcg@7'"),
    ],
)
def test_errors(tmp_path, model, sections, message):
    with pytest.raises(InputError) as error:
        fit(model, tmp_path / "run", **sections)
    assert message in str(error.value)


def test_sequential_models_need_time(tmp_path):
    with pytest.raises(InputError, match="SASRec needs the order of interactions"):
        fit("SASRec", tmp_path / "run", tiny_dataset(time=False))


def test_unfinished_runs_do_not_go_on(tmp_path):
    run = fit("Pop", tmp_path / "run")
    run.directory.result.unlink()
    with pytest.raises(InputError, match="was begun with --engine recbole, whose runs cannot go on"):
        gcl.training.resume(run.path)
    with pytest.raises(InputError, match="Pop is RecBole's and is trained by RecBole"):
        gcl.fit("gcl.recbole:Pop", tiny_dataset(), evaluate={"k": [10]}, out=tmp_path / "other", progress=False)


def test_baseline_is_a_scorer():
    data = tiny_dataset()
    scorer = recbole.baseline("BPR", data, embedding_size=4, epochs=1, stopping_step=3, valid_metric="NDCG@5")
    assert scorer.arguments["embedding_size"] == 4
    assert gcl.evaluate(scorer, data, k=5).metrics["ndcg@5"] > 0
    with pytest.raises(InputError, match="topk has no meaning here: gcl's evaluation decides it"):
        recbole.baseline("BPR", data, topk=[5])
    with pytest.raises(InputError, match="valid_metric must be one of Recall@10, .*, got 'AUC'"):
        recbole.baseline("BPR", data, valid_metric="AUC")
    with pytest.raises(InputError, match="BPR is not trained yet"):
        gcl.evaluate(recbole.BPR(data), data, k=5)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"stopping_step": "x"}, "stopping_step must be a whole number from 0, got 'x'"),
        ({"stopping_step": -1}, "stopping_step must be a whole number from 0, got -1"),
        ({"valid_metric": "NDCG@0"}, r"k must hold whole numbers from 1 to 18, the size of the catalogue, got \[0\]"),
        ({"valid_metric": "NDCG@5000"}, r"k must hold whole numbers from 1 to 18, .*, got \[5000\]"),
        ({"learner": "adamm"}, "learner must be 'adam', 'adamw', 'sgd', .*, got 'adamm'"),
        ({"seed": -1}, "seed must be a whole number from 0, got -1"),
        ({"device": "gpu"}, "device must be .*, got 'gpu'"),
    ],
)
def test_errors_of_a_baseline(given, text):
    with pytest.raises(InputError, match=text):
        recbole.baseline("BPR", tiny_dataset(), **given)


def test_doctor_reports_the_repairs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gcl", "doctor", "--json"])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["recbole"]
    assert told["with gcl.recbole"] == "runs"
    assert told["repair of torch.load"].startswith("on request")
    assert told["repair of scipy.sparse.dok_matrix._update"].startswith(("repaired: scipy 1.13", "not needed"))
    monkeypatch.delitem(sys.modules, "gcl.recbole")
    monkeypatch.delattr(gcl, "recbole")
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["recbole"]
    assert told["with gcl.recbole"].startswith("RecBole needs Python 3.11 or older, and this is 3.13")


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{u},{(u * 7 + i * 3) % 20},{i}\n" for u in range(30) for i in range(10))
    (tmp_path / "mine.csv").write_text("user_id,item_id,timestamp\n" + rows)
    line = ["gcl", "train", "ItemKNN", "mine.csv", "--engine", "recbole"]
    monkeypatch.setattr(sys, "argv", [*line, "k=4", "--out", "run", "--json"])
    with pytest.raises(SystemExit) as done:
        main()
    out = capsys.readouterr().out.splitlines()
    assert not done.value.code and json.loads(out[-1])["model"] == "gcl.recbole:ItemKNN"
    monkeypatch.setattr(sys, "argv", [*line, "--precision", "bf16"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2 and "--precision bf16 is of gcl's trainer" in capsys.readouterr().err


def test_importing_the_models_leaves_torch_as_it_was():
    text = (
        "import torch; from gcl.recbole.enclosure import enclosed\n"
        "with enclosed(0):\n    import recbole.model.sequential_recommender\n"
        "    assert torch.is_anomaly_enabled()  # or this test says nothing\n"
        "assert not torch.is_anomaly_enabled()"
    )
    subprocess.run([sys.executable, "-c", text], check=True)

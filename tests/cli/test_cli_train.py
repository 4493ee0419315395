import json
import re

import numpy as np
import pytest
from calls import QUICK, gcl, good, rows, write_csv


def test_train_prints_settings_figures_and_where(table, tmp_path):
    called = good("train", "LightGCN", table, "dim=8", "layers=2", *QUICK, "--out", tmp_path / "run")
    assert re.search(r"model\.dim\s+8\s+command line", called.out)
    assert re.search(r"model\.reg\s+0\.0001\s+default", called.out)
    for title in ("Recall", "NDCG", "HitRate", "MRR", "valid @2", "test @5", "peak memory"):
        assert title in called.out
    assert f"run: {tmp_path / 'run'}" in called.out
    assert (tmp_path / "run/result.json").is_file()


def test_train_json_is_the_last_line_and_all_of_stdout(table, tmp_path):
    called = good("train", "EASE", table, "l2=10", *QUICK, "--seed", 3, "--out", tmp_path / "run", "--json")
    assert len(called.out.splitlines()) == 1
    found = called.json
    names = {"model", "dataset", "seed", "protocol", "split_hash", "metrics", "epochs", "seconds", "peak_mb", "run"}
    assert names <= set(found)
    assert (found["model"], found["seed"]) == ("EASE", 3)
    assert set(found["metrics"]) == {"valid", "test"}
    assert 0 <= found["metrics"]["test"]["ndcg@5"] <= 1
    assert found == json.loads((tmp_path / "run/result.json").read_text())
    assert "model.l2" in called.err


def test_the_default_folder_names_model_data_and_seed(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good("train", "Popularity", table, *QUICK, "--seed", 7)
    good("train", "Popularity", table, *QUICK, "--seed", 7)
    names = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert len(names) == 2
    assert all(re.match(r"Popularity-ratings-7-\d{8}-\d{6}(-2)?$", name) for name in names)


def test_resume_of_a_finished_run_prints_it(trained):
    before = json.loads((trained["LightGCN"] / "result.json").read_text())
    called = good("train", "--resume", trained["LightGCN"], "--json")
    assert called.json["metrics"] == before["metrics"]


def test_resume_goes_on(table, tmp_path, monkeypatch):
    from gcl.training.trainer import Trainer

    arguments = ("train", "LightGCN", table, "dim=4", "train.epochs=3", *QUICK[1:], "train.checkpoint_seconds=0")
    good(*arguments, "--out", tmp_path / "whole")
    close = Trainer._close_epoch

    def stop(self, stage, epochs):
        close(self, stage, epochs)
        if self.ledger.epochs == 2:
            raise RuntimeError("power cut")

    monkeypatch.setattr(Trainer, "_close_epoch", stop)
    called = gcl(*arguments, "--out", tmp_path / "cut")
    assert called.code == 1
    assert "Error: RuntimeError: power cut The traceback is in" in called.err
    assert "Traceback" not in called.err
    assert "power cut" in (tmp_path / "cut/error.log").read_text()
    monkeypatch.undo()
    taken = gcl(*arguments, "--out", tmp_path / "cut")
    assert taken.code == 2
    assert "a run that can go on. Continue it with --resume" in taken.err
    good("train", "--resume", tmp_path / "cut")
    whole, cut = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut"))
    assert cut["metrics"] == whole["metrics"]


def test_interruption_exits_with_the_signal(table, tmp_path, monkeypatch):
    from gcl.training import Interrupted
    from gcl.training.trainer import Trainer

    def stop(self, stage, epochs):
        raise Interrupted(15, "Stopped by a signal; go on")

    monkeypatch.setattr(Trainer, "_close_epoch", stop)
    called = gcl("train", "LightGCN", table, *QUICK, "--out", tmp_path / "run")
    assert called.code == 143
    assert "Stopped by a signal; go on" in called.err
    assert not (tmp_path / "run/error.log").exists()
    monkeypatch.setattr(Trainer, "_close_epoch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert gcl("train", "LightGCN", table, *QUICK, "--out", tmp_path / "other").code == 130


@pytest.mark.parametrize("extra", [["--seed", "1"], ["LightGCN"], ["--out", "x"], ["--plain"], ["--device", "cpu"]])
def test_resume_takes_nothing_else(trained, extra):
    called = gcl("train", "--resume", trained["EASE"], *extra)
    assert called.code == 2
    assert "--resume takes nothing else but --json, got " in called.err


def test_resume_under_changed_settings(table, tmp_path, monkeypatch):
    from gcl.training.trainer import Trainer

    def stop(self, stage, epochs):
        self._save(stage)
        raise RuntimeError("power cut")

    monkeypatch.setattr(Trainer, "_close_epoch", stop)
    assert gcl("train", "LightGCN", table, "dim=4", *QUICK, "--out", tmp_path / "run").code == 1
    monkeypatch.undo()
    config = tmp_path / "run/config.yaml"
    config.write_text(config.read_text().replace("reg: 0.0001", "reg: 0.1"))
    called = gcl("train", "--resume", tmp_path / "run")
    assert called.code == 2
    assert "model.reg is 0.1 and was 0.0001" in called.err


def test_a_finished_run_is_not_overwritten(table, trained):
    called = gcl("train", "EASE", table, *QUICK, "--out", trained["EASE"])
    assert called.code == 2
    assert f"{trained['EASE']} holds a finished run. Continue it with --resume" in called.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["LightGNC", "{table}"], "Unknown model 'LightGNC'. Did you mean 'LightGCN'?"),
        (["LightGCN", "{table}", "layer=2"], "LightGCN has no argument 'layer'. Did you mean 'layers'?"),
        (["LightGCN", "{table}", "layers=abc"], "LightGCN: layers must be a valid integer, got 'abc'."),
        (["LightGCN", "{table}", "train.epoch=2"], "train has no argument 'epoch'. Did you mean 'epochs'?"),
        (["LightGCN", "{table}", "train.epochs=0"], "train: epochs must be greater than or equal to 1, got 0."),
        (["LightGCN", "{table}", "objective=InfoNCE"], "objective must be of kind ranking, got InfoNCE of kind pair"),
        (["SimGCL", "{table}", "views=DropEge"], "SimGCL: views: Unknown view 'DropEge'. Did you mean 'DropEdge'?"),
        (["SimGCL", "{table}", "dim"], "A setting must be key=value"),
        (["SimGCL", "dim=3"], "gcl train needs MODEL and DATASET"),
        (["SimGCL"], "gcl train needs MODEL and DATASET"),
        (["SimGCL", "ml-100"], "Did you mean 'ml-100k'?"),
        (["SimGCL", "{table}", "--config", "none.yaml"], "Cannot read the configuration none.yaml: No such file"),
        (["SimGCL", "{table}", "--device", "tpu"], "device must be auto, cpu, cuda or cuda:N, got 'tpu'."),
        (
            ["SimGCL", "{table}", "evaluate.k=[5]", "train.metric=ndcg@7"],
            "train.metric must be a metric that is evaluated, got 'ndcg@7'",
        ),
        (["EASE", "{table}", "evaluate.k=[0]", "train.metric=ndcg@0"], "k must hold whole numbers from 1 to 18"),
        (["EASE", "{table}", "evaluate.k=[999]", "train.metric=ndcg@999"], "got [999]"),
        (["EASE", "{table}", "evaluate.exclude=all"], "exclude must be"),
        (["EASE", "{table}", "data.usr=u"], "data has no argument 'usr'. Did you mean 'user'?"),
        (["EASE", "{table}", "data.user=uid"], "has no column 'uid' for the user"),
        (["EASE", "{table}", "data.separator=;"], "is not separated by ';'. It looks separated by ','."),
        (["EASE", "{table}", "data.min_value=3"], "min_value"),
        (["EASE", "{table}", "data.min_user=1000"], "min_user"),
        (
            ["outside_models:Later", "{table}"],
            "Later needs the order of interactions, and 'ratings' has no time column",
        ),
        (["outside_models:Seeing", "{table}"], "Seeing needs item modalities, and 'ratings' has none"),
        (["no_such_module:Model", "{table}"], "Cannot import 'no_such_module' of model"),
    ],
)
def test_bad_input(table, tmp_path, monkeypatch, arguments, text):
    (tmp_path / "outside_models.py").write_text(
        "from gcl.recommenders.general.popularity import Popularity\n"
        "class Later(Popularity):\n    needs = frozenset({'time'})\n"
        "class Seeing(Popularity):\n    needs = frozenset({'modalities'})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    called = gcl("train", *[a.replace("{table}", str(table)) for a in arguments], "--out", tmp_path / "run")
    assert called.code == 2, called.out + called.err
    assert text in called.err
    assert "Traceback" not in called.err
    assert not (tmp_path / "run/error.log").exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "empty"),
        ("user,item\n", "has no interactions: it is empty, or holds a header alone."),
        ("user,item,time\na,x,soon\nb,y,later\n", "time"),
        ("user,item,rating\na,x,good\nb,y,bad\n", "rating"),
        ("user,item\na,x\na,y\n", "has one user only, 'a'; at least two are needed."),
        ("user,item\na,x\nb,x\n", "has one item only, 'x'; at least two are needed."),
        ("who,what\na,x\nb,y\n", "no column is known to be the user"),
    ],
)
def test_bad_tables(tmp_path, content, text):
    (tmp_path / "bad.csv").write_text(content)
    called = gcl("train", "Popularity", tmp_path / "bad.csv", "--out", tmp_path / "run")
    assert called.code == 2, called.out + called.err
    assert text in called.err
    assert not (tmp_path / "run").exists()


def test_accepted_with_a_logged_count(tmp_path):
    pairs = rows()
    path = write_csv(tmp_path / "double.csv", [*pairs, *pairs[:5], ("lonely user", "ï0")])
    called = good("train", "Popularity", path, *QUICK, "--out", tmp_path / "run")
    assert "5 " in called.err
    assert "duplicate" in called.err


def features_folder(folder, values):
    folder.mkdir()
    pairs = [(u, i, (u + i) % 3) for u in range(8) for i in range(6) if (u + i) % 2 == 0]
    lines = ["userID\titemID\tx_label", *("\t".join(map(str, row)) for row in pairs)]
    (folder / "small.inter").write_text("\n".join(lines) + "\n")
    np.save(folder / "image_feat.npy", values)
    return folder


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.zeros((2, 3), dtype=np.float32), "image"),
        (np.full((6, 3), np.nan, dtype=np.float32), "finite"),
    ],
)
def test_bad_features(tmp_path, values, text):
    folder = features_folder(tmp_path / "small", values)
    called = gcl("train", "VBPR", folder, *QUICK, "--out", tmp_path / "run")
    assert called.code == 2, called.out + called.err
    assert text in called.err
    good("train", "Popularity", folder, *QUICK, "--out", tmp_path / "blind")


def test_cold_users_are_counted_and_named(tmp_path):
    pairs = rows()
    train, test = write_csv(tmp_path / "a.csv", pairs[:-5]), write_csv(tmp_path / "b.csv", [*pairs[-5:], ("new", "ï1")])
    given = (f"data.train={train}", f"data.test={test}")
    called = good("train", "LightGCN", "parts", *given, "dim=4", *QUICK, "--out", tmp_path / "run", "--json")
    assert called.json["cold"] == 1
    assert "1 users and 0 items have no train row" in called.err
    called = gcl("recommend", tmp_path / "run", "--users", "new")
    assert called.code == 2
    assert "user 'new' has no interaction in train" in called.err
    assert "new" not in good("recommend", tmp_path / "run", "--all", "--json").json

"""From names to a run, and a run from its folder alone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import Counting, same

import gcl
from gcl.data import Interactions, Split, TrainInteractions
from gcl.errors import InputError
from gcl.evaluation import evaluate
from gcl.training import Recommendation, fit, load_run, resume, stage, stored

FAST = {"train": {"epochs": 2, "batch_size": 64, "metric": "ndcg@5"}, "evaluate": {"k": [5]}}


@pytest.fixture
def run(tmp_path, data):
    return fit("BPRMF", data, **FAST, dim=4, out=tmp_path / "run", progress=False)


def test_fit(run, data, tmp_path):
    assert {p.name for p in run.path.iterdir()} >= {
        "config.yaml", "metrics.jsonl", "environment.json", "best", "last", "data", "result.json",
    }  # fmt: skip
    assert run.result["model"] == "BPRMF" and run.config.model["dim"] == 4
    assert run.config.origins["model.dim"] == "call" and run.config.origins["train.lr"] == "default"
    assert run.environment["seed"] == 0
    assert run.data.split.hash == data.split.hash


def test_a_run_scores_alone(run, data):
    again = load_run(run.path)
    found = again.evaluate()
    assert found.metrics == run.result["metrics"]["test"]
    assert found.protocol.to_dict() == run.result["protocol"]
    assert again.evaluate("valid").metrics == run.result["metrics"]["valid"]
    assert "ndcg@3" in again.evaluate(k=[3]).metrics
    assert again.evaluate(exclude="none").protocol.exclude == "none"
    with pytest.raises(InputError, match="evaluate has no argument 'kk'"):
        again.evaluate(kk=3)


def test_loading_does_not_move_torch(run):
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    assert load_run(run.path).model.training is False
    assert torch.equal(torch.rand(2), expected)


def test_tuned_file_and_class(tmp_path, data):
    run = fit(gcl.BPRMF, data, **FAST, plain=True, out=tmp_path / "a", progress=False)
    assert run.config.name == "BPRMF"


def test_a_model_of_ones_own(tmp_path, data):
    run = fit("small:Counting", data, evaluate={"k": [5]}, train={"metric": "ndcg@5"}, out=tmp_path, progress=False)
    assert isinstance(run.model, Counting) and run.result["model"] == "small:Counting"


def test_default_folder(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20300101-000000")
    runs = [fit("Popularity", data, **FAST, progress=False) for _ in range(3)]
    name = "Popularity-tiny-0-20300101-000000"
    assert [run.path for run in runs] == [Path("runs", n) for n in (name, f"{name}-2", f"{name}-3")]


def test_folder_of_another_run(run, data):
    with pytest.raises(InputError, match=r"holds a finished run\. Continue it with --resume"):
        fit("BPRMF", data, **FAST, out=run.path, progress=False)


def test_bad_input_touches_no_folder(tmp_path, data):
    with pytest.raises(InputError, match="BPRMF has no argument 'dimm'. Did you mean 'dim'"):
        fit("BPRMF", data, dimm=3, out=tmp_path / "run")
    with pytest.raises(InputError, match="device must be auto"):
        fit("BPRMF", data, device="tpu", out=tmp_path / "run")
    with pytest.raises(InputError, match="data has no argument 'min_user'. It takes none"):
        fit("BPRMF", data, data={"min_user": 3}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Killed(BaseException):
    pass


def cut(tmp_path, data, monkeypatch, model="BPRMF", step=4, **settings):
    """A run that ends after a step, its state saved after every step."""
    original = stage.Stage.run_epoch

    def run_epoch(self):
        for _ in original(self):
            yield
            if self.step == step:
                raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(stage.Stage, "run_epoch", run_epoch)
        settings = {"train": {**FAST["train"], "checkpoint_seconds": 0, **settings}, "evaluate": FAST["evaluate"]}
        with pytest.raises(Killed):
            fit(model, data, **settings, out=tmp_path / "cut", progress=False)
    return tmp_path / "cut"


@pytest.mark.parametrize("model", ["BPRMF", "LightGCN", "SGL", "SimGCL", "XSimGCL", "DirectAU"])
def test_models_resume_bit_for_bit(tmp_path, data, monkeypatch, model):
    whole = fit(model, data, **FAST, out=tmp_path / "whole", progress=False)
    path = cut(tmp_path, data, monkeypatch, model)
    told = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(told.replace("checkpoint_seconds: 0.0", "checkpoint_seconds: 30.0"))
    again = resume(path, progress=False)
    assert again.result["metrics"] == whole.result["metrics"]
    same(whole.path, path)
    assert resume(path, progress=False).result == again.result


def test_resume_takes_the_folder_alone(tmp_path, data, monkeypatch):
    path = cut(tmp_path, data, monkeypatch)
    unevaluated = load_run(cut(tmp_path / "early", data, monkeypatch, step=1))
    with pytest.raises(InputError, match="has no evaluated epoch yet; continue it first with gcl train --resume"):
        unevaluated.evaluate()
    early = load_run(path)
    assert early.result == {} and early.evaluate("valid").metrics
    config = path / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("lr: 0.001", "lr: 0.002"))
    with pytest.raises(InputError, match=r"train.lr is 0.002 and was 0.001.*Put the settings back"):
        resume(path, progress=False)
    config.write_text(text.replace("reg: 0.0001", "reg: 0.1"))
    with pytest.raises(InputError, match=r"model.reg is 0.1 and was 0.0001"):
        resume(path, progress=False)
    config.write_text(text)
    assert resume(path, progress=False).result["epochs"] == 2


def table(path):
    """Ratings, and what is known of users and items, in atomic files."""
    path.mkdir()
    rows = [f"u{u}\ti{i}\t{(u + i) % 5}" for u in range(24) for i in range(18) if (u + i) % 2 == 0 or (u * i) % 7 == 3]
    (path / "t.inter").write_text("\n".join(["user_id:token\titem_id:token\trating:float", *rows]))
    items = [f"i{i}\tTitle {i}\t{1990 + i}" for i in range(18)]
    (path / "t.item").write_text("\n".join(["item_id:token\ttitle:token\tyear:token", *items]))
    (path / "t.user").write_text("\n".join(["user_id:token\tzip:token", *(f"u{u}\tZIP{u}" for u in range(24))]))
    return path


def test_changed_data_settings_are_refused(tmp_path, monkeypatch):
    path = cut(tmp_path, table(tmp_path / "t"), monkeypatch)
    config = path / "config.yaml"
    text = config.read_text()
    assert "split: ratio" in text and "data.split: data set" in text
    config.write_text(text.replace("min_value: null", "min_value: 4.0").replace("order: random", "order: time"))
    with pytest.raises(
        InputError, match=r"data.min_value is 4.0 and was None; data.order is 'time' and was 'random'\."
    ):
        resume(path, progress=False)
    config.write_text(text.replace(f"dataset: {tmp_path / 't'}", "dataset: ml-100k"))
    with pytest.raises(InputError, match=r"dataset is 'ml-100k' and was '.*/t'\. Put the settings back"):
        resume(path, progress=False)
    config.write_text(text)
    assert resume(path, progress=False).result["epochs"] == 2


def test_only_the_shown_columns_are_kept(tmp_path):
    run = fit("Popularity", table(tmp_path / "t"), **FAST, out=tmp_path / "a", progress=False)
    assert set(run.data.item_columns) == {"title"} and not run.data.user_columns
    assert run.recommend("u1", k=1)["u1"][0].shown["title"].startswith("Title")
    assert not [p for p in run.path.rglob("*") if p.is_file() and b"ZIP" in p.read_bytes()]
    shown = fit(
        "Popularity", tmp_path / "t", **FAST, data={"show": ["year"]}, out=tmp_path / "b", progress=False
    ).recommend("u1", k=1)["u1"][0].shown  # fmt: skip
    assert list(shown) == ["year"]


def test_damaged_data_is_named(run):
    path = run.path / "data/interactions.npz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"The data stored in .*data cannot be read"):
        load_run(run.path).evaluate()


def test_no_run(tmp_path):
    for call in (resume, load_run):
        with pytest.raises(InputError, match="holds no run: config.yaml is missing"):
            call(tmp_path)


def test_weights_of_another_model(run):
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("dim: 4", "dim: 8"))
    with pytest.raises(InputError, match="holds the weights of another model than config.yaml describes"):
        load_run(run.path).model  # noqa: B018


def test_refit(tmp_path, data):
    settings = {**FAST, "train": {**FAST["train"], "refit": True}}
    run = fit("BPRMF", data, **settings, out=tmp_path, progress=False)
    again = load_run(tmp_path)
    assert len(again.trained_on.train) == len(data.train) + len(data.valid)
    assert run.result["split_hash"] == data.split.hash, (
        "test is ranked under the protocol of runs that were not refitted"
    )
    assert again.evaluate().metrics == run.result["metrics"]["test"]
    with pytest.raises(InputError, match="part must be test: this run was refitted"):
        again.evaluate("valid")
    settings |= {"evaluate": {**settings.get("evaluate", {}), "candidates": "cold"}}
    with pytest.raises(InputError, match=r"train\.refit cannot go with evaluate\.candidates='cold': a model"):
        fit("BPRMF", data, **settings, out=tmp_path / "cold", progress=False)


# --- recommend ------------------------------------------------------------------------------------------------------


def test_recommend(run, data):
    lists = run.recommend(["u3", "u0"], k=4)
    assert list(lists) == ["u3", "u0"]
    known = data.train.union(data.valid).union(data.test).by_user
    for user, rows in lists.items():
        have = {f"i{i}" for i in known.take(torch.tensor([int(user[1:])]))[1].tolist()}
        scores = run.model.scores(gcl.data.Query(torch.tensor([int(user[1:])])))[0]
        best = [i for i in torch.sort(scores, descending=True, stable=True).indices.tolist() if f"i{i}" not in have]
        assert [r.item for r in rows] == [f"i{i}" for i in best[:4]]
        assert [r.score for r in rows] == pytest.approx([float(scores[i].detach()) for i in best[:4]])
        assert all(isinstance(r, Recommendation) and r.shown == {"title": f"Title {r.item[1:]}"} for r in rows)
    everybody = run.recommend("all", k=4)
    assert len(everybody) == data.num_users
    for again in (run.recommend("u3", k=4), everybody):
        assert [r.item for r in again["u3"]] == [r.item for r in lists["u3"]]


def test_recommend_gives_fewer_where_fewer_are_left(run, data):
    known = int(data.train.union(data.valid).union(data.test).by_user.counts[5])
    assert len(run.recommend("u5", k=18)["u5"]) == 18 - known


def test_recommend_bad_input(run):
    with pytest.raises(InputError, match=r"Unknown user 'u99'\. Did you mean 'u9'\? Valid: u0, .* and 19 more"):
        run.recommend(["u99"])
    with pytest.raises(InputError, match=r"BPRMF knows only the users it was trained on and cannot answer a history"):
        run.recommend(history=["i1"])
    with pytest.raises(InputError, match="recommend takes users or a history: name one of them"):
        run.recommend()
    with pytest.raises(InputError, match="k must lie in 1 .. 18"):
        run.recommend("u1", k=19)


def test_recommend_after_a_history(tmp_path, data):
    run = fit("EASE", data, **FAST, out=tmp_path, progress=False)
    rows = run.recommend(history=["i2", "i4"], k=5)["history"]
    assert len(rows) == 5 and not {"i2", "i4"} & {r.item for r in rows}
    with pytest.raises(InputError, match="Unknown item 'x'"):
        run.recommend(history=["x"])
    with pytest.raises(InputError, match="history must name at least one item"):
        run.recommend(history=[])


def with_cold_user(data):
    """The data set with all train rows of user 0 moved to test."""
    split, first = data.split, data.train.user == 0
    own, rest = data.train.select(first), data.train.select(~first)
    train = TrainInteractions(rest.user, rest.item, rest.num_users, rest.num_items, rest.time)
    test = split.test.union(own)
    test = Interactions(test.user, test.item, test.num_users, test.num_items, test.time)
    return replace(data, split=Split(train, split.valid, test))


def test_cold_users(tmp_path, data, caplog):
    cold = with_cold_user(data)
    run = fit("BPRMF", cold, **FAST, out=tmp_path / "mf", progress=False)
    with pytest.raises(InputError, match="user 'u0' has no interaction in train, and BPRMF knows only users"):
        run.recommend(["u1", "u0"])
    assert len(run.recommend("all")) == data.num_users - 1
    assert "1 users without train rows are left out" in caplog.text
    assert run.result["cold"] == 1
    folded = fit("EASE", cold, **FAST, out=tmp_path / "ease", progress=False).recommend("all", k=3)
    history = cold.train.union(cold.valid).union(cold.test).history.take(torch.tensor([0]))[1]
    scores = load_run(tmp_path / "ease").recommend(history=[f"i{i}" for i in history.tolist()], k=3)["history"]
    assert [r.item for r in folded["u0"]] == [r.item for r in scores] and list(folded) == data.user_ids.tolist()


def test_a_run_of_a_model_with_modalities_keeps_them(tmp_path, data):
    run = fit("test_fit:Multimodal", data, **FAST, out=tmp_path, progress=False)
    assert set(load_run(tmp_path).data.modalities) == {"text", "image"} and run.result["metrics"]["test"]
    assert not stored.read(fit("EASE", data, **FAST, out=tmp_path / "b", progress=False).directory.data).modalities


class Multimodal(Counting):
    needs = frozenset({"modalities"})

    def __init__(self, data):
        super().__init__(data)
        self.width = data.modalities["text"].dim


# --- the root of the package ----------------------------------------------------------------------------------------


def test_root_names():
    assert gcl.fit is fit and gcl.load_run is load_run and gcl.evaluate is evaluate
    assert gcl.LightGCN.__name__ == "LightGCN" and gcl.losses.InfoNCE
    assert {"fit", "load", "evaluate", "load_run", "SimGCL", "data"} <= set(dir(gcl))
    with pytest.raises(AttributeError, match="module 'gcl' has no attribute 'LightGNC'"):
        gcl.LightGNC  # noqa: B018


def test_root_is_light():
    code = (
        "import sys, torch, time; start = time.process_time(); import gcl; spent = time.process_time() - start\n"
        "print(spent, *(m for m in sys.modules if m.startswith('gcl')))\n"
        "gcl.SimGCL, gcl.load, gcl.fit, gcl.load_run\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    spent, *own = first.split()
    assert float(spent) < 0.5 and own == ["gcl"]
    heavy = {"recbole", "torch_geometric", "lightning_fabric", "sklearn", "tensorboard", "polars", "matplotlib"}
    assert {m.split(".")[0] for m in second.split()} & heavy == set()

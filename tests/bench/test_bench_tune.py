"""The search for settings: proposals, spaces, and going on after a stop."""

import json
import re
import shutil
import sys
from typing import Annotated

import pytest
import yaml
from benches import SHORT
from pydantic import Field

from gcl.bench import pool, tune, tuning
from gcl.bench.space import Choice, Range, of, read
from gcl.bench.tuning import Trial, propose
from gcl.bench.words import word
from gcl.config import resolve
from gcl.errors import InputError
from gcl.recommenders.general.lightgcn import LightGCN
from gcl.training import load_run

pytest.importorskip("optuna")
FEW = [*(word(*one) for one in SHORT.items()), "train.metric=ndcg@5"]


class Declaring(LightGCN):
    """Declares its ranges."""

    def __init__(
        self,
        data,
        *,
        dim: Annotated[int, Field(gt=3, lt=17)] = 8,
        layers: int = 1,
        reg: Annotated[float, Field(ge=1e-4, le=1.0)] = 1e-3,
        other: Annotated[float, Field(ge=0.0)] = 0.5,
    ) -> None:
        super().__init__(data, dim=dim, layers=layers, reg=reg)


@pytest.fixture(scope="module")
def tuned(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "out"
    space = {
        "layers": Range(1, 3, whole=True),
        "train.lr": Range(1e-3, 0.1, log=True),
        "readout": Choice(("mean", "last")),
    }
    return space, out, tune("LightGCN", str(table), ["dim=8", *FEW], space=space, trials=3, out=out)


def test_every_trial_is_a_run(tuned):
    space, _, found = tuned
    assert len(found.trials) == 3
    for trial in found.trials:
        run = load_run(trial.run)
        assert run.result["metrics"]["valid"]["ndcg@5"] == trial.value
        assert run.config.model["layers"] == trial.settings["layers"]
        assert set(trial.settings) == set(space)
    assert found.best.value == max(t.value for t in found.trials)
    assert found.metric == "ndcg@5"


def test_the_best_is_a_file_for_config(tuned, table):
    _, out, found = tuned
    assert found.config == out / "ratings.yaml"
    text = found.config.read_text()
    assert text.startswith("# LightGCN on ")
    assert "the best of 3 trials (gcl tune), seed 0." in text
    resolved = resolve("LightGCN", str(table), config_file=found.config)
    assert resolved.model["dim"] == 8
    assert resolved.model["layers"] == found.best.settings["layers"]
    assert resolved.train["lr"] == found.best.settings["train.lr"]
    assert "data" not in yaml.safe_load(text)


def test_a_stopped_search_goes_on_with_the_same_proposals(tuned, table, tmp_path):
    space, out, found = tuned
    copy = shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(copy / "trial2")
    (copy / "trial2.json").unlink()
    shutil.rmtree(copy / "trial1")
    again = tune("LightGCN", str(table), ["dim=8", *FEW], space=space, trials=3, out=copy)
    assert [(t.settings, t.value) for t in again.trials] == [(t.settings, t.value) for t in found.trials]


def test_a_folder_of_another_search(tuned, table):
    _, out, _ = tuned
    text = r"holds a search over layers, readout, train.lr, not over train.lr; choose another --out\."
    with pytest.raises(InputError, match=text):
        tune("LightGCN", str(table), ["dim=8", *FEW], space={"train.lr": Range(0.1, 0.2)}, out=out)
    with pytest.raises(InputError, match="holds a run of other settings: model.dim is 4 and was 8"):
        tune("LightGCN", str(table), ["dim=4", *FEW], space=tuned[0], out=out)


def test_a_trial_that_fails_is_not_repeated(table, tmp_path):
    space = {"train.lr": Choice((1e30,))}
    with pytest.raises(InputError, match=r"No trial of LightGCN on .* could be trained: NonFiniteLoss"):
        tune("LightGCN", str(table), ["dim=4", *FEW], space=space, trials=1, out=tmp_path / "out")
    told = json.loads((tmp_path / "out/trial0.json").read_text())
    assert told["problem"].startswith("NonFiniteLoss")


def test_proposals_depend_on_seed_and_trials_alone():
    space = {"a": Range(0.0, 1.0), "b": Choice(("x", {"name": "y"}))}
    first = propose(space, [], 0, 0)
    assert first == propose(space, [], 0, 0)
    assert first != propose(space, [], 0, 1)
    assert first != propose(space, [], 1, 0)
    assert 0 <= first["a"] <= 1
    assert first["b"] in ("x", {"name": "y"})
    told = [Trial(n, propose(space, [], 0, n), float(n) if n else None, 1, None, "") for n in range(12)]
    assert propose(space, told, 0, 12) == propose(space, told, 0, 12)


def test_the_search_finds_the_better_half():
    space = {"a": Range(0.0, 1.0)}
    told = []
    for n in range(30):
        chosen = propose(space, told, 3, n)
        told.append(Trial(n, chosen, -abs(chosen["a"] - 0.8), 1, None, ""))
    assert sum(abs(t.settings["a"] - 0.8) < 0.2 for t in told[15:]) >= 8


def test_space_of_a_model():
    found = of(resolve("SimGCL", "ml-100k", plain=True))
    assert found["train.lr"] == Range(5e-4, 2e-2, log=True)
    assert found["layers"] == Range(1, 4, whole=True)
    assert found["weight"] == Range(0.05, 5.0, log=True)
    assert {"objective.temperature", "views.0.eps", "reg"} <= set(found)
    assert "dim" not in found
    assert list(of(resolve("EASE", "ml-100k", plain=True))) == ["l2"]


def test_space_that_a_constructor_declares():
    found = of(resolve(f"{__name__}:Declaring", "ml-100k", plain=True))
    assert found["dim"] == Range(4, 16, whole=True)
    assert found["reg"] == Range(1e-4, 1.0, log=True)
    assert "other" not in found


def test_space_file(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "train.lr: {low: 1e-3, high: 1e-1, log: true}\nlayers: {low: 1, high: 3}\nobjective: [InfoNCE, DCL]\n"
    )
    assert read(path) == {
        "train.lr": Range(1e-3, 1e-1, log=True),
        "layers": Range(1, 3, whole=True),
        "objective": Choice(("InfoNCE", "DCL")),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "must be a mapping of settings to ranges or lists of choices, got 3."),
        ("a: 3", "a must be {low: ..., high: ...} or a list of choices, got 3."),
        ("a: {low: 1, hihg: 2}", "a has no argument 'hihg'. Did you mean 'high'?"),
        ("a: {low: 2, high: 1}", "a needs numbers low < high, above 0 where log is true, got"),
        ("a: {low: 0, high: 1, log: true}", "a needs numbers low < high, above 0 where log is true, got"),
        ("a: {low: x, high: 1}", "a needs numbers low < high"),
    ],
)
def test_bad_space_files(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read(path)


def test_other_errors(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"Cannot read the space .*none.yaml: No such file or directory\."):
        tune("LightGCN", "ml-100k", space=tmp_path / "none.yaml", out=tmp_path)
    with pytest.raises(InputError, match="trials must be at least 1, got 0"):
        tune("LightGCN", "ml-100k", trials=0)
    with pytest.raises(InputError, match="Popularity has no argument whose range is known by its name; name a file"):
        tune("Popularity", "ml-100k", out=tmp_path)
    with pytest.raises(InputError, match="LightGCN has no argument 'layer'. Did you mean 'layers'?"):
        tune("LightGCN", "ml-100k", space={"layer": Range(1, 2, whole=True)}, out=tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"gcl tune needs optuna: pip install 'gcl-rec\[tune\]'\."):
        tune("LightGCN", "ml-100k", out=tmp_path)


@pytest.mark.parametrize("given", ["objective={name: DCL, temperature: 0.3}", "objective.temperature=0.3"])
def test_what_is_given_is_not_searched(table, tmp_path, monkeypatch, given):
    searched = []
    monkeypatch.setattr(tuning._Search, "run", lambda self, count: searched.append(set(self.space)))
    tune("SimGCL", str(table), [given, "train={lr: 0.01}", *FEW], out=tmp_path / "out")
    assert searched == [{"layers", "weight", "reg", "views.0.eps"}]


def test_a_trial_whose_process_was_killed_is_repeated(table, tmp_path, monkeypatch):
    def killed(jobs, workers, finished):
        for job in jobs:
            finished(job, f"{pool.GONE}was ended by SIGKILL: out of memory?")

    space = {"train.lr": Choice((0.01,))}
    arguments = ("LightGCN", str(table), ["dim=4", *FEW])
    with monkeypatch.context() as patched:
        patched.setattr(pool, "run", killed)
        with pytest.raises(InputError, match="could be trained: its process was ended by"):
            tune(*arguments, space=space, trials=1, out=tmp_path / "out")
    assert tune(*arguments, space=space, trials=1, out=tmp_path / "out").best.number == 0


def test_other_values_in_the_folder_of_a_search(tuned, table):
    space, out, _ = tuned
    other = {**space, "train.lr": Range(0.5, 0.6)}
    with pytest.raises(InputError, match=r"holds a search with other values of train.lr, .* and now it is to be Range"):
        tune("LightGCN", str(table), ["dim=8", *FEW], space=other, out=out)


def test_a_data_set_that_is_not_here(tmp_path):
    with pytest.raises(InputError, match="datasets: '.*nope.csv' is no file or folder, nor the name of a card"):
        tune("LightGCN", str(tmp_path / "nope.csv"), FEW, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()

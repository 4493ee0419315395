"""The file of a comparison: what it may say, and the text of every error."""

import re

import pytest
import yaml

from gcl.bench import parse, read
from gcl.bench.plan import labels, plan
from gcl.data import share
from gcl.errors import InputError

SMALL = {"datasets": ["ml-100k"], "models": {"Popularity": None}}


def bench(**changes):
    return parse({**SMALL, **changes}, "b.yaml")


def test_short_forms():
    found = bench(datasets="ml-100k", models={"A": {"run": "runs/a"}, "B": {"seconds": 3}})
    assert [s.name for s in found.datasets] == ["ml-100k"]
    assert found.models["A"].run == ["runs/a"]
    assert found.models["B"].seconds == 3.0
    assert found.select == "valid"
    assert found.seeds == [0, 1, 2]


def test_read(tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    assert read(path) == parse(SMALL, str(path))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"modells": {}}, "b.yaml has no argument 'modells'. Did you mean 'models'?"),
        ({"metric": 3}, "b.yaml: metric must be a valid string, got 3."),
        ({"seeds": []}, "b.yaml: seeds List should have at least 1 item"),
        ({"seeds": [0, 0]}, "b.yaml: seeds has 0 twice; keep one."),
        ({"datasets": ["ml-100k", "ml-100k"]}, "b.yaml: datasets has ml-100k twice; keep one."),
        ({"datasets": []}, "b.yaml: datasets is missing or empty; name one at least."),
        ({"datasets": [3]}, "b.yaml: datasets must be a mapping, got 3."),
        ({"datasets": [{"nam": "x"}]}, "b.yaml: datasets has no argument 'nam'. Did you mean 'name'?"),
        ({"models": {}}, "b.yaml: models is missing or empty; name one at least."),
        ({"models": ["A"]}, "b.yaml: models must be a mapping, got ['A']."),
        ({"models": {"A": 3}}, "b.yaml: models.A must be a mapping, got 3."),
        ({"models": {"A": {"trails": []}}}, "b.yaml: models.A has no argument 'trails'. Did you mean 'trials'?"),
        ({"models": {"A": {"engine": "keras"}}}, "b.yaml: models.A: engine must be 'gcl' or 'recbole', got 'keras'."),
        ({"models": {"A": {"seconds": -1}}}, "b.yaml: models.A: seconds must be greater than 0, got -1.0."),
        ({"select": "test"}, "b.yaml: select must be valid, got 'test': choosing on the part that is reported makes"),
        ({"parity": True}, "b.yaml: parity means choosing trials on test; add select: test, or remove parity."),
        ({"reference": ["Popularity", "Popularity"]}, "b.yaml: reference has Popularity twice; keep one."),
        ({"reference": "Popularty"}, "b.yaml: reference 'Popularty' is no row. Did you mean 'Popularity'?"),
        (
            {"budget": 1, "models": {"EASE": {"trials": [{"l2": 1}, {"l2": 2}]}}},
            "b.yaml: models.EASE.trials must have at most 1 trials, the budget of every model, got 2; remove some, or "
            "raise budget for all.",
        ),
        (
            {"models": {"A": {"run": "runs/a", "trials": [{}]}}},
            "b.yaml: models.A: run takes finished folders as they are, so trials has no meaning beside it; remove one",
        ),
        (
            {"models": {"A": {"run": "runs/a", "engine": "recbole"}}},
            "b.yaml: models.A: run takes finished folders as they are, so engine has no meaning",
        ),
        (
            {"datasets": ["a", "b"], "models": {"A": {"run": "runs/a"}}},
            "b.yaml: models.A.run belongs to one data set, and datasets has 2; keep one.",
        ),
        (
            {"metric": "ndcg@5/uni10"},
            "b.yaml: metric must be a metric and a cut-off, for instance ndcg@10, got 'ndcg@5/",
        ),
        (
            {"show": ["recal@5"]},
            "b.yaml: show must be a metric and a cut-off, for instance ndcg@10, got 'recal@5'. Did",
        ),
        ({"seeds": [-1]}, "b.yaml: seeds must be greater than or equal to 0 at position 0, got -1."),
        (
            {"trial": {"train.metric": "recall@5"}},
            "b.yaml: trial: train.metric is the comparison's own, metric: ndcg@20; remove it here.",
        ),
        (
            {"settings": {"dim": 8}, "models": {"A": {"without": ["dmi"]}}},
            "b.yaml: models.A.without: 'dmi' is no shared setting. Did you mean 'dim'?",
        ),
        (
            {"select": "test", "parity": True, "models": {"EASE": {"seconds": 9, "trials": [{"l2": 1}, {"l2": 2}]}}},
            "b.yaml: models.EASE.seconds: a trial that is cut has no figure on test to choose by; remove seconds.",
        ),
        (
            {"models": {"SimGCL": {"objectives": [{"temperature": 0.1}]}}},
            "b.yaml: models.SimGCL.objectives: every one needs a name, for instance {name: DCL, temperature: 0.1}.",
        ),
        (
            {"models": {"A": {"engine": "recbole", "objectives": ["DCL"]}}},
            "b.yaml: models.A.objectives are gcl's, and a recbole model has none of them; remove them.",
        ),
    ],
)
def test_errors(changes, text):
    with pytest.raises(InputError, match=re.escape(text)):
        bench(**changes)


def test_shipped_comparisons_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read("smoke").reference == ["LightGCN"]
    (tmp_path / "smoke").write_text("datasets: ml-100k\nmodels: {EASE: }\n")
    assert list(read("smoke").models) == ["EASE"], "a file of the name goes first"


def test_no_mapping():
    with pytest.raises(InputError, match=r"b.yaml must be a mapping with the keys datasets and models, got 3\."):
        parse(3, "b.yaml")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read .*none\.yaml: No such file or directory\."):
        read(tmp_path / "none.yaml")


def test_parity_is_asked_for_by_name():
    found = bench(select="test", parity=True)
    assert found.parity


def test_labels_tell_objectives_apart():
    entry = bench(models={"A": {"objectives": ["DCL", {"name": "InfoNCE", "temperature": 0.1}, "InfoNCE"]}}).models["A"]
    assert [label for label, _ in labels("A", entry)] == ["A/DCL", "A/InfoNCE(temperature=0.1)", "A/InfoNCE"]


def test_layers(tmp_path):
    made = plan(
        bench(
            datasets=[{"name": "ml-100k", "settings": {"evaluate.exclude": "train", "train.lr": 0.5}}],
            settings={"dim": 4, "train.lr": 0.1},
            trial={"train.epochs": 3},
            final={"train.epochs": 9},
            models={
                "EASE": {"without": ["dim"], "trials": [{"l2": 1.0}, {"l2": 2.0}]},
                "SimGCL": {"objectives": ["DCL"], "settings": {"objective.temperature": 0.7, "train.lr": 0.2}},
            },
        ),
        tmp_path,
        "b.yaml",
    )
    ease, simgcl = made.rows
    trial = made.trials(ease)[1]
    assert (trial.folder, trial.seed) == (tmp_path / "ml-100k" / "EASE-trial1", 0)
    assert trial.config.model == {"l2": 2.0}
    assert (trial.config.train["epochs"], trial.config.evaluate["exclude"]) == (3, "train")
    assert made.trials(simgcl) == [], "nothing to choose"
    final = made.finals(simgcl, {"weight": 0.3})[2]
    assert (final.folder.name, final.seed, final.config.train["epochs"]) == ("SimGCL-DCL-seed2", 2, 9)
    assert final.config.train["lr"] == 0.2, "the model's settings go over those of the data set"
    assert final.config.model["objective"]["name"] == "DCL"
    assert final.config.model["objective"]["temperature"] == 0.7
    assert final.config.model["weight"] == 0.3
    assert final.config.origins["model.weight"] == "bench"


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ({"SimGC": {}}, "b.yaml: models.SimGC: Unknown model 'SimGC'. Did you mean 'SimGCL'?"),
        (
            {"EASE": {"trials": [{"l2": 1.0}, {"l3": 1.0}]}},
            "b.yaml: models.EASE.trials, trial 1: EASE has no argument 'l3'. Did you mean 'l2'?",
        ),
        (
            {"SimGCL": {"objectives": ["DCLL"]}},
            "b.yaml: models.SimGCL: SimGCL: objective: Unknown objective 'DCLL'. Did you mean",
        ),
        (
            {"EASE": {"settings": {"evaluate.k": [7]}}},
            "b.yaml: models.EASE: train.metric must be a metric that is evaluated, got 'ndcg@20'",
        ),
        (
            {"A/B": {"model": "EASE"}, "A-B": {"model": "EASE"}},
            "b.yaml: the rows 'A/B on ml-100k' and 'A-B on ml-100k' would share a folder; rename one.",
        ),
    ],
)
def test_every_setting_is_checked_before_the_first_run(tmp_path, models, text):
    with pytest.raises(InputError, match=re.escape(text)):
        plan(bench(models=models), tmp_path, "b.yaml")


@pytest.mark.parametrize("path", sorted(share("configs", "bench").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_comparisons_can_be_planned(tmp_path, path):
    found = read(path)
    assert plan(found, tmp_path, str(path)).rows
    assert path.stem == "smoke" or found.budget is not None

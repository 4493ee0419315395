from dataclasses import replace
from pathlib import Path

import pytest

from gcl import config
from gcl.config import Resolved, resolve
from gcl.errors import InputError
from gcl.testing import tiny_dataset
from gcl.views import DropEdge, Noise


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder that stands for the shipped configs."""
    monkeypatch.setattr("gcl.data.share", lambda *parts: tmp_path.joinpath(*parts))
    (tmp_path / "configs/simgcl").mkdir(parents=True)
    (tmp_path / "configs/simgcl/toy.yaml").write_text(
        "model: {dim: 32, objective: {temperature: 0.15}, views: [{name: Noise, eps: 0.2}]}\ntrain: {lr: 1e-2}\n"
    )
    return tmp_path


def test_defaults_are_those_of_the_constructor(shared):
    found = resolve("LightGCN", "toy")
    assert (found.name, found.dataset) == ("LightGCN", "toy")
    assert found.model["dim"] == 64
    assert found.model["objective"]["name"] == "BPR"
    assert found.train["metric"] == "ndcg@20"
    assert found.evaluate == {"k": [10, 20], "exclude": "seen", "candidates": "full", "min_train": 0}
    assert set(found.origins.values()) == {"default"}
    assert set(found.origins) == set(found.leaves())


def test_layers_override_one_another_and_origins_are_kept(shared, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: {layers: 2, dim: 16}\ndata: {seed: 3}\nevaluate: {k: [5]}\n")
    found = resolve("SimGCL", "toy", ["dim=8", "train.epochs=3", "views.0.eps=0.4"], mine)
    assert (found.model["dim"], found.model["layers"], found.model["objective"]["temperature"]) == (8, 2, 0.15)
    assert found.model["views"] == [{"name": "Noise", "eps": 0.4}]
    assert (found.train["lr"], found.train["epochs"], found.data["seed"], found.evaluate["k"]) == (0.01, 3, 3, [5])
    said = {path: origin for path, origin in found.origins.items() if origin != "default"}
    assert said == {
        "model.dim": "command line",
        "model.layers": str(mine),
        "model.objective.temperature": "configs/simgcl/toy.yaml",
        "model.views.0.name": "configs/simgcl/toy.yaml",
        "model.views.0.eps": "command line",
        "data.seed": str(mine),
        "train.lr": "configs/simgcl/toy.yaml",
        "train.epochs": "command line",
        "evaluate.k": str(mine),
    }


def test_plain_and_other_data_sets_skip_the_tuned_file(shared):
    assert resolve("SimGCL", "toy", plain=True).model["dim"] == 64
    assert resolve("SimGCL", "other").model["dim"] == 64
    assert resolve("SimGCL", "data/toy").model["dim"] == 64
    assert config.tuned_file("SimGCL", "toy") == shared / "configs/simgcl/toy.yaml"
    assert config.tuned_file("SimGCL", "data/toy") is None
    assert config.tuned_file("mypkg.mod:SimGCL", "toy") is None


def test_only_a_card_has_a_tuned_file(shared):
    mine = replace(tiny_dataset(), name="toy")
    for dataset in (Path("sub/toy"), Path("toy"), mine):
        assert resolve("SimGCL", dataset).model["dim"] == 64
    assert resolve("SimGCL", Path("sub/toy")).dataset == str(Path("sub/toy"))
    assert resolve("SimGCL", replace(mine, card={"title": "Toy"})).model["dim"] == 32


@pytest.mark.parametrize(
    "settings",
    [
        ["objective={name: InfoNCE, temperature: 0.3}"],
        ["objective=InfoNCE", "objective.temperature=0.3"],
        ["objective.temperature=0.3", "objective=InfoNCE"],
        ["model.objective.temperature=3e-1"],
        ["objective={temperature: 0.3}"],
        ["objective.name=InfoNCE", "objective.temperature=0.3"],
        ["model={objective: {temperature: 0.3}}"],
        {"model": {"objective": {"temperature": 0.3}}},
    ],
)
def test_ways_to_write_one_thing(shared, settings):
    found = resolve("SGL", "toy", settings)
    assert found == resolve("SGL", "toy", ["objective.temperature=0.3"])
    assert found.model["objective"]["temperature"] == 0.3
    assert found.origins["model.objective.temperature"] in ("command line", "call")


def test_another_name_takes_its_own_defaults(shared):
    changed = resolve("SimGCL", "toy", ["objective.temperature=0.9"])
    whole = resolve("SimGCL", "toy", ["objective=InfoNCE"])
    assert changed.model["objective"]["temperature"] == 0.9
    assert whole.model["objective"]["temperature"] == 0.2
    assert whole.origins["model.objective.name"] == "command line"
    assert whole.origins["model.objective.temperature"] == "default"


@pytest.mark.parametrize(
    ("settings", "views"),
    [
        (["views=DropEdge"], [{"name": "DropEdge", "p": 0.1, "renormalize": True, "pairs": True}]),
        (["views=DropEdge", "views.0.p=0.2"], [{"name": "DropEdge", "p": 0.2, "renormalize": True, "pairs": True}]),
        (["views=DropEdge", "views.0.0.p=0.2"], [{"name": "DropEdge", "p": 0.2, "renormalize": True, "pairs": True}]),
        (
            ["views=[[{name: DropEdge, p: 0.1}, {name: Noise}], Noise]", "views.0.0.p=0.2", "views.0.1.eps=0.3"],
            [
                [{"name": "DropEdge", "p": 0.2, "renormalize": True, "pairs": True}, {"name": "Noise", "eps": 0.3}],
                {"name": "Noise", "eps": 0.1},
            ],
        ),
    ],
)
def test_views_are_addressed_by_number(shared, settings, views):
    found = resolve("Contrastive", "toy", settings)
    assert found.model["views"] == views
    assert found.origins["model.views.0.p" if isinstance(views[0], dict) else "model.views.0.0.p"] in (
        "command line", "default",
    )  # fmt: skip


def test_instances_become_specifications(shared):
    found = resolve("SGL", "toy", {"model": {"views": [DropEdge(0.3), [DropEdge(0.1), Noise()]]}})
    assert found.model["views"][0] == {"name": "DropEdge", "p": 0.3, "renormalize": True, "pairs": True}
    assert found.model["views"][1][1] == {"name": "Noise", "eps": 0.1}
    assert found.origins["model.views.0.p"] == "call"


def test_a_data_set_already_loaded_has_no_data_section(shared):
    found = resolve("EASE", tiny_dataset(), ["l2=10"])
    assert (found.dataset, found.data) == ("tiny", {})
    with pytest.raises(InputError, match=r"^data has no argument 'seed'\. It takes none\.$"):
        resolve("EASE", tiny_dataset(), ["data.seed=1"])


def test_a_file_written_is_a_file_read(shared, tmp_path):
    made = resolve("SimGCL", "toy", ["views=[[DropEdge, Noise], Noise]", "data.user=usér", "train.lr=1e-4"])
    text = made.to_yaml()
    again = Resolved.from_yaml(text)
    assert again == made
    assert again.origins == made.origins
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert resolve("SimGCL", "toy", (), tmp_path / "config.yaml", plain=True) == made
    with pytest.raises(InputError, match=r"config.yaml is the configuration of SimGCL, not of SGL\.$"):
        resolve("SGL", "toy", (), tmp_path / "config.yaml")


def test_equality_looks_at_values(shared):
    assert resolve("SGL", "toy", ["dim=64"]) == resolve("SGL", "toy")
    assert resolve("SGL", "toy", ["dim=32"]) != resolve("SGL", "toy")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["layer=2"], r"^SimGCL has no argument 'layer'\. Did you mean 'layers'\?"),
        (["layers=abc"], r"^SimGCL: layers must be a valid integer, got 'abc'\.$"),
        (["train.epoch=2"], r"^train has no argument 'epoch'\. Did you mean 'epochs'\?"),
        (["train.epochs=true"], r"^train: epochs must be a valid integer, got True\.$"),
        (["train.lr=fast"], r"^train: lr must be a valid number, got 'fast'\.$"),
        (["data.usr=x"], r"^data has no argument 'usr'\. Did you mean 'user'\?"),
        (["data.dataset=x"], r"^data has no argument 'dataset'"),
        (["data.seed=x"], r"^data: seed must be a valid integer, got 'x'\.$"),
        (["evaluate.kk=3"], r"^evaluate has no argument 'kk'\. .*Valid: candidates, exclude, k, min_train\.$"),
        (["evaluate.memory_bytes=3"], r"^evaluate has no argument 'memory_bytes'"),
        (["dim"], r"^A setting must be key=value"),
        (["objective=DCLL"], r"^SimGCL: objective: Unknown objective 'DCLL'"),
        (["objective=BPR"], r"^SimGCL: objective must be of kind pair, got BPR of kind ranking"),
        (["objective.temp=1"], r"^SimGCL: objective: InfoNCE has no argument 'temp'\."),
        (["views.3.eps=1"], r"^model.views.3.eps cannot be set: entry 3 of 1, counted from 0\.$"),
        (["views.eps=1"], r"^model.views.eps cannot be set: .*name one entry by its number\.$"),
        (["train=3"], r"^train: train must be a mapping, got 3\.$"),
        (["model.train.epochs=3"], r"^SimGCL has no argument 'train'"),
    ],
)
def test_bad_settings(shared, settings, text):
    with pytest.raises(InputError, match=text):
        resolve("SimGCL", "toy", settings, plain=True)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("modle: {dim: 3}", r"has an unknown section 'modle'\. Did you mean 'model'\?"),
        ("- 1", r"must be a mapping with the keys model, data, train, evaluate, got \[1\]\.$"),
        ("model: [1]", r"model must be a mapping, got \[1\]\.$"),
        ("model: {dim: [}", r"line 1, column \d+: not valid YAML"),
        ("model: {dim: x}", r"^SimGCL: dim must be a valid integer, got 'x'\.$"),
        ("model: {dim: 1, dim: 2}", r"dim is given twice in one mapping; keep one\.$"),
    ],
)
def test_bad_files(shared, tmp_path, content, text):
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(InputError, match=text):
        resolve("SimGCL", "toy", (), tmp_path / "c.yaml")


def test_missing_file_unknown_section_and_changed_run(shared, tmp_path):
    with pytest.raises(InputError, match=r"^Cannot read the configuration .*none.yaml: No such file or directory\.$"):
        resolve("SimGCL", "toy", (), tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"^settings has an unknown section 'trian'\. Did you mean 'train'\?"):
        resolve("SimGCL", "toy", {"trian": {}})
    with pytest.raises(InputError, match=r"^config.yaml must have the keys name, dataset, .*: it was not written"):
        Resolved.from_yaml("name: x")
    text = resolve("EASE", "toy").to_yaml()
    with pytest.raises(InputError, match=r"^config.yaml: epochs must be a valid integer, got 'many'\.$"):
        Resolved.from_yaml(text.replace("epochs: 100", "epochs: many"))
    with pytest.raises(InputError, match=r"^config.yaml: origins must be a mapping, got 3\.$"):
        Resolved.from_yaml(text.replace("origins: {}", "origins: 3"))


def test_empty_files_and_sections_change_nothing(shared, tmp_path):
    (tmp_path / "c.yaml").write_text("model:\ntrain:\n")
    assert resolve("EASE", "toy", (), tmp_path / "c.yaml") == resolve("EASE", "toy")
    (tmp_path / "c.yaml").write_text("")
    assert resolve("EASE", "toy", (), tmp_path / "c.yaml") == resolve("EASE", "toy")

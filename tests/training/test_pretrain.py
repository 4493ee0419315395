"""Pre-training: settings, batches, the loop, what is left in the folder, and what goes on from there."""

import json
import logging

import pytest
import safetensors.torch
import torch
from ownmethod import Broken, Mine, Whole, blocks, rings
from torch_geometric.nn import GCN

from gcl import build
from gcl.data import cards, load_graphs, share
from gcl.errors import InputError
from gcl.evaluation import ProbeSettings, probe
from gcl.training import Interrupted, NonFiniteLoss, load_pretrained, pretrain
from gcl.training import pretraining as loop
from gcl.training.pretrain_config import Pretraining, PretrainSettings, resolve
from gcl.training.pretrained import make, pretrain_resolved, resume_pretraining

QUICK = {"probe": {"runs": 2, "steps": 50, "lr": 0.1}, "device": "cpu"}
logging.getLogger("lightning_fabric").setLevel(logging.ERROR)


def test_a_run_holds_all_that_is_needed_and_the_encoder_alone(tmp_path):
    run = pretrain(Mine, "ownmethod:blocks", hidden=12, out=tmp_path / "run", **QUICK)
    result = json.loads((tmp_path / "run/result.json").read_text())
    wanted = {"method", "dataset", "accuracy", "deviation", "runs", "protocol", "seconds", "run"}
    assert wanted <= set(result)
    assert (result["method"], result["dataset"]) == ("ownmethod:Mine", "ownmethod:blocks")
    assert (result["epochs"], result["runs"], result["protocol"]) == (4, 2, "public-val")
    assert not [p for p in (tmp_path / "run").rglob("*") if p.suffix in (".pt", ".pkl", ".pth")]
    assert [line["epoch"] for line in run.directory.lines()] == [1, 2, 3, 4]

    encoder = GCN(8, 12, 2)
    encoder.load_state_dict(safetensors.torch.load_file(tmp_path / "run/encoder.safetensors"))
    data = blocks()
    again = load_pretrained(tmp_path / "run")
    torch.testing.assert_close(again.embed(), encoder.eval()(data.x, data.edge_index))
    assert again.method.steps == 4
    found = again.probe()
    assert found.accuracy == result["accuracy"] and list(found.values) == result["values"]
    assert again.probe(protocol="kmeans").protocol == "kmeans"


def test_graphs_without_labels_are_not_probed(tmp_path):
    bare, told = blocks(), blocks()
    del bare.y
    found, labelled = (pretrain(Mine, data, out=tmp_path / str(len(data.keys())), **QUICK) for data in (bare, told))
    assert not {"accuracy", "protocol"} & set(found.result) and found.result["epochs"] == 4
    torch.testing.assert_close(found.embed(), labelled.embed())
    with pytest.raises(InputError, match="probe: data must have labels of two classes or more, got 0"):
        found.probe()
    asked = {"protocol": "kmeans"}
    with pytest.raises(InputError, match="probe: data must have labels of two classes or more, got 0"):
        pretrain(Mine, bare, out=tmp_path / "asked", device="cpu", probe=asked)
    assert not (tmp_path / "asked").exists()


def test_the_momentum_of_bgrl_ends_with_the_training(tmp_path):
    run = pretrain("BGRL", "ownmethod:blocks", hidden=4, train={"epochs": 3}, out=tmp_path / "run", **QUICK)
    data = load_graphs("ownmethod:blocks")
    method = make(run.config, data, 0)
    assert method.rate(0) == method.rate(10**6) == 0.99
    told = loop.Pretrainer(
        method, data, PretrainSettings(epochs=3), run.directory, 0, torch.device("cpu"), "32"
    )  # fmt: skip
    assert told.method.rate(3) == 1.0 > told.method.rate(2) and run.config.model["steps"] is None
    given = make(resolve("BGRL", "x", {"model": {"steps": 7}}), data, 0)
    given.begin(3)
    assert given.rate(7) == 1.0 > given.rate(6)


def test_learning_helps_and_a_seed_repeats_itself(tmp_path):
    graphs = load_graphs(blocks())
    judged = ProbeSettings(runs=2, steps=50, lr=0.1)
    raw = probe(graphs.data.x, graphs, judged).accuracy
    runs = [
        pretrain(Mine, blocks(), seed=s, train={"epochs": 20, "lr": 0.01}, out=tmp_path / str(i), **QUICK)
        for i, s in enumerate((0, 0, 1))
    ]
    assert runs[0].result["accuracy"] > raw + 5
    lines = [[line["loss"] for line in run.directory.lines()] for run in runs]
    assert lines[0] == lines[1] != lines[2]
    assert lines[0][-1] < lines[0][0]
    with pytest.raises(InputError, match=r"was trained on graphs in memory; give them: load_pretrained"):
        load_pretrained(tmp_path / "0").embed()
    assert load_pretrained(tmp_path / "0", blocks()).probe().accuracy == runs[0].result["accuracy"]


@pytest.mark.parametrize(
    ("method", "source", "batch"), [("Mine", "blocks", 16), ("Whole", "rings", 8), ("Mine", "blocks", None)]
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(method, source, batch, tmp_path, monkeypatch):
    train = {"epochs": 5, "batch_size": batch, "warmup": 2, "schedule": "cosine", "patience": 4}
    given = {"train": train, "probe": {"runs": 1, "steps": 20, "protocol": "few" if method == "Mine" else None}}
    config = resolve(f"ownmethod:{method}", f"ownmethod:{source}", given)
    whole = pretrain_resolved(config, config.dataset, device="cpu", out=tmp_path / "whole", progress=False)

    one_epoch = loop.Pretrainer._one_epoch

    def stopping(self):
        line = one_epoch(self)
        if self.epoch == 3:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return line

    monkeypatch.setattr(loop.Pretrainer, "_one_epoch", stopping)
    with pytest.raises(Interrupted, match="goes on with gcl pretrain --resume"):
        pretrain_resolved(config, config.dataset, device="cpu", out=tmp_path / "cut", progress=False)
    monkeypatch.undo()
    with pytest.raises(InputError, match="is not finished; go on with gcl pretrain --resume"):
        _ = load_pretrained(tmp_path / "cut").method
    went_on = resume_pretraining(tmp_path / "cut", progress=False)
    assert [x["loss"] for x in went_on.directory.lines()] == [x["loss"] for x in whole.directory.lines()]
    for name, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, went_on.method.state_dict()[name]), name
    assert went_on.result["values"] == whole.result["values"]
    assert resume_pretraining(tmp_path / "cut").result == went_on.result


def test_batches_cover_everything_and_are_subgraphs(rng):
    nodes, many = load_graphs(blocks()), load_graphs(rings())
    settings = PretrainSettings(batch_size=15)
    nodes.data.n_id = torch.arange(80)
    seen = []
    for part in loop.batches(nodes, settings, torch.device("cpu"), rng):
        part.validate()
        assert 15 <= part.num_nodes <= 45 or part.num_nodes >= 5
        assert torch.equal(part.x, nodes.data.x[part.n_id])
        seen.append(part.n_id)
    assert len(seen) == 6 and len(torch.cat(seen).unique()) == 80
    assert next(loop.batches(nodes, PretrainSettings(), torch.device("cpu"), rng)) is nodes.data
    sizes = [b.num_graphs for b in loop.batches(many, PretrainSettings(batch_size=13), torch.device("cpu"), rng)]
    assert sizes == [13, 13, 13], "a batch of one graph has nothing to contrast with"
    for size in (2, 3, 13, 20, 39, 40, 41, None):
        for graphs in (nodes, many):
            settings = PretrainSettings(batch_size=size)
            found = sum(1 for _ in loop.batches(graphs, settings, torch.device("cpu"), rng))
            assert found == loop.num_batches(graphs, settings)


def test_rates_rise_and_fall():
    trainer = object.__new__(loop.Pretrainer)
    trainer.settings = PretrainSettings(epochs=10, warmup=4, schedule="cosine")
    rates = []
    for trainer.epoch in range(1, 11):
        rates.append(trainer._factor())
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0] and rates[4] == 1.0
    assert rates == sorted(rates[:5]) + sorted(rates[5:], reverse=True) and rates[-1] < 0.1


def test_patience_keeps_the_weights_of_the_lowest_loss(tmp_path):
    train = {"epochs": 60, "lr": 0.3, "patience": 3}
    run = pretrain(Mine, "ownmethod:blocks", train=train, out=tmp_path / "run", **QUICK)
    losses = [line["loss"] for line in run.directory.lines()]
    assert len(losses) < 60 and run.result["loss"] == min(losses)
    assert run.method.steps == losses.index(min(losses)) + 1


def test_settings_come_from_defaults_files_and_the_call(tmp_path):
    (tmp_path / "c.yaml").write_text("model: {layers: 3}\ntrain: {lr: 0.01}\nprobe: {runs: 3}\n")
    line = [
        "hidden=24",
        "views=[DropNode, [DropEdge, MaskFeature]]",
        "views.1.0.p=0.4",
        "objective=DCL",
        "data.normalize=true",
    ]
    found = resolve("ownmethod:Mine", "ownmethod:blocks", [*line, "train.lr=0.1"], tmp_path / "c.yaml")
    assert (found.model["hidden"], found.model["layers"]) == (24, 3)
    assert found.model["views"][1][0]["p"] == 0.4 and found.model["objective"]["name"] == "DCL"
    assert (found.train["lr"], found.train["epochs"], found.probe["runs"]) == (0.1, 4, 3)
    assert found.origins["train.lr"] == "command line" and found.origins["probe.runs"] == str(tmp_path / "c.yaml")
    assert found.origins["train.epochs"] == "default" and found.data["normalize"] is True
    assert Pretraining.from_yaml(found.to_yaml()) == found
    graphs = load_graphs(blocks())
    made = make(found, graphs, 0)
    assert made.views[1][0].p == 0.4 and made.encoder.hidden_channels == 24
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), make(found, graphs, 0).parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "source", "given", "text"),
    [
        ("GRACEE", "cora", [], "Unknown method 'GRACEE'. Did you mean 'GRACE'?"),
        ("ownmethod:blocks", "cora", [], "method 'ownmethod:blocks' must be a class of graph SSL; it lacks level"),
        ("ownmethod:Mine", "ownmethod:blocks", ["hiden=3"], "ownmethod:Mine has no argument 'hiden'. Did you mean"),
        ("ownmethod:Mine", "ownmethod:blocks", ["train.epoch=3"], "train has no argument 'epoch'. Did you mean"),
        ("ownmethod:Mine", "ownmethod:blocks", ["train.lr=-1"], "train: lr must be greater than 0, got -1"),
        ("ownmethod:Mine", "ownmethod:blocks", ["probe.protocol=best"], "probe: protocol must be"),
        ("ownmethod:Mine", "ownmethod:blocks", ["weight=-1.0"], "ownmethod:Mine: weight must not be negative, got -1"),
        ("ownmethod:Mine", "ownmethod:blocks", ["views=Noise"], "views must be of DataView here, got Noise."),
        ("ownmethod:Whole", "ownmethod:blocks", [], "ownmethod:Whole learns from many graphs, and"),
        ("ownmethod:Whole", "ownmethod:rings", ["probe.protocol=public"], "protocol public needs a published split"),
        ("ownmethod:Mine", "ownmethod:blocks", ["probe.protocol=svm-10"], "probe: protocol svm-10 is of graphs"),
    ],
)  # fmt: skip
def test_errors(method, source, given, text, tmp_path):
    with pytest.raises(InputError) as error:
        pretrain_resolved(resolve(method, source, given), source, device="cpu", out=tmp_path / "run")
    assert text in str(error.value)
    assert not (tmp_path / "run").exists()


def test_another_encoder_by_name_or_import_path():
    graphs = load_graphs(blocks())
    given = ["encoder={name: torch_geometric.nn:GAT, hidden_channels: 8, num_layers: 2, heads: 2}"]
    found = resolve("ownmethod:Mine", "ownmethod:blocks", [*given, "encoder.heads=4"])
    assert not {"hidden", "layers"} & set(found.model) and Pretraining.from_yaml(found.to_yaml()) == found
    with pytest.raises(
        InputError, match="hidden is of the encoder that ownmethod:Mine has of its own, and encoder= is"
    ):
        resolve("ownmethod:Mine", "ownmethod:blocks", [*given, "hidden=5"])
    assert "layers" not in resolve("CCASSG", "citeseer", ["encoder=GCN", "encoder.channels=[6]"]).model, "of the file"
    assert type(make(found, graphs, 0).encoder).__name__ == "GAT"
    assert found.model["encoder"]["heads"] == 4
    free = resolve("Contrast", "ownmethod:blocks", ["encoder=GCN", "encoder.channels=[6]"])
    assert make(free, graphs, 0).encoder.out_channels == 6
    for setting, text in (
        ("encoder=GCNN", "Unknown encoder 'GCNN'. Did you mean 'GCN'?"),
        ("encoder={channels: [3]}", "encoder must be a name or a mapping with a name, got {'channels': [3]}."),
        ("encoder=ownmethod:torch.nn", "ownmethod has no 'torch.nn'"),
        ("encoder=gcl.losses.base:ORDER", "encoder 'gcl.losses.base:ORDER' must be a class or function"),
        ("encoder={name: GCN, width: 3}", "Contrast: GCN.__init__() got an unexpected keyword argument 'width'"),
    ):
        with pytest.raises(InputError) as error:
            make(resolve("Contrast", "ownmethod:blocks", [setting]), graphs, 0)
        assert text in str(error.value)
    with pytest.raises(InputError, match="ownmethod:Bare has no encoder of its own; give one, such as encoder="):
        resolve("ownmethod:Bare", "ownmethod:blocks")


def test_an_argument_has_one_owner(monkeypatch):
    monkeypatch.setattr(Mine, "default_encoder", staticmethod(lambda in_channels, weight=3: None))
    with pytest.raises(
        InputError, match="weight is an argument of ownmethod:Mine and of its default_encoder; give one"
    ):
        resolve("ownmethod:Mine", "ownmethod:blocks")


def test_files_that_are_no_configuration(tmp_path):
    path = tmp_path / "c.yaml"
    for text, told in (
        ("modle: {}", "has an unknown section 'modle'. Did you mean 'model'?"),
        ("- 1", "must be a mapping with the keys model, data, train, probe"),
        ("model: 3", "model must be a mapping, got 3."),
    ):
        path.write_text(text)
        with pytest.raises(InputError) as error:
            resolve("ownmethod:Mine", "ownmethod:blocks", [], path)
        assert told in str(error.value)
    with pytest.raises(InputError, match="Cannot read the configuration .*: No such file"):
        resolve("ownmethod:Mine", "ownmethod:blocks", [], tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is not of a pre-training; name a folder that gcl pretrain wrote"):
        Pretraining.from_yaml("name: x")
    with pytest.raises(InputError, match=r"holds no run: config.yaml is missing"):
        load_pretrained(tmp_path)


def test_a_loss_that_is_not_finite_stops(tmp_path):
    with pytest.raises(NonFiniteLoss, match="Step 1: loss/contrast is nan"):
        pretrain(Broken, "ownmethod:blocks", out=tmp_path / "run", **QUICK)


def test_graphs_of_a_set_are_embedded_in_their_order(tmp_path):
    run = pretrain(Whole, rings(), train={"epochs": 1}, probe={"runs": 1}, device="cpu", out=tmp_path / "run")
    assert run.result["protocol"] == "svm-10" and run.embed().shape == (40, 16)
    whole = load_graphs(rings())
    one = load_graphs(rings()[:1] + rings()[5:6])
    torch.testing.assert_close(
        loop.embed(run.method, whole, torch.device("cpu"))[[0, 5]], loop.embed(run.method, one, torch.device("cpu"))
    )


@pytest.mark.parametrize("path", sorted(share("configs").glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_tuned_files_are_of_a_method_and_a_set_of_graphs(path):
    methods = {name.lower(): name for name in build.METHODS}
    if path.parent.name not in methods:
        return
    found = resolve(methods[path.parent.name], path.stem)
    assert f"configs/{path.parent.name}/{path.name}" in found.origins.values()
    assert cards.find(path.stem).kind == "graph"

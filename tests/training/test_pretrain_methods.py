"""Every method by name: trained for two epochs, probed, loaded again."""

import pytest
import safetensors.torch
import torch
from ownmethod import blocks, rings

from gcl import build
from gcl.data import load_graphs
from gcl.training import load_pretrained, pretrain
from gcl.training.pretrain_config import resolve
from gcl.training.pretrained import make

GRAPH_LEVEL = ("InfoGraph", "GraphCL", "ADGCL")


@pytest.mark.parametrize("name", build.METHODS)
def test_a_method_is_trained_by_its_name(name, tmp_path):
    graphs = name in GRAPH_LEVEL
    run = pretrain(
        name, "ownmethod:rings" if graphs else "ownmethod:blocks", hidden=6, train={"epochs": 2, "patience": None},
        probe={"runs": 1, "steps": 10, "protocol": "kmeans" if graphs else "few"},
        device="cpu", out=tmp_path / "run",
    )  # fmt: skip
    assert run.result["method"] == name and run.result["epochs"] == 2
    again = load_pretrained(tmp_path / "run")
    assert torch.equal(again.embed(), run.embed())
    assert again.probe().accuracy == run.result["accuracy"]
    assert len(again.embed()) == (40 if graphs else 80)
    bare = build.method_class(name).default_encoder(again.graphs.num_features, hidden=6)
    bare.load_state_dict(safetensors.torch.load_file(tmp_path / "run/encoder.safetensors"))
    assert name != "ADGCL" or run.result["loss"] == run.directory.lines()[-1]["loss/main/contrast"]
    assert name != "ADGCL" or {"learnt/keep", "learnt/entropy", "learnt/logit_std"} <= set(run.directory.lines()[-1])


@pytest.mark.parametrize("name", build.METHODS)
def test_the_encoder_of_a_configuration_is_that_of_the_library(name):
    graphs = load_graphs(rings() if name in GRAPH_LEVEL else blocks())
    made, own = make(resolve(name, "data"), graphs, 0), build.method_class(name).default_encoder(graphs.num_features)
    assert {k: v.shape for k, v in made.encoder.state_dict().items()} == {
        k: v.shape for k, v in own.state_dict().items()
    }


def test_contrast_of_graphs_with_another_encoder_and_a_learnt_view(tmp_path):
    run = pretrain(
        "Contrast", "ownmethod:rings", level="graph", encoder={"name": "GIN", "hidden": 4, "layers": 2},
        views=[[{"name": "EdgeGates", "hidden": 4, "adversarial": True}], "DropNode"], objective="DCL",
        train={"epochs": 2, "batch_size": 16}, probe={"runs": 1, "protocol": "kmeans"},
        device="cpu", out=tmp_path / "run",
    )  # fmt: skip
    names = set(run.directory.lines()[-1])
    assert {"loss/views/contrast", "loss/main/contrast", "gradient/views/norm", "gradient/main/norm"} <= names
    assert run.directory.lines()[-1]["gradient/views/norm"] > 0

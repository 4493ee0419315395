"""gcl pretrain and gcl probe."""

import json

import pytest
from calls import gcl, good

from gcl import build
from gcl.cli.pretrain import NAMES

SOURCE = """
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from gcl.arguments import Recorded
from gcl.recommenders import Phase

draw = torch.Generator().manual_seed(0)
y = torch.arange(60) % 2
few = Data(x=torch.eye(2)[y] + 0.3 * torch.randn(60, 2, generator=draw),
           edge_index=torch.randint(60, (2, 90), generator=draw), y=y)


class Flat(Recorded, nn.Module):
    level = "node"

    def __init__(self, encoder, *, weight: float = 1.0):
        super().__init__()
        self.encoder, self.weight = encoder, weight

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 4) -> nn.Module:
        return GCN(in_channels, hidden, 1)

    def losses(self, data, generator):
        return {"length": self.weight * (self.encoder(data.x, data.edge_index).norm(dim=1) - 1).square().mean()}

    def phases(self):
        return [Phase("main", list(self.parameters()), self.losses)]

    def after_step(self, step):
        pass

    @torch.no_grad()
    def embed(self, data):
        return self.eval().encoder(data.x, data.edge_index)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "flatmethod.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "run"


def test_help_names_every_method():
    assert tuple(NAMES.split(", ")) == tuple(build.METHODS)


def test_pretrain_then_probe(mine):
    quick = ["train.epochs=2", "probe.protocol=rand-10/10/80", "probe.runs=2", "probe.steps=30", "--device", "cpu"]
    found = good("pretrain", "flatmethod:Flat", "flatmethod:few", "hidden=3", *quick, "--out", mine, "--json").json
    assert {"method", "dataset", "accuracy", "deviation", "runs", "protocol", "seconds", "run"} <= set(found)
    assert (found["protocol"], found["runs"], found["run"]) == ("rand-10/10/80", 2, str(mine))
    assert json.loads((mine / "result.json").read_text()) == found

    again = good("probe", mine, "--json").json
    assert again["accuracy"] == found["accuracy"] and again["run"] == str(mine)
    told = good("probe", mine, "probe.protocol=kmeans").out
    assert "protocol kmeans, 2 runs" in told and "nmi" in told
    assert good("pretrain", "--resume", mine, "--json").json == found
    assert "model.hidden" in good("pretrain", "flatmethod:Flat", "flatmethod:few", *quick, "--out", f"{mine}2").out

    for arguments, text in (
        (["probe", mine, "train.lr=1"], "gcl probe takes settings of the section probe, such as probe.runs=5, got"),
        (["probe", mine.parent], "holds no run: config.yaml is missing"),
        (["pretrain", "flatmethod:Flat", "flatmethod:few", "--out", mine], "holds a finished run"),
        (["pretrain", "flatmethod:Flat", "hidden=3"], "gcl pretrain needs METHOD and GRAPH"),
        (["pretrain", "--resume", mine, "--seed", "1"], "--resume takes nothing else but --json, got seed"),
        (["pretrain", "GRACEE", "cora"], "Unknown method 'GRACEE'. Did you mean 'GRACE'?"),
    ):
        called = gcl(*arguments)
        assert called.code == 2 and text in called.err, called.err

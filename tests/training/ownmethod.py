"""A method of graph SSL of somebody else, and graphs for it."""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, global_add_pool
from torch_geometric.utils import stochastic_blockmodel_graph

from gcl.arguments import Recorded
from gcl.losses import InfoNCE, Objective
from gcl.recommenders import Phase
from gcl.views import DataView, DropEdge, MaskFeature, Views, augment, two_views


def blocks(seed=0):
    """Two communities whose features say little."""
    torch.manual_seed(seed)
    y = torch.arange(80) // 40
    edges = stochastic_blockmodel_graph([40, 40], [[0.3, 0.02], [0.02, 0.3]])
    data = Data(x=torch.nn.functional.one_hot(y, 8) * 0.5 + torch.randn(80, 8), edge_index=edges, y=y)
    place = torch.randperm(80)
    data.train_mask, data.val_mask, data.test_mask = place < 10, (place >= 10) & (place < 30), place >= 30
    return data


def rings():
    """Graphs of class 0 are rings, of class 1 paths."""
    found = []
    for i in range(40):
        n = 5 + i % 4
        ends = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])[:, : n - i % 2]
        found.append(Data(x=torch.ones(n, 1), edge_index=torch.cat([ends, ends.flip(0)], 1), y=torch.tensor([i % 2])))
    return found


class Mine(Recorded, nn.Module):
    """Two looks at every node."""

    level = "node"
    train_defaults = {"epochs": 4}

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = (DropEdge(0.2), MaskFeature(0.2)),
        objective: Objective = InfoNCE(temperature=0.5),
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}.")
        self.encoder, self.weight, self.objective = encoder, weight, objective
        self.views = two_views(views, DataView)
        self.register_buffer("steps", torch.zeros(()))

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 16, layers: int = 2) -> nn.Module:
        return GCN(in_channels, hidden, layers)

    def look(self, data):
        return self.encoder(data.x, data.edge_index)

    def losses(self, data, generator):
        first, second = (self.look(augment(views, data, generator)) for views in self.views)
        return {"contrast": self.weight * self.objective(first, second)}

    def phases(self):
        return [Phase("main", list(self.parameters()), self.losses)]

    def after_step(self, step):
        self.steps += 1

    @torch.no_grad()
    def embed(self, data):
        self.eval()
        return self.look(data)


class Whole(Mine):
    """The same of graphs."""

    level = "graph"

    def look(self, data):
        return global_add_pool(super().look(data), data.batch, data.num_graphs)


class Bare(Mine):
    """No encoder of its own."""

    default_encoder = None


class Broken(Mine):
    """A loss that is not a number."""

    def losses(self, data, generator):
        return {"contrast": super().losses(data, generator)["contrast"] * float("nan")}

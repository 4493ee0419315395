"""Small graphs and methods for the tests of graph SSL."""

from typing import Any

import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import stochastic_blockmodel_graph

from gcl import ssl

NODE = ("BGRL", "CCASSG", "Contrast", "DGI", "GBT", "GCA", "GRACE")
GRAPH = ("ADGCL", "GraphCL", "InfoGraph")


def one(nodes: int = 40, width: int = 8) -> Data:
    """A graph of two blocks whose features differ in mean; its last node is isolated."""
    torch.manual_seed(0)
    half = nodes // 2
    edges = stochastic_blockmodel_graph([half, nodes - half - 1], [[0.4, 0.05], [0.05, 0.4]])
    y = (torch.arange(nodes) >= half).long()
    x = torch.rand(nodes, width) + 0.5 * y[:, None] * (torch.arange(width) < width // 2)
    return Data(x=x, edge_index=edges, y=y)


def many(graphs: int = 6) -> Batch:
    """Graphs of several sizes."""
    return Batch.from_data_list([one(8 + 2 * g, 5) for g in range(graphs)])


def generator(seed: int = 0) -> torch.Generator:
    """Seeded."""
    return torch.Generator().manual_seed(seed)


def made(name: str, **arguments: Any) -> tuple[ssl.Method, Data]:
    """A method of small width and what it learns from."""
    torch.manual_seed(1)
    cls = getattr(ssl, name)
    data = many() if name in GRAPH else one()
    return cls(cls.default_encoder(data.num_features, hidden=16), **arguments), data

"""Weights of edges on convolutions that know none."""

import contextlib

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GINConv, SAGEConv
from torch_geometric.utils import to_undirected

from gcl.encoders.weights import edge_weights
from gcl.errors import InputError
from gcl.ssl.base import encode


def conv(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = {
        "gcn": lambda: GCNConv(4, 3),
        "gin": lambda: GINConv(nn.Linear(4, 3)),
        "sage": lambda: SAGEConv(4, 3),
        "sage-sum": lambda: SAGEConv(4, 3, aggr="sum"),
        "gat": lambda: GATConv(4, 3, heads=2),
        "gatv2": lambda: GATv2Conv(4, 3, heads=2, concat=False),
    }[name]()
    return made.double()


def graph(loops: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    gen = torch.Generator().manual_seed(0)
    edges = to_undirected(torch.randint(9, (2, 20), generator=gen))
    edges = edges if loops else edges[:, edges[0] != edges[1]]
    return torch.randn(10, 4, generator=gen, dtype=torch.float64), edges


ALL = ["gcn", "gin", "sage", "sage-sum", "gat", "gatv2"]


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_ones_are_no_weights(name: str, loops: bool) -> None:
    (x, edges), layer = graph(loops), conv(name)
    with edge_weights(layer, edges, torch.ones(edges.shape[1], dtype=torch.float64)):
        weighted = layer(x, edges)
    assert torch.allclose(weighted, layer(x, edges), atol=1e-13)


@pytest.mark.parametrize("name", ["gin", "sage-sum"])
def test_an_edge_of_weight_zero_is_no_edge_to_a_sum(name: str) -> None:
    (x, edges), layer = graph(True), conv(name)
    keep = torch.arange(edges.shape[1]) % 3 > 0
    with edge_weights(layer, edges, keep.double()):
        weighted = layer(x, edges)
    assert torch.allclose(weighted, layer(x, edges[:, keep]), atol=1e-13)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_reaches_every_weight(name: str) -> None:
    (x, edges), layer = graph(True), conv(name)
    weight = torch.full((edges.shape[1],), 0.5, dtype=torch.float64, requires_grad=True)

    def run(w: torch.Tensor) -> torch.Tensor:
        with edge_weights(layer, edges, w):
            return layer(x, edges)

    assert torch.autograd.gradcheck(run, weight)
    run(weight).square().sum().backward()
    assert weight.grad is not None and bool((weight.grad != 0).all())


def test_loops_that_a_convolution_adds_weigh_one_and_given_ones_keep_theirs() -> None:
    x, layer = torch.eye(4, dtype=torch.float64), conv("gcn")
    edges = torch.tensor([[0, 1, 2], [1, 0, 2]])
    with edge_weights(layer, edges, torch.zeros(3, dtype=torch.float64)):
        out = layer(x, edges)
    alone = layer.lin(x) * torch.tensor([0.5, 0.5, 0.0, 1.0]).double()[:, None]
    assert torch.allclose(out, alone, atol=1e-13)


def test_stacks_and_hooks_that_are_gone_afterwards() -> None:
    (x, edges), first, second = graph(), conv("gin"), GINConv(nn.Linear(3, 2)).double()

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = first, second

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x, edge_index), edge_index)

    model = Two()
    clean = model(x, edges)
    with contextlib.suppress(RuntimeError), edge_weights(model, edges, torch.zeros(edges.shape[1]).double()):
        assert not torch.allclose(model(x, edges), clean)
        raise RuntimeError
    assert torch.equal(model(x, edges), clean)


def test_errors() -> None:
    (x, edges), layer = graph(), conv("gin")
    with (
        pytest.raises(ValueError, match=r"weight must be one an edge, \[\d+\], got \(3,\)"),
        edge_weights(layer, edges, torch.ones(3)),
    ):
        pass
    with (
        pytest.raises(ValueError, match="edge_weights needs layers that send along the edges they are given"),
        edge_weights(layer, edges, torch.ones(edges.shape[1])),
    ):
        layer(x, edges.flip(1))


def test_an_encoder_on_which_weights_would_not_act_is_refused() -> None:
    class Plain(torch.nn.Module):
        out_channels = 2

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            return x.index_add(0, edge_index[1], x[edge_index[0]])

    data = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([0.5, 2.0]))
    with pytest.raises(InputError, match=r"^Plain would ignore weights of edges: .* give its forward one, or take"):
        encode(Plain(), data)
    data.edge_weight = None
    assert encode(Plain(), data).shape == (3, 2)

"""GCN and GIN against torch_geometric's."""

import copy

import pytest
import torch
from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.nn import GINConv
from torch_geometric.utils import to_undirected

from gcl.encoders import gnn
from gcl.encoders.gnn import GCN, GIN, summing


def graph(nodes: int = 12, loops: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gen = torch.Generator().manual_seed(0)
    edges = to_undirected(torch.randint(nodes - 2, (2, 30), generator=gen))
    if not loops:
        edges = edges[:, edges[0] != edges[1]]
    x = torch.randn(nodes, 5, generator=gen, dtype=torch.float64)
    return x, edges, torch.rand(edges.shape[1], generator=gen, dtype=torch.float64)


@pytest.mark.parametrize(("weighted", "loops"), [(False, False), (True, False), (True, True)])
def test_gcn_is_that_of_torch_geometric(weighted: bool, loops: bool) -> None:
    x, edges, weight = graph(loops=False)
    if loops:
        own = torch.tensor([[3, 7], [3, 7]])
        edges, weight = torch.cat([edges, own], 1), torch.cat([weight, torch.tensor([0.2, 3.0], dtype=torch.float64)])
    own = GCN(5, (7, 3), last=False).double()
    other = PyGGCN(5, 7, 2, out_channels=3).double()
    for conv, w, b in zip(other.convs, own.weights, own.biases, strict=True):
        conv.lin.weight.data = w.data.T.clone()
        conv.bias.data = b.data = torch.randn_like(b)
    given = weight.requires_grad_() if weighted else None
    mine, theirs = own(x, edges, given), other(x, edges, edge_weight=given)
    assert torch.allclose(mine, theirs, atol=1e-12)
    if weighted:
        ours = torch.autograd.grad(mine.square().sum(), weight)[0]
        assert torch.allclose(ours, torch.autograd.grad(theirs.square().sum(), weight)[0], atol=1e-10)


def test_a_loop_in_the_graph_is_the_loop_that_is_added() -> None:
    x, edges, _ = graph(loops=False)
    looped = torch.cat([edges, torch.tensor([[3], [3]])], 1)
    encoder = GCN(5, (4,)).double()
    assert torch.equal(encoder(x, edges), encoder(x, looped))


def test_a_graph_that_comes_again_is_sorted_once_and_another_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    x, edges, weight = graph()
    encoder, made = GCN(5, (4,)).double(), []
    monkeypatch.setattr(gnn, "summing", lambda *a, **k: made.append(a) or summing(*a, **k))
    first = encoder(x, edges)
    assert torch.equal(encoder(x, edges), first) and len(made) == 1
    assert torch.equal(encoder(x[:10], edges), GCN.forward(copy.deepcopy(encoder), x[:10], edges))
    fewer = edges[:, :6].clone()
    assert not torch.equal(encoder(x, fewer), first)
    fewer[:, 0] = torch.tensor([7, 8])
    assert torch.equal(encoder(x, fewer), copy.deepcopy(encoder)(x, fewer)), "changed in place"
    assert torch.equal(encoder(x, edges, weight), copy.deepcopy(encoder)(x, edges, weight))
    assert torch.equal(encoder(x, edges), first)


def test_a_graph_first_seen_in_inference_mode_is_learnt_from() -> None:
    x, edges, _ = graph()
    encoder = GCN(5, (4,)).double()
    with torch.inference_mode():
        seen = encoder(x, edges)
    out = encoder(x, edges)
    out.sum().backward()
    assert torch.equal(out, seen) and encoder.weights[0].grad is not None


def test_gin_is_the_convolution_of_torch_geometric_and_reads_weights() -> None:
    x, edges, weight = graph()
    encoder = GIN(5, 6, 2).double().eval()
    h, layers = x, []
    for mlp, norm in zip(encoder.mlps, encoder.norms, strict=True):
        h = norm(torch.relu(GINConv(mlp)(h, edges)))
        layers.append(h)
    assert torch.allclose(encoder(x, edges), torch.cat(layers, 1), atol=1e-12)
    assert encoder.out_channels == 12 and GIN(5, 6, 2, concat=False).out_channels == 6
    assert torch.allclose(encoder(x, edges, torch.ones_like(weight)), encoder(x, edges), atol=1e-12)
    keep = torch.arange(len(weight)) % 3 > 0
    assert torch.allclose(encoder(x, edges, keep.double()), encoder(x, edges[:, keep]), atol=1e-12)
    weight.requires_grad_()
    encoder(x, edges, weight).sum().backward()
    assert weight.grad is not None and weight.grad.abs().min() > 0


def test_the_last_layer_of_gin_without_concat_is_not_clipped() -> None:
    x, edges, _ = graph()
    assert (GIN(5, 8, 2, concat=False).double()(x, edges) < 0).any()


def test_new_parameters() -> None:
    torch.manual_seed(0)
    for encoder in (GCN(5, (4, 3), act="prelu", norm=True), GIN(5, 4)):
        before = [p.clone() for p in encoder.parameters() if p.dim() > 1]
        encoder.reset_parameters()
        after = [p for p in encoder.parameters() if p.dim() > 1]
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_messages_sum_at_their_target() -> None:
    adj = summing(torch.tensor([[0, 1], [2, 2]]), 3)
    assert (adj @ torch.tensor([[1.0], [10.0], [100.0]])).tolist() == [[0.0], [0.0], [11.0]]


def test_widths_are_at_least_one() -> None:
    with pytest.raises(ValueError, match=r"channels must be widths of at least 1, got \[0\]"):
        GCN(5, (0,))
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        GIN(5, 0)


def test_errors() -> None:
    with pytest.raises(ValueError, match="channels must name the width of at least one layer, got none"):
        GCN(5, ())
    with pytest.raises(ValueError, match="act must be 'relu', 'prelu' or 'rrelu', got 'elu'"):
        GCN(5, (3,), act="elu")
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        GIN(5, 3, 0)

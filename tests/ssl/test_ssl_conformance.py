"""What holds for every method of graph SSL."""

import copy
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from small_graphs import GRAPH, NODE, generator, made, many, one
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader, RandomNodeLoader
from torch_geometric.nn import GAT, GCN, GIN, PNA, GINEConv, GraphSAGE

from gcl import build, ssl
from gcl.errors import InputError
from gcl.losses import BPR, MACL, AlignUniform, InfoNCE, NTXent, VICReg
from gcl.views import PPR, DropEdge, DropNode, EdgeGates, Identity, MaskFeature, RandomChoice


def train(method: ssl.Method, data: Any, steps: int, lr: float = 5e-3) -> list[float]:
    """Losses of the last phase, over steps."""
    method.train()
    adams = [torch.optim.Adam(list(p.parameters), lr) for p in method.phases()]
    found, draws = [], generator()
    for step in range(1, steps + 1):
        for phase, adam in zip(method.phases(), adams, strict=True):
            total = torch.stack(list(phase.losses(data, draws).values())).sum()
            adam.zero_grad()
            total.backward()
            adam.step()
        method.after_step(step)
        found.append(float(total.detach()))
    return found


@pytest.mark.parametrize("name", [*NODE, *GRAPH])
def test_the_loss_is_finite_and_falls(name: str) -> None:
    method, data = made(name)
    losses = train(method, data, 40)
    assert all(math.isfinite(value) for value in losses)
    assert sum(losses[-10:]) < sum(losses[:10])


@pytest.mark.parametrize("name", [*NODE, *GRAPH])
def test_every_parameter_is_in_one_phase_and_receives_gradient(name: str) -> None:
    method, data = made(name)
    of_phases = [id(p) for phase in method.phases() for p in phase.parameters]
    assert len(of_phases) == len(set(of_phases))
    assert set(of_phases) == {id(p) for p in method.parameters() if p.requires_grad}
    for phase in method.phases():
        method.zero_grad()
        torch.stack(list(phase.losses(data, generator()).values())).sum().backward()
        mine = {id(p) for p in phase.parameters}
        for key, p in method.named_parameters():
            if id(p) in mine:
                assert p.grad is not None and torch.isfinite(p.grad).all(), key
            elif len(method.phases()) > 1:
                assert p.grad is None, f"{key} is of another phase"


@pytest.mark.parametrize("name", [*NODE, *GRAPH])
def test_losses_are_a_function_of_data_and_generator(name: str) -> None:
    method, data = made(name)
    before = copy.deepcopy(data)
    state = torch.random.get_rng_state()
    first, second = (method.losses(data, generator(3)) for _ in range(2))
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}
    assert torch.equal(torch.random.get_rng_state(), state), "drew from the global generator"
    assert set(data.keys()) == set(before.keys()) and torch.equal(data.x, before.x)


@pytest.mark.parametrize("name", [*NODE, *GRAPH])
def test_embeddings_are_of_the_clean_graph_in_eval_mode(name: str) -> None:
    method, data = made(name)
    train(method, data, 3)
    method.train()
    z = method.embed(data)
    assert method.training and not z.requires_grad
    assert z.shape == (data.num_graphs if method.level == "graph" else data.num_nodes, method.channels)
    assert torch.equal(z, method.embed(data)), "not deterministic"
    states = method.encoder.eval()(data.x, data.edge_index).detach()
    if method.level == "graph":
        states = torch.stack([states[data.batch == g].sum(0) for g in range(data.num_graphs)])
    assert torch.allclose(z, states, atol=1e-5)


@pytest.mark.parametrize("name", [*NODE, *GRAPH])
def test_a_state_dict_holds_all_that_training_changed(name: str) -> None:
    method, data = made(name)
    train(method, data, 3)
    other, _ = made(name)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.embed(data), method.embed(data))
    method.train(), other.train()
    one_loss, other_loss = (float(sum(m.losses(data, generator()).values())) for m in (method, other))
    assert one_loss == other_loss


@pytest.mark.parametrize("name", [*NODE, *GRAPH])
def test_arguments_build_the_same_method_and_are_plain(name: str) -> None:
    method, _ = made(name)
    assert "encoder" not in method.arguments
    assert build.plain(method.arguments, "model")
    assert type(type(method)(method.encoder, **method.arguments)) is type(method)
    assert method.reference and build.method_class(name) is type(method)


@pytest.mark.parametrize("encoder", [GCN, GAT, GIN, GraphSAGE])
@pytest.mark.parametrize("name", ["GRACE", "BGRL", "DGI", "GraphCL", "InfoGraph", "ADGCL"])
def test_encoders_of_torch_geometric(name: str, encoder: type[nn.Module]) -> None:
    _, data = made(name)
    torch.manual_seed(0)
    method = getattr(ssl, name)(encoder(data.num_features, 12, 2))
    losses = train(method, data, 8)
    assert all(math.isfinite(value) for value in losses)
    assert method.embed(data).shape[1] == 12


@pytest.mark.parametrize("objective", [InfoNCE(0.3), AlignUniform(), VICReg(), MACL(0.5)])
@pytest.mark.parametrize("level", ["node", "graph"])
def test_contrast_takes_any_pair_objective_at_either_level(level: Any, objective: Any) -> None:
    data = one() if level == "node" else many()
    views = ([DropEdge(0.3), MaskFeature(0.2)], DropNode(0.2))
    method = ssl.Contrast(GIN(data.num_features, 8, 2), views=views, objective=objective, level=level, projection=8)
    losses = train(method, data, 30)
    assert sum(losses[-8:]) < sum(losses[:8])


def test_nodes_that_a_view_drops_are_left_out() -> None:
    data = one()
    views = (DropNode(0.5), [DropNode(0.3), DropEdge(0.2)])
    method = ssl.Contrast(GIN(8, 6, 1, norm=None), views=views, projection=None)
    data.edge_index = data.edge_index[:, :0]
    first, second = method.two(data, generator())
    assert 2 < len(first) < 40 and torch.allclose(first, second), "without edges a node has one state in every view"


def test_anchors_can_be_sampled() -> None:
    method, data = made("GRACE", views=(Identity(),), objective=NTXent(0.4), sample=10)
    seen: list[int] = []
    method.objective.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    first, second = (float(method.losses(data, generator(s))["contrast"].detach()) for s in (0, 1))
    assert seen == [10, 10] and first != second


def test_learnt_views_have_a_phase_of_their_own_where_they_are_adversarial() -> None:
    data = one()
    method = ssl.Contrast(GIN(8, 6, 2), views=(EdgeGates(0.7, adversarial=True), Identity()))
    assert [p.name for p in method.phases()] == ["views", "main"]
    train(method, data, 4)
    chosen = RandomChoice([DropEdge(0.2), [EdgeGates(0.7, adversarial=True)]])
    hidden = ssl.Contrast(GIN(8, 6, 2), views=(chosen, Identity()))
    assert [p.name for p in hidden.phases()] == ["views", "main"], "inside a choice it is adversarial, too"
    with pytest.raises(ValueError, match="views of BGRL cannot be adversarial"):
        ssl.BGRL(GIN(8, 6, 2), views=(chosen,))
    together = ssl.Contrast(GIN(8, 6, 2), views=(EdgeGates(0.7), Identity()))
    assert [p.name for p in together.phases()] == ["main"]
    before = [p.clone() for p in together.views.parameters()]
    train(together, data, 4)
    assert any(not torch.equal(a, b) for a, b in zip(before, together.views.parameters(), strict=True))


def test_weights_of_edges_reach_every_encoder() -> None:
    data = PPR()(one())
    for encoder in (GCN(8, 6, 2), GIN(8, 6, 2), GraphSAGE(8, 6, 2), GAT(8, 6, 2)):
        method = ssl.GRACE(encoder)
        plain = copy.copy(data)
        plain.edge_weight = None
        assert not torch.allclose(method.embed(data), method.embed(plain)), type(encoder).__name__


def test_embedding_leaves_every_part_in_its_mode() -> None:
    method, data = made("BGRL")
    method.train()
    frozen = method.encoder.after[0].eval()
    method.embed(data)
    assert method.training and method.encoder.training and not frozen.training


def test_attributes_of_edges_reach_encoders_that_read_them() -> None:
    data = one()
    data.edge_attr = torch.rand(data.num_edges, 3)
    plain = copy.copy(data)
    plain.edge_attr = torch.zeros(data.num_edges, 3)

    class Own(nn.Module):
        in_channels = out_channels = 8

        def __init__(self) -> None:
            super().__init__()
            self.conv = GINEConv(nn.Linear(8, 8), edge_dim=3)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor, edge_attr: torch.Tensor) -> torch.Tensor:
            return self.conv(x, edge_index, edge_attr)

    degrees = torch.tensor([0, 1, 2])
    for encoder, reads in (
        (Own(), True), (GAT(8, 6, 2, edge_dim=3), True), (GAT(8, 6, 2), False), (GCN(8, 6, 2), False),
        (PNA(8, 6, 2, aggregators=["mean"], scalers=["identity"], deg=degrees), False),
    ):  # fmt: skip
        method = ssl.GRACE(encoder)
        assert torch.isfinite(method.losses(data, generator())["contrast"])
        assert torch.equal(method.embed(data), method.embed(plain)) != reads, type(encoder).__name__


def test_views_that_put_nodes_in_another_order() -> None:
    data = one()
    data.edge_index = data.edge_index[:, :0]

    def turned(graph: Any) -> Any:
        graph.x, graph.n_id = graph.x.flip(0), graph.n_id.flip(0)
        return graph

    method = ssl.Contrast(GIN(8, 6, 1, norm=None), views=(turned, Identity()), projection=None)
    first, second = method.two(data, generator())
    assert torch.allclose(first, second), "row by row the same nodes"
    torch.manual_seed(0)
    bgrl = ssl.BGRL(GIN(8, 6, 1, norm=None), views=(turned, Identity()))
    value = bgrl.losses(data, generator())["bootstrap"]
    bgrl.views[0] = bgrl.views[1]
    assert torch.allclose(value, bgrl.losses(data, generator())["bootstrap"])


@pytest.mark.parametrize("name", ["GRACE", "CCASSG", "BGRL", "DGI"])
def test_parts_of_a_loader_of_torch_geometric(name: str) -> None:
    data = one(60)
    method, _ = made(name)
    parts = list(RandomNodeLoader(data, num_parts=3, shuffle=True))
    losses = [sum(train(method, part, 1)) for _ in range(6) for part in parts]
    assert sum(p.num_nodes for p in parts) == 60 and all(math.isfinite(v) for v in losses)
    whole = list(DataLoader([one(20) for _ in range(6)], batch_size=3))
    assert all(math.isfinite(sum(train(method, batch, 1))) for batch in whole)


def test_import_is_lazy() -> None:
    code = "import gcl.ssl, sys; assert 'torch_geometric' not in sys.modules; assert 'GRACE' in dir(gcl.ssl)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="module 'gcl.ssl' has no attribute 'Grace'"):
        ssl.Grace  # noqa: B018


def test_data_that_cannot_be_read() -> None:
    method, data = made("GRACE")
    for broken, text in (
        (Data(edge_index=data.edge_index, num_nodes=40), r"an encoder needs data.x \[N, F\], got none"),
        (Data(x=data.x[:, :3], edge_index=data.edge_index), r"data.x must be \[N, 8\] for this encoder, got \[40, 3\]"),
        ((data.x, data.edge_index), "views act on Data or Batch, got tuple"),
        (HeteroData(), "views act on Data or Batch, got HeteroData"),
    ):
        with pytest.raises(InputError, match=text):
            method.embed(broken)
    for broken in ((data.x, data.edge_index), HeteroData()):
        for name in ("GRACE", "BGRL", "DGI", "ADGCL"):
            with pytest.raises(InputError, match="views act on Data or Batch"):
                made(name)[0].losses(broken, generator())


def test_errors() -> None:
    encoder = GCN(8, 6, 2)
    with pytest.raises(InputError, match="objective of GRACE must be of kind pair, got BPR of kind ranking"):
        ssl.GRACE(encoder, objective=BPR())
    with pytest.raises(InputError, match="objective of DGI must be of kind ranking, got NTXent of kind pair"):
        ssl.DGI(encoder, objective=NTXent())
    with pytest.raises(InputError, match="encoder must have out_channels, the width of its output, as a whole number"):
        ssl.GRACE(nn.Sequential())
    with pytest.raises(ValueError, match="level must be 'node' or 'graph', got 'edge'"):
        ssl.Contrast(encoder, level="edge")
    with pytest.raises(ValueError, match="sample must be at least 2 anchors, or None for all, got 1"):
        ssl.GRACE(encoder, sample=1)
    with pytest.raises(ValueError, match="views of DGI must have one entry, the corruption, got 2"):
        ssl.DGI(encoder, views=(Identity(), Identity()))
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\], got 2"):
        ssl.BGRL(encoder, momentum=2)
    with pytest.raises(ValueError, match="steps must be at least 1, or None, got 0"):
        ssl.BGRL(encoder, steps=0)
    with pytest.raises(ValueError, match="views of BGRL cannot be adversarial"):
        ssl.BGRL(encoder, views=(EdgeGates(adversarial=True),))
    with pytest.raises(ValueError, match="budget must not be negative, got -1"):
        ssl.ADGCL(encoder, budget=-1)
    with pytest.raises(ValueError, match="ends must be at least 1, got 0"):
        ssl.ADGCL(encoder, ends=0)
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        ssl.ADGCL(encoder, temperature=0)


def test_widths_are_at_least_one():
    for name, width in (("GRACE", "projection"), ("GraphCL", "projection"), ("BGRL", "predictor")):
        cls = getattr(ssl, name)
        with pytest.raises(ValueError, match=rf"{width} must be a width of at least 1"):
            cls(cls.default_encoder(4), **{width: 0})


def test_a_corruption_that_loses_nodes_is_refused():
    data = Data(x=torch.rand(30, 4), edge_index=torch.randint(30, (2, 60)))
    method = ssl.DGI(ssl.DGI.default_encoder(4, 8), views=[DropNode(0.5)])
    with pytest.raises(InputError, match=r"DGI's corruption must keep all nodes, but 30 became \d+; take Shuf"):
        method.losses(data, generator())


def test_a_copy_that_cannot_be_made_anew_is_refused():
    class Bare(nn.Module):
        in_channels, out_channels = 4, 4

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.eye(4))

        def forward(self, x, edge_index):
            return x @ self.w

    with pytest.raises(InputError, match=r"Bare has parameters of its own and needs a method reset_parameters\(\)"):
        ssl.BGRL(Bare())

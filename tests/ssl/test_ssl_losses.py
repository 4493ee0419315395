"""Losses of the methods against the formulas of their papers, naive and in float64; faults known from PyGCL."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_graphs import generator, made, many, one
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Data
from torch_geometric.nn import GCN

from gcl import ssl
from gcl.losses import DCL, MACL, NTXent
from gcl.losses.functional import partition
from gcl.ssl.base import encode, pooled
from gcl.ssl.contrast import common, viewed
from gcl.views import DropEdge, DropNode, Identity, ShuffleFeature


def exact(name: str, **arguments: Any) -> tuple[Any, Data]:
    """A method in float64 and what it learns from."""
    method, data = made(name, **arguments)
    data.x = data.x.double()
    return method.double(), data


def value(method: Any, data: Data) -> Tensor:
    """The sum of its terms, views drawn from one seed."""
    return torch.stack(list(method.losses(data, generator(5)).values())).sum()


def two(method: Any, data: Data) -> tuple[Tensor, Tensor]:
    """The projected views of the same seed."""
    first, second = method.two(data, generator(5))
    return method.projector(first), method.projector(second)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def test_grace_leaves_out_the_anchor_itself_and_nothing_else() -> None:
    method, data = exact("GRACE")
    z = two(method, data)
    total = torch.zeros(())
    for a, b in (z, z[::-1]):
        across, within = (cosines(a, other) / 0.4 for other in (b, a))
        within = within.masked_fill(torch.eye(len(a), dtype=torch.bool), -math.inf)
        total = total + (torch.cat([across, within], 1).logsumexp(1) - across.diagonal()).mean() / 2
    assert torch.allclose(value(method, data), total, rtol=1e-12)


def test_graphcl_leaves_the_positive_out_of_the_denominator() -> None:
    method, data = exact("GraphCL")
    s = cosines(*two(method, data)) / 0.2
    others = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -math.inf)
    naive = ((others.logsumexp(1) + others.logsumexp(0)) / 2 - s.diagonal()).mean()
    assert torch.allclose(value(method, data), naive, rtol=1e-12)


def test_cca_ssg_and_barlow_twins() -> None:
    for name in ("CCASSG", "GBT"):
        method, data = exact(name)
        a, b = ((z - z.mean(0)) / z.std(0, correction=0) for z in two(method, data))
        n, d = a.shape
        eye, c = torch.eye(d), a.T @ b / n
        if name == "CCASSG":
            naive = -c.trace() + 1e-3 * sum(((eye - x.T @ x / n) ** 2).sum() for x in (a, b))
        else:
            naive = ((1 - c.diagonal()) ** 2).sum() + (c**2 * (1 - eye)).sum() / d
        assert torch.allclose(value(method, data), naive, rtol=1e-9)


def test_dgi_is_the_cross_entropy_of_true_and_shuffled_nodes() -> None:
    method, data = exact("DGI")
    true, false = encode(method.encoder, data), encode(method.encoder, ShuffleFeature()(data, generator(5)))
    summary = torch.sigmoid(true.mean(0)).expand_as(true)
    logits = torch.cat([method.score(true, summary), method.score(false, summary)])[:, 0]
    naive = F.binary_cross_entropy_with_logits(logits, torch.cat([torch.ones(40), torch.zeros(40)]).double())
    assert torch.allclose(value(method, data), naive, rtol=1e-12)


def test_dgi_summarises_every_graph_of_a_batch_by_itself() -> None:
    batch = many()
    torch.manual_seed(0)
    method = ssl.DGI(ssl.DGI.default_encoder(5, 6), views=(Identity(),))
    parts = [float(method.losses(g)["discriminate"].detach()) * g.num_nodes for g in batch.to_data_list()]
    assert float(method.losses(batch)["discriminate"].detach()) == pytest.approx(sum(parts) / batch.num_nodes, rel=1e-5)


def test_infograph_scores_nodes_against_graphs() -> None:
    method, data = exact("InfoGraph")
    states = encode(method.encoder, data)
    s = method.local(states) @ method.whole(pooled(states, data)).T
    own = F.one_hot(data.batch, data.num_graphs).bool()
    positive = (math.log(2) - F.softplus(-s))[own].sum() / len(s)
    negative = (F.softplus(-s) + s - math.log(2))[~own].sum() / (len(s) * (data.num_graphs - 1))
    assert torch.allclose(value(method, data), negative - positive, rtol=1e-12)


def test_bgrl_predicts_the_target_of_the_other_view() -> None:
    method, data = exact("BGRL", views=(Identity(),))
    h, t = encode(method.encoder, data), encode(method.target, data).detach()
    cos = F.cosine_similarity(method.predictor(h), t)
    assert torch.allclose(value(method, data), 2 - 2 * cos.mean(), rtol=1e-10)
    method, data = exact("BGRL")
    draws = generator(5)
    one, other = (viewed(entry, data, draws) for entry in method.views)
    pairs = ((encode(method.encoder, a), encode(method.target, b)) for a, b in ((one, other), (other, one)))
    naive = sum(1 - F.cosine_similarity(method.predictor(h), t).mean() for h, t in pairs)
    assert torch.allclose(value(method, data), naive, rtol=1e-10), "of the other view, not of its own"
    assert not any(p.requires_grad for p in method.target.parameters())


def test_the_target_follows_by_its_schedule() -> None:
    method, _ = made("BGRL", momentum=0.9, steps=100)
    assert method.rate(0) == 0.9 and method.rate(100) == method.rate(500) == 1.0
    assert method.rate(50) == pytest.approx(1 - 0.1 * (1 + math.cos(math.pi / 2)) / 2)
    slow, fast = next(method.target.parameters()).clone(), next(method.encoder.parameters()).clone()
    assert not torch.equal(slow, fast), "the target starts with parameters of its own"
    method.after_step(50)
    now = next(method.target.parameters())
    assert torch.allclose(now, method.rate(50) * slow + (1 - method.rate(50)) * fast, atol=1e-7)
    assert torch.equal(next(method.encoder.parameters()), fast)


def test_ad_gcl_weighs_edges_and_pays_for_what_it_drops() -> None:
    method, data = exact("ADGCL", budget=3.0)
    terms = method.adversary(data, generator(5))
    weight = method.learner(data, generator(5))
    assert float(terms["budget"].detach()) == pytest.approx(
        3 * sum(float((1 - weight[data.batch[data.edge_index[0]] == g]).mean()) for g in range(6)) / 6
    )
    method.encoder.eval()
    states = [method.encoder(data.x, data.edge_index, w) for w in (None, weight)]
    z = [method.projector(pooled(h, data)) for h in states]
    s = cosines(*z) / 0.2
    others = s.masked_fill(torch.eye(6, dtype=torch.bool), -math.inf)
    naive = ((others.logsumexp(1) + others.logsumexp(0)) / 2 - s.diagonal()).mean()
    assert torch.allclose(terms["adversary"], -naive, rtol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_the_gradient_of_macl_is_that_of_its_numerator_and_negatives_alone(alpha: float) -> None:
    """-1 / τ on every positive, their shares on the negatives: the decoupled loss at the adapted temperature."""
    method, data = exact("GraphCL", objective=MACL(0.2, alpha))
    with torch.no_grad():
        cos = F.cosine_similarity(*two(method, data)).mean().item()
    plain, _ = exact("GraphCL", objective=DCL(0.2 * (1 + alpha * cos)))
    grads = [torch.autograd.grad(value(m, data), list(m.parameters())) for m in (method, plain)]
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*grads, strict=True))


def test_nothing_of_the_size_of_all_pairs_changes_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    method, data = exact("GRACE")
    whole = value(method, data)
    gradient = torch.autograd.grad(whole, list(method.parameters()))
    monkeypatch.setitem(partition.DENSE_BUDGET, "cpu", 1)
    tiled = value(method, data)
    assert torch.allclose(tiled, whole, rtol=1e-12)
    again = torch.autograd.grad(tiled, list(method.parameters()))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(gradient, again, strict=True))


class Largest(TorchDispatchMode):
    """Most entries of a tensor that any operation makes."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for part in out if isinstance(out, tuple | list) else (out,):
            self.entries = max(self.entries, part.numel() if isinstance(part, Tensor) else 0)
        return out


@pytest.mark.parametrize("objective", [None, MACL(0.5), DCL(0.5)])
def test_a_step_makes_nothing_of_the_size_of_all_pairs(objective: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in (partition.DENSE_BUDGET, partition.TILE):
        monkeypatch.setitem(table, "cpu", 2**10)
    data = one(600)
    data.edge_index = data.edge_index[:, data.edge_index.sum(0) % 20 == 0]
    torch.manual_seed(0)
    chosen = {} if objective is None else {"objective": objective}
    method = ssl.GRACE(ssl.GRACE.default_encoder(8, 16), projection=16, **chosen)
    with Largest() as largest:
        value(method, data).backward()
    assert 0 < largest.entries < 600 * 600 / 4


def test_isolated_nodes_at_the_end_are_nodes() -> None:
    data = one()
    data.edge_index = torch.tensor([[0, 1], [1, 0]])
    for name in ("GRACE", "BGRL", "DGI", "CCASSG", "GCA", "GBT"):
        method, _ = made(name)
        assert method.embed(data).shape[0] == 40
        assert torch.isfinite(value(method, data))


def test_a_graph_without_nodes_has_a_row() -> None:
    data = many(3)
    data.batch = data.batch.clamp(max=1)
    method, _ = made("GraphCL")
    z = method.embed(data)
    assert len(z) == 3 and bool((z[2] == 0).all())


def test_a_dropped_node_is_not_in_the_sum_of_its_graph() -> None:
    data = many()
    data.x = torch.ones_like(data.x)

    class States(torch.nn.Module):
        in_channels = out_channels = 5

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return x

    method = ssl.GraphCL(States(), views=(Identity(), DropNode(0.5)), projection=None)
    whole, part = method.two(data, generator())
    assert whole[:, 0].tolist() == [8.0, 10.0, 12.0, 14.0, 16.0, 18.0]
    assert bool((part[:, 0] < whole[:, 0]).any()) and bool((part[:, 0] >= 1).all())


def test_the_loss_of_bgrl_falls_as_its_views_agree() -> None:
    method, data = exact("BGRL", views=(Identity(),))
    before = value(method, data)
    before.backward()
    with torch.no_grad():
        for p in method.predictor.parameters():
            p -= 0.05 * p.grad
        cos = F.cosine_similarity(method.predictor(encode(method.encoder, data)), encode(method.target, data)).mean()
    assert float(cos) > 1 - float(before.detach()) / 2


def test_a_graph_without_edges_and_a_batch_of_one_graph_have_finite_losses() -> None:
    empty = one()
    empty.edge_index = empty.edge_index[:, :0]
    for name in ("GRACE", "BGRL", "DGI", "CCASSG"):
        assert torch.isfinite(value(made(name)[0], empty))
    single = many(1)
    for name in ("GraphCL", "InfoGraph", "ADGCL"):
        method, _ = made(name)
        for phase in method.phases():
            total = torch.stack(list(phase.losses(single, generator()).values())).sum()
            assert torch.isfinite(total)
    bare = many()
    bare.edge_index = bare.edge_index[:, :0]
    assert torch.isfinite(torch.stack(list(made("ADGCL")[0].adversary(bare, generator()).values())).sum())


def test_nodes_that_two_views_share() -> None:
    first, second = common(torch.tensor([4, 0, 2]), torch.tensor([2, 3, 4]), 5)
    assert first.tolist() == [2, 0] and second.tolist() == [0, 2]


def test_weights_of_edges_act_in_a_view() -> None:
    data = one()
    torch.manual_seed(0)
    method = ssl.Contrast(GCN(8, 6, 2), views=(DropEdge(0.3, renormalize=False), Identity()), objective=NTXent(0.4))
    first, second = method.two(data, generator())
    assert not torch.allclose(first, second)


def test_no_device_is_named_and_nothing_compiled_is_asked_for() -> None:
    root = Path(ssl.__file__).parents[1]
    for folder in ("ssl", "views", "losses", "encoders", "graph", "evaluation"):
        for path in (root / folder).rglob("*.py"):
            text = path.read_text()
            assert not re.search(r"torch_sparse|torch_scatter|pyg_lib|\bdgl\b", text), path
            assert not re.search(r"""=\s*["']cuda|\(["']cuda|["']cuda:\d|\.cuda\(""", text.replace("==", "")), path

"""Views of torch_geometric graphs: what belongs to nodes and edges stays with them, and graphs of a batch apart."""

import copy
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import transforms as T
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.utils import is_undirected, to_undirected

from gcl import build, catalogue
from gcl.errors import InputError
from gcl.testing import check_data_view
from gcl.views import (
    PPR,
    AdaptiveDropEdge,
    AdaptiveMaskFeature,
    AddEdge,
    DataView,
    DropEdge,
    DropFeature,
    DropNode,
    EdgeGates,
    Heat,
    Identity,
    MaskFeature,
    Noise,
    RandomChoice,
    ShuffleFeature,
    Subgraph,
    Transform,
    augment,
    two_views,
)
from gcl.views.adaptive import centrality
from gcl.views.subgraph import neighbours, walk

STRUCTURAL = {
    "DropEdge": lambda: DropEdge(0.4),
    "DropEdge directed": lambda: DropEdge(0.4, pairs=False, renormalize=False),
    "DropNode": lambda: DropNode(0.4),
    "DropNode scaled": lambda: DropNode(0.4, renormalize=False),
    "AddEdge": lambda: AddEdge(0.5),
    "AddEdge directed": lambda: AddEdge(0.5, pairs=False),
    "Subgraph": lambda: Subgraph(0.5, length=3),
    "PPR": lambda: PPR(k=4),
    "Heat": lambda: Heat(k=4),
    "AdaptiveDropEdge": lambda: AdaptiveDropEdge(0.4),
    "Identity": lambda: Identity(),
    "RandomChoice": lambda: RandomChoice([DropNode(0.3), [AddEdge(0.2), DropEdge(0.3)]], each_graph=True),
}
FEATURES = {
    "MaskFeature": lambda: MaskFeature(0.4),
    "MaskFeature row": lambda: MaskFeature(0.4, "row", 7.0),
    "MaskFeature all": lambda: MaskFeature(0.4, "all"),
    "DropFeature": lambda: DropFeature(0.4),
    "ShuffleFeature": lambda: ShuffleFeature(),
    "AdaptiveMaskFeature": lambda: AdaptiveMaskFeature(0.4),
}
ALL = STRUCTURAL | FEATURES


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def graph(nodes, edges, seed, number=0, undirected=True):
    """A graph whose attributes say what they belong to: x[:, 0] the node, edge_attr the two ends."""
    draw = seeded(seed)
    e = torch.randint(nodes, (2, edges), generator=draw)
    e = to_undirected(e, num_nodes=nodes) if undirected else torch.unique(e, dim=1)
    names = number * 1000 + torch.arange(nodes)
    x = torch.cat([names[:, None].float(), torch.rand(nodes, 5, generator=draw) + 0.5], dim=1)
    ends = names[e].T.float()
    weight = ends.sum(1) / 100 + 1
    return Data(x=x, edge_index=e, edge_attr=ends, edge_weight=weight, y=torch.tensor([number]), n_id=names)


def batch(seed=0):
    sizes = [(7, 9), (1, 0), (30, 45), (4, 2), (12, 12)]
    return Batch.from_data_list([graph(n, m, seed + i, i) for i, (n, m) in enumerate(sizes)])


@pytest.mark.parametrize("name", ALL)
def test_views_hold_their_contract(name):
    check_data_view(ALL[name])


@pytest.mark.parametrize("cls", [DropEdge, DropNode, MaskFeature, DropFeature, AdaptiveDropEdge, AdaptiveMaskFeature])
def test_nothing_is_dropped_with_p_zero(cls):
    check_data_view(lambda: cls(0.3), lambda: cls(0.0))


def test_the_suite_finds_what_is_broken():
    class Torn(DataView):
        level = "graph"

        def forward(self, data, generator=None):
            out = copy.copy(data)
            out.edge_index = data.edge_index[:, 1:]
            return out

    class Global(DataView):
        level = "graph"

        def forward(self, data, generator=None):
            return DropEdge(0.5)(data)

    class Rude(DataView):
        level = "graph"

        def forward(self, data, generator=None):
            data.x += 1
            return data

    for cls, rule in ((Torn, "must have an entry an edge"), (Global, "equal generators"), (Rude, "must not change x")):
        with pytest.raises((AssertionError, ValueError, RuntimeError), match=rule):
            check_data_view(cls)


@pytest.mark.parametrize("name", FEATURES)
def test_features_change_alone(name):
    before = batch()
    out = FEATURES[name]()(before, seeded(0))
    assert out.x.shape == before.x.shape and not torch.equal(out.x, before.x)
    for key in ("edge_index", "edge_attr", "edge_weight", "batch", "ptr", "y", "n_id"):
        assert out[key] is before[key]
    assert len(out.to_data_list()) == 5


@pytest.mark.parametrize("name", ALL)
def test_single_graphs_and_transforms_of_torch_geometric(name):
    data = graph(20, 30, 0)
    data.train_mask = torch.arange(20) < 5
    out = T.Compose([T.NormalizeFeatures(), ALL[name](), T.AddSelfLoops()])(data)
    assert out.x.shape[0] == out.num_nodes == len(out.train_mask)
    out.validate()


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 20)), min_size=1, max_size=4),
    seed=st.integers(0, 1 << 30),
    undirected=st.booleans(),
)
def test_any_batch_survives_any_structural_view(sizes, seed, undirected):
    parts = [graph(n, m, seed + i, i, undirected) for i, (n, m) in enumerate(sizes)]
    before = Batch.from_data_list(parts)
    for build_view in STRUCTURAL.values():
        out = build_view()(before, seeded(seed))
        pieces = out.to_data_list()
        assert [p.y.item() for p in pieces] == list(range(len(sizes)))
        for piece, old in zip(pieces, parts, strict=True):
            piece.validate()
            assert 1 <= piece.num_nodes <= old.num_nodes
            assert torch.isin(piece.n_id, old.n_id).all()
            assert torch.equal(piece.x[:, 0].long(), piece.n_id)


def test_what_belongs_to_a_graph_of_one_edge_stays_when_the_edge_goes():
    data = graph(2, 1, 0, undirected=False)
    data.y = torch.tensor([7])
    for before in (data, Batch.from_data_list([data])):
        out = DropEdge(0.999)(before, seeded(0))
        assert out.num_edges == 0 and out.y.tolist() == [7] and len(out.edge_attr) == 0


# --- edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [DropEdge(0.5), AdaptiveDropEdge(0.5), AddEdge(0.5), Subgraph(0.6)])
def test_undirected_graphs_stay_undirected(view):
    data = graph(40, 60, 1)
    out = view(data, seeded(0))
    assert is_undirected(out.edge_index, out.edge_weight, num_nodes=out.num_nodes)


def test_directed_coins_break_pairs():
    out = DropEdge(0.5, pairs=False)(graph(40, 60, 1), seeded(0))
    assert not is_undirected(out.edge_index, num_nodes=40)


def test_drop_edge_has_its_rate_and_its_expectation():
    data = graph(200, 2000, 0)
    out = DropEdge(0.3)(data, seeded(0))
    assert abs(out.num_edges / data.num_edges - 0.7) < 0.03
    assert out.num_nodes == 200
    scaled = DropEdge(0.3, renormalize=False)(data, seeded(0))
    torch.testing.assert_close(scaled.edge_weight, out.edge_weight / 0.7)
    bare = Data(edge_index=data.edge_index, num_nodes=200)
    assert "edge_weight" not in DropEdge(0.3)(bare, seeded(0))
    torch.testing.assert_close(DropEdge(0.3, renormalize=False)(bare, seeded(0)).edge_weight[0].item(), 1 / 0.7)


def test_added_edges_are_new_have_weights_and_stay_in_their_graph():
    before = batch()
    out = AddEdge(0.5)(before, seeded(0))
    assert len(out.edge_weight) == len(out.edge_attr) == out.num_edges > before.num_edges
    for part, old in zip(out.to_data_list(), before.to_data_list(), strict=True):
        loops = old.edge_index[0] == old.edge_index[1]
        pairs = int((~loops).sum()) // 2
        room = old.num_nodes * (old.num_nodes - 1) // 2 - pairs
        assert part.num_edges - old.num_edges == 2 * min(round(0.5 * pairs), room)
        assert len(torch.unique(part.edge_index, dim=1).T) == part.num_edges, "an edge that was there was added"
    added = (out.edge_attr.abs().sum(1) == 0) & (out.n_id[out.edge_index] != 0).any(0)
    assert (out.edge_weight[added] == 1).all()


def test_add_edge_fills_a_graph_that_is_nearly_complete():
    full = (1 - torch.eye(6)).nonzero().T
    data = Data(x=torch.ones(6, 1), edge_index=full[:, 2:])
    assert AddEdge(5.0, pairs=False)(data, seeded(0)).num_edges == 30


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_dropped_nodes_leave_x_batch_and_readout():
    before = batch()
    out = DropNode(0.5)(before, seeded(0))
    assert out.num_nodes == len(out.x) == len(out.batch) < before.num_nodes
    assert len(torch.unique(out.batch)) == 5, "a graph lost all its nodes"
    assert len(torch.unique(DropNode(0.99)(before, seeded(1)).batch)) == 5


def test_subgraph_is_connected_and_of_the_size_asked_for():
    ring = torch.stack([torch.arange(50), (torch.arange(50) + 1) % 50])
    data = Data(x=torch.arange(50.0)[:, None], edge_index=to_undirected(ring))
    out = Subgraph(0.1, length=100)(data, seeded(0))
    assert out.num_nodes == 5
    assert out.num_edges == 8
    wide = Batch.from_data_list([graph(30, 90, s, s) for s in range(5)])
    sizes = torch.bincount(Subgraph(0.5, length=3)(wide, seeded(0)).batch)
    assert (sizes <= 15).all() and sizes.float().mean() > 13


def test_walks_stay_at_isolated_nodes_even_the_last_ones():
    edges = torch.tensor([[0, 1], [1, 0]])
    path = walk(neighbours(edges, 5), torch.tensor([4, 0, 2]), 6, seeded(0))
    assert (path[:, 0] == 4).all() and (path[:, 2] == 2).all()
    assert path[:, 1].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert (walk(neighbours(edges[:, :0], 5), torch.tensor([4]), 6, seeded(0)) == 4).all()


def test_isolated_nodes_at_the_end_do_not_vanish():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=6)
    for view in (DropEdge(0.9), AddEdge(2.0), PPR(k=3), AdaptiveDropEdge(0.5)):
        assert view(data, seeded(0)).num_nodes == 6
    assert DropNode(0.5)(data, seeded(1)).num_nodes < 6


def test_a_graph_of_edges_alone_keeps_its_number_of_nodes():
    data = Data(edge_index=torch.arange(40).reshape(2, 20))
    out = DropEdge(0.9)(data, seeded(0))
    assert out.num_edges < 8 and out.num_nodes == 40


# --- features -------------------------------------------------------------------------------------------------------


def test_masked_columns_are_shared_in_a_graph_and_not_between_graphs():
    before = Batch.from_data_list([Data(x=torch.ones(10, 400), edge_index=torch.zeros(2, 0).long()) for _ in range(3)])
    out = MaskFeature(0.25)(before, seeded(0)).x
    rows = out.reshape(3, 10, 400)
    assert (rows == rows[:, :1]).all()
    assert not torch.equal(rows[0], rows[1])
    assert abs((out == 0).float().mean() - 0.25) < 0.05


def test_drop_feature_drops_the_share_p_and_not_its_complement():
    data = Data(x=torch.ones(300, 40), edge_index=torch.zeros(2, 0).long())
    out = DropFeature(0.2)(data, seeded(0)).x
    assert abs((out == 0).float().mean() - 0.2) < 0.02
    torch.testing.assert_close(out.max().item(), 1.25)
    assert abs((MaskFeature(0.2, "all")(data, seeded(0)).x == 0).float().mean() - 0.2) < 0.02


def test_shuffled_rows_stay_in_their_graph():
    before = batch()
    out = ShuffleFeature()(before, seeded(0))
    for part, old in zip(out.to_data_list(), before.to_data_list(), strict=True):
        assert torch.equal(part.x[:, 0].sort().values, old.x[:, 0])
    assert not torch.equal(out.x, before.x)


# --- diffusion ------------------------------------------------------------------------------------------------------


def dense(data):
    out = torch.zeros(data.num_nodes, data.num_nodes)
    return out.index_put((data.edge_index[1], data.edge_index[0]), data.edge_weight, accumulate=True)


@pytest.mark.parametrize(
    ("view", "how"), [(PPR(0.2, 99), {"method": "ppr", "alpha": 0.2}), (Heat(5.0, 99), {"method": "heat", "t": 5.0})]
)
def test_diffusion_equals_that_of_torch_geometric(view, how):
    data = Data(edge_index=graph(15, 25, 3).edge_index, num_nodes=15)
    gdc = T.GDC(1, "sym", None, how, {"method": "threshold", "eps": 0.0})(copy.copy(data))
    gdc.edge_weight = gdc.edge_attr
    torch.testing.assert_close(dense(view(data)), dense(gdc).clamp(min=0), atol=1e-5, rtol=1e-4)


def test_every_graph_has_its_own_diffusion():
    view, first, second = PPR(k=99), graph(8, 12, 0), graph(9, 12, 1)
    torch.testing.assert_close(dense(view(second)), dense(PPR(k=99)(second)))
    view(first)
    torch.testing.assert_close(dense(view(second)), dense(PPR(k=99)(second)))
    second.edge_weight.mul_(3.0).add_(1.0 / torch.arange(1, second.num_edges + 1))
    torch.testing.assert_close(dense(view(second)), dense(PPR(k=99)(second)))
    whole = dense(view(Batch.from_data_list([first, second])))
    torch.testing.assert_close(whole[:8, :8], dense(view(first)))
    assert (whole[:8, 8:] == 0).all()


@pytest.mark.parametrize("cls", [PPR, Heat])
def test_diffusion_keeps_the_k_largest_entries_of_a_node(cls):
    data = graph(30, 90, 2)
    few, every = dense(cls(k=5)(data)), dense(cls(k=99)(data))
    assert ((few > 0).sum(1) == 5).all(), "and not nearly all of them"
    torch.testing.assert_close(few.sum(1), every.topk(5).values.sum(1))


def test_the_same_edges_among_more_nodes_are_diffused_anew():
    view, edges = PPR(k=99), graph(8, 12, 0).edge_index
    for size in (8, 10, 8):
        assert dense(view(Data(edge_index=edges, num_nodes=size))).diagonal().gt(0).sum() == size


@pytest.mark.parametrize("view", [AdaptiveDropEdge(0.3), AdaptiveMaskFeature(0.3)])
def test_the_same_edges_in_one_graph_and_in_two_are_not_confused(view):
    one = graph(12, 20, 0)
    one.edge_index = torch.cat([one.edge_index % 6, graph(6, 4, 1).edge_index + 6], dim=1)
    del one.edge_weight, one.edge_attr
    two = copy.copy(one)
    two.batch = torch.arange(12) // 6
    view(one, seeded(0))
    for data in (two, one):
        again, expected = view(data, seeded(0)), type(view)(**view.arguments)(data, seeded(0))
        assert torch.equal(again.x, expected.x) and torch.equal(again.edge_index, expected.edge_index)


def test_a_graph_that_comes_again_is_not_diffused_again(monkeypatch):
    view, data = PPR(k=3), graph(8, 12, 0)
    first = view(data)
    monkeypatch.setattr(view, "diffuse", lambda graph: 1 / 0)
    assert view(data).edge_index is first.edge_index


# --- centrality -----------------------------------------------------------------------------------------------------


def star(leaves=6):
    ends = torch.stack([torch.zeros(leaves).long(), torch.arange(1, leaves + 1)])
    return Data(edge_index=to_undirected(ends), num_nodes=leaves + 1)


def test_centralities():
    data = star()
    assert centrality(data, "degree").tolist() == [6, 1, 1, 1, 1, 1, 1]
    hub, leaf = centrality(data, "pagerank")[:2].tolist()
    torch.testing.assert_close(hub, 0.15 + 0.85 * 6 * leaf, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(leaf, 0.15 + 0.85 * hub / 6, rtol=1e-4, atol=1e-4)
    eigen = centrality(data, "eigenvector")
    torch.testing.assert_close((eigen[0] / eigen[1]).item(), 6**0.5, rtol=1e-3, atol=0)
    both = Batch.from_data_list([star(6), star(3)])
    for kind in ("degree", "pagerank", "eigenvector"):
        torch.testing.assert_close(centrality(both, kind)[7:], centrality(star(3), kind))


@pytest.mark.parametrize("kind", ["degree", "pagerank", "eigenvector"])
def test_edges_between_central_nodes_are_dropped_less(kind):
    data = graph(300, 500, 0)
    del data.edge_weight
    p, ids = AdaptiveDropEdge(0.3, kind).probabilities(data)
    assert p.min() >= 0 and p.max() <= 0.7
    assert p.max() > 0.69 or abs(p.mean() - 0.3) < 0.01, "the mean is p where nothing was cut"
    score = (centrality(data, kind) + 1e-8).log()[data.edge_index].mean(0)
    assert torch.corrcoef(torch.stack([score, p[ids]]))[0, 1] < -0.8
    assert p[ids[score.argmax()]] == 0


def test_columns_of_central_nodes_are_masked_less_and_unused_ones_give_no_infinity():
    x = torch.zeros(7, 4)
    x[0, 0] = x[1, 1] = x[1:4, 2] = 1
    data = star()
    data.x = x
    p = AdaptiveMaskFeature(0.3).probabilities(data)[0]
    assert torch.isfinite(p).all()
    assert p[0] == 0 and p[0] < p[2] < p[1] and p[3] == torch.tensor(0.3)
    even = Data(x=torch.ones(4, 3), edge_index=to_undirected(torch.tensor([[0, 2], [1, 3]])))
    torch.testing.assert_close(AdaptiveMaskFeature(0.3).probabilities(even), torch.full((1, 3), 0.3))


# --- learnt gates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["degree", "pagerank", "eigenvector"])
@pytest.mark.parametrize("size", [5, 7, 10, 30, 100])
def test_edges_of_a_regular_graph_have_the_mean_probability(kind, size):
    ring = torch.stack([torch.arange(size), (torch.arange(size) + 1) % size])
    data = Data(x=torch.ones(size, 1), edge_index=torch.cat([ring, ring.flip(0)], 1))
    p, _ = AdaptiveDropEdge(0.3, kind).probabilities(data)
    torch.testing.assert_close(p, torch.full_like(p, 0.3))


def test_nodes_without_incoming_edges_do_not_rule_the_degrees():
    star = Data(x=torch.ones(9, 1), edge_index=torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8, 1], [0] * 8 + [2]]))
    p, _ = AdaptiveDropEdge(0.3, cap=1.0).probabilities(star)
    both = Data(x=star.x, edge_index=torch.cat([star.edge_index, star.edge_index.flip(0)], 1))
    torch.testing.assert_close(p, AdaptiveDropEdge(0.3, cap=1.0).probabilities(both)[0])
    assert float(p.mean()) == pytest.approx(0.3)


def test_a_transform_that_draws_from_numpy_and_python_repeats_itself():
    def draw(data):
        return Data(x=torch.tensor([random.random(), np.random.rand()]), edge_index=data.edge_index)  # noqa: NPY002

    random.seed(7)
    state = random.getstate()
    first, again, other = (Transform(draw)(star(), seeded(n)).x for n in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other) and random.getstate() == state


def test_gates_are_tied_keep_their_budget_and_pass_gradients():
    before = batch()
    check_data_view(lambda: EdgeGates(hidden=8))
    view = EdgeGates(keep=0.7, hidden=8)
    view.prepare(6)
    out = view(before, seeded(0))
    gate = out.edge_weight / before.edge_weight
    assert is_undirected(out.edge_index, out.edge_weight, num_nodes=out.num_nodes)
    assert ((gate > 0) & (gate < 1)).all()
    torch.testing.assert_close(torch.sigmoid(view.data_logits(before, before.x)).mean().item(), 0.7)
    out.edge_weight.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in view.parameters())


def test_gates_without_parameters():
    with pytest.raises(ValueError, match=r"EdgeGates has no parameters yet: call prepare\(width of x\)"):
        EdgeGates()(batch())


# --- chains, choices, names -----------------------------------------------------------------------------------------


def test_chains_hold_views_and_transforms_and_draw_from_the_generator():
    entry = [T.NormalizeFeatures(), DropEdge(0.3), T.RandomLinkSplit(is_undirected=True)]
    views = two_views([entry[:2]], DataView)
    data = graph(20, 40, 0)
    one, two = (augment(v, data, g) for g in [seeded(0)] for v in views)
    assert not torch.equal(one.edge_index, two.edge_index)
    torch.testing.assert_close(one.x.sum(1), torch.ones(20))
    assert torch.equal(augment([], data).x, data.x)
    drop = Transform(lambda d: Data(x=torch.rand(3), edge_index=d.edge_index))
    named = build.view({"name": "Transform", "transform": "torch_geometric.transforms:NormalizeFeatures"})
    torch.testing.assert_close(named(data).x.sum(1), torch.ones(20))
    state = torch.get_rng_state()
    assert torch.equal(drop(data, seeded(1)).x, drop(data, seeded(1)).x)
    assert not torch.equal(drop(data, seeded(1)).x, drop(data, seeded(2)).x)
    assert torch.equal(torch.get_rng_state(), state)


def test_random_choice_draws_entries_for_a_batch_or_for_every_graph():
    parts = [Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 0).long()) for _ in range(60)]
    views = [MaskFeature(1.0, fill=float(v)) for v in (2, 3)]
    together = RandomChoice(views)(Batch.from_data_list(parts), seeded(0)).x
    assert len(together.unique()) == 1
    apart = RandomChoice(views, each_graph=True)(Batch.from_data_list(parts), seeded(0)).x.reshape(60, 2)
    assert (apart[:, 0] == apart[:, 1]).all() and 15 < (apart[:, 0] == 2).sum() < 45
    assert set(RandomChoice(views, k=2)(parts[0], seeded(0)).x.unique().tolist()) <= {2.0, 3.0}


def test_a_choice_for_every_graph_is_the_choice_applied_to_the_graph_alone():
    before = batch()
    out = RandomChoice([Identity(), [PPR(k=3), MaskFeature(1.0)]], each_graph=True)(before, seeded(1))
    changed = []
    for part, old in zip(out.to_data_list(), before.to_data_list(), strict=True):
        changed.append(bool((part.x == 0).all()))
        if changed[-1]:
            old = PPR(k=3)(old)
        order = [torch.argsort(e[0] * 100 + e[1]) for e in (part.edge_index, old.edge_index)]
        assert torch.equal(part.edge_index[:, order[0]], old.edge_index[:, order[1]])
        torch.testing.assert_close(part.edge_weight[order[0]], old.edge_weight[order[1]])
        assert torch.equal(part.n_id, old.n_id) and "edge_attr" not in part
    assert {True, False} == set(changed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_choice_between_views_with_and_without_weights_has_weights(seed):
    parts = [Data(x=torch.ones(6, 2), edge_index=graph(6, 8, i).edge_index) for i in range(8)]
    choice = RandomChoice([DropEdge(0.5, renormalize=False), Identity()], each_graph=True)
    out = choice(Batch.from_data_list(parts), seeded(seed))
    assert set(out.edge_weight.unique().tolist()) == {1.0, 2.0}
    assert sum(p.num_edges for p in out.to_data_list()) == out.num_edges == len(out.edge_weight)


def test_edges_that_a_transform_puts_at_the_end_stay_with_their_graph():
    looped = T.AddSelfLoops(attr=None)(Batch.from_data_list([star(3), star(4), star(5)]))
    views = [DropEdge(0.0), RandomChoice([Identity(), DropEdge(0.0)], each_graph=True)]
    for out in (view(looped, seeded(2)) for view in views):
        assert out.num_edges == looped.num_edges
        for part, leaves in zip(out.to_data_list(), (3, 4, 5), strict=True):
            part.validate()
            assert part.num_edges == 2 * leaves + leaves + 1


def test_names_build_views_and_catalogue_says_what_they_act_on():
    spec = {"name": "RandomChoice", "views": ["DropEdge", [{"name": "MaskFeature", "p": 0.3}, "ShuffleFeature"]]}
    view = build.view(spec)
    assert build.spec(view)["views"][1][0] == {"name": "MaskFeature", "p": 0.3, "mode": "col", "fill": 0.0}
    found = {entry["name"]: entry["on"] for entry in catalogue.views()}
    assert found["DropEdge"] == ["steps", "data"] and found["PPR"] == ["data"]
    assert found["Noise"] == ["steps"] and found["Crop"] == ["sequences"]


@pytest.mark.parametrize(
    ("build_view", "text"),
    [
        (lambda: AddEdge(-0.1), "p must not be negative, got -0.1."),
        (lambda: MaskFeature(1.2), r"p must be a probability in [0, 1], got 1.2."),
        (lambda: MaskFeature(mode="column"), "mode must be 'col', 'row' or 'all', got 'column'."),
        (lambda: DropFeature(1.0), r"p must be a probability in [0, 1), got 1.0."),
        (lambda: Subgraph(0.0), r"ratio must be a share in (0, 1], got 0.0."),
        (lambda: Subgraph(length=0), "length must be at least 1, got 0."),
        (lambda: PPR(0.0), r"alpha must be a probability in (0, 1], got 0.0."),
        (lambda: PPR(k=0), "k must be at least 1, got 0."),
        (lambda: Heat(0.0), "t must be positive, got 0.0."),
        (lambda: AdaptiveDropEdge(cap=2.0), r"cap must be a probability in [0, 1], got 2.0."),
        (lambda: AdaptiveDropEdge(centrality="betweenness"), "centrality must be 'degree', 'pagerank' or"),
        (lambda: Transform("torch_geometric.transforms:Nothing"), "transform 'torch_geometric.transforms:Nothing'"),
        (lambda: RandomChoice([Identity()], k=2), "k must be from 1 to the number of views, 1, got 2."),
        (lambda: RandomChoice([Noise()]), "views must be of DataView here, got Noise."),
        (lambda: two_views([Noise()], DataView), "views must be of DataView here, got Noise."),
        (lambda: DropEdge()(HeteroData()), "views act on Data or Batch, got HeteroData"),
        (lambda: DropEdge()(Data(x=torch.ones(3, 1))), r"views need data.edge_index [2, E], got none."),
        (lambda: DropEdge()(T.ToSparseTensor(layout=torch.sparse_csr, remove_edge_index=False)(graph(5, 5, 0))),
         "views change edge_index and data has adj_t, too"),
        (lambda: MaskFeature()(star()), r"MaskFeature needs data.x [N, F], got none"),
        (lambda: AdaptiveMaskFeature()(star()), r"AdaptiveMaskFeature needs data.x [N, F], got none"),
    ],
)  # fmt: skip
def test_errors(build_view, text):
    with pytest.raises((ValueError, InputError)) as error:
        build_view()
    assert text in str(error.value)


def test_views_alone_do_not_load_torch_geometric():
    code = "import sys, gcl.views; assert 'torch_geometric' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

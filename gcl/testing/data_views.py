"""What every view of torch_geometric data must hold."""

import copy
from collections.abc import Callable
from typing import Any

import torch

from gcl.views import DataView

SIZES = ((7, 9), (1, 0), (30, 45), (4, 2), (12, 12))
"""Nodes and drawn edges of the graphs of the batch."""


def check_data_view(build: Callable[[], DataView], nothing: Callable[[], DataView] | None = None) -> None:
    """Hold a view of data against its contract, on a batch of five graphs, one of a single node and one nearly empty.

    Args:
        build: makes the view.
        nothing: makes it with the setting that changes nothing (p = 0), where there is one.

    Raises:
        AssertionError: naming the rule that is broken.
    """
    before = tiny_batch()
    kept = copy.deepcopy(before)

    def ready(view: DataView) -> DataView:
        torch.manual_seed(0)
        view.prepare(before.x.shape[1])
        return view

    view = ready(build())
    out = view(before, torch.Generator().manual_seed(0))
    for key in kept.to_dict():
        assert torch.equal(before[key], kept[key]), f"a view must not change {key} of the data it is given"
    _same(out, view(before, torch.Generator().manual_seed(0)), "equal generators must give equal views")
    state = torch.get_rng_state()
    view(before, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state), "randomness must come from the generator that is given"
    _check_batch(before, out)
    rebuilt = ready(type(view)(**view.arguments))
    rebuilt.load_state_dict(view.state_dict())
    again = rebuilt(before, torch.Generator().manual_seed(0))
    _same(out, again, "a view built from its recorded arguments must be the same view")
    first = before.to_data_list()[2]
    single = view(first, torch.Generator().manual_seed(0))
    assert single.num_nodes == len(single.x) == len(single.n_id), "a view must take a single graph, too"
    if nothing is not None:
        _same(before, ready(nothing())(before), "the neutral setting must leave the data as they are")


def tiny_batch() -> Any:
    """Five graphs whose attributes tell to what they belong: ``n_id`` a node, ``edge_attr`` two ends, ``y`` a graph."""
    from torch_geometric.data import Batch, Data
    from torch_geometric.utils import to_undirected

    draw, parts = torch.Generator().manual_seed(0), []
    for number, (nodes, edges) in enumerate(SIZES):
        links = to_undirected(torch.randint(nodes, (2, edges), generator=draw), num_nodes=nodes)
        names = 1 + number * 1000 + torch.arange(nodes)
        x = torch.rand(nodes, 6, generator=draw) + 0.5
        ends = names[links].T.float()
        weight = 1 + ends.sum(1) / 100
        parts.append(
            Data(x=x, edge_index=links, edge_attr=ends, edge_weight=weight, y=torch.tensor([number]), n_id=names)
        )
    return Batch.from_data_list(parts)


def _check_batch(before: Any, out: Any) -> None:
    """Every graph is still one, with what belonged to it."""
    assert out.num_graphs == before.num_graphs, "a view must keep every graph of a batch"
    edges = out.edge_index
    for key in {"edge_weight", "edge_attr"} & set(out.to_dict()):
        assert len(out[key]) == edges.shape[1], f"{key} must have an entry an edge"
    assert torch.equal(out.batch[edges[0]], out.batch[edges[1]]), "an edge must not join two graphs of a batch"
    assert torch.equal(out.ptr.diff(), torch.bincount(out.batch, minlength=out.num_graphs)), "ptr must agree with batch"
    pairs = zip(out.to_data_list(), before.to_data_list(), strict=True)
    for number, (part, old) in enumerate(pairs):
        part.validate()
        assert part.num_nodes >= 1, "a graph must keep a node"
        assert bool(torch.isin(part.n_id, old.n_id).all()), "nodes must stay in their graph of the batch"
        assert part.y.tolist() == [number], "graphs must keep their order"
        assert part.x.shape == (part.num_nodes, old.x.shape[1]), "x must have a row a node"
        if "edge_attr" in part:
            known = part.edge_attr.abs().sum(1) > 0
            ends = part.n_id[part.edge_index].T.float()
            assert torch.equal(part.edge_attr[known], ends[known]), "edge_attr must stay with its edge"


def _same(one: Any, other: Any, rule: str) -> None:
    for key in one.to_dict():
        assert key in other and torch.equal(one[key], other[key]), f"{rule}: {key} differs"

"""What views of torch_geometric graphs share: nodes and edges are taken with all that belongs to them."""

import copy
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from gcl.errors import InputError

if TYPE_CHECKING:
    from torch_geometric.data import Data

T = TypeVar("T")


class Memo:
    """The last result of a function of tensors, as long as the very same tensors come, unchanged."""

    def __init__(self) -> None:
        self._tensors: tuple[Tensor, ...] = ()
        self._key: Hashable = None
        self._result: Any = None

    def __deepcopy__(self, _: dict[int, Any]) -> "Memo":
        return Memo()

    def __call__(self, compute: Callable[[], T], tensors: tuple[Tensor | None, ...], key: Hashable = None) -> T:
        """``compute()``, or what it gave for the same tensors, versions and key the last time."""
        given = tuple(t for t in tensors if t is not None)
        if torch.is_inference_mode_enabled() or any(t.is_inference() for t in given):
            return compute()
        key = (key, tuple(t is None for t in tensors), tuple(t._version for t in given))
        same = len(given) == len(self._tensors) and all(a is b for a, b in zip(given, self._tensors, strict=True))
        if not same or key != self._key:
            self._result = compute()
            self._tensors, self._key = given, key
        return self._result


def edges_of(data: "Data") -> Tensor:
    """The ``edge_index`` [2, E] of a graph.

    Raises:
        InputError: several types of nodes, no ``edge_index``, or an ``adj_t`` that views cannot keep aligned.
    """
    if not hasattr(data, "_store"):
        raise InputError(f"views act on Data or Batch, got {type(data).__name__}; take a homogeneous graph.")
    if "adj_t" in data:
        raise InputError("views change edge_index and data has adj_t, too; leave ToSparseTensor for after the views.")
    if data.edge_index is None:
        raise InputError("views need data.edge_index [2, E], got none.")
    return data.edge_index


def graphs_of(data: "Data") -> tuple[Tensor, int]:
    """The graph of every node [N], and the number of graphs."""
    edges, batch = edges_of(data), getattr(data, "batch", None)
    if batch is None:
        return torch.zeros(int(data.num_nodes), dtype=torch.long, device=edges.device), 1
    count = getattr(data, "num_graphs", None)
    return batch, int(count if count is not None else batch.max() + 1 if len(batch) else 0)


def weight_of(data: "Data", dtype: torch.dtype = torch.float32) -> Tensor:
    """``edge_weight`` [E], or ones."""
    weight = getattr(data, "edge_weight", None)
    edges = edges_of(data)
    return torch.ones(edges.shape[1], dtype=dtype, device=edges.device) if weight is None else weight


def pair_ids(edges: Tensor, num_nodes: int) -> tuple[Tensor, int]:
    """One number an unordered pair of ends, of every edge [E], and how many there are."""
    low, high = edges.amin(0), edges.amax(0)
    found, ids = torch.unique(low * num_nodes + high, return_inverse=True)
    return ids, len(found)


def take_edges(data: "Data", index: Tensor) -> "Data":
    """A copy of the graph with the edges ``index`` alone, in that order; edges of one graph must stay together."""
    out = _copied(data)
    for key in _keys(data, "edge"):
        out[key] = _select(data, key, index)
    return _refresh(data, out)


def take_nodes(data: "Data", index: Tensor) -> "Data":
    """A copy of the graph with the nodes ``index`` (ascending) alone, numbered anew, and the edges among them."""
    edges = edges_of(data)
    place = torch.full((int(data.num_nodes),), -1, dtype=torch.long, device=edges.device)
    place[index] = torch.arange(len(index), device=edges.device)
    moved = place[edges]
    inside = (moved >= 0).all(0).nonzero()[:, 0]
    out = _copied(data)
    for key in _keys(data, "edge"):
        out[key] = _select(data, key, inside)
    out.edge_index = moved.index_select(1, inside)
    for key in _keys(data, "node"):
        out[key] = _select(data, key, index)
    if "num_nodes" in out or "x" not in out:
        out.num_nodes = len(index)
    return _refresh(data, out)


def put_edges(data: "Data", edges: Tensor, **attributes: Tensor) -> "Data":
    """A copy of the graph with other edges, and ``attributes`` in place of all that belonged to those before."""
    out = _copied(data)
    for key in _keys(data, "edge"):
        del out[key]
    out.edge_index = edges
    for key, value in attributes.items():
        out[key] = value
    return _refresh(data, out)


def put_weight(data: "Data", weight: Tensor) -> "Data":
    """A copy of the graph with this ``edge_weight`` [E]."""
    out = copy.copy(data)
    out.edge_weight = weight
    return _refresh(data, out)


def add_edges(data: "Data", more: Tensor) -> "Data":
    """A copy of the graph with further edges [2, m], of ``edge_weight`` 1 and 0 in every other attribute."""
    edges, (batch, graphs) = edges_of(data), graphs_of(data)
    together = torch.cat([edges, more], dim=1)
    order = torch.sort(batch[together[0]], stable=True).indices if graphs > 1 else None
    found = {}
    for key in _keys(data, "edge"):
        dim = data.__cat_dim__(key, data[key])
        shape = list(data[key].shape)
        shape[dim] = more.shape[1]
        rest = data[key].new_full(shape, 1 if key == "edge_weight" else 0)
        value = torch.cat([data[key], more if key == "edge_index" else rest], dim=dim)
        found[key] = value if order is None else value.index_select(dim, order)
    return put_edges(data, found.pop("edge_index"), **found)


def woven(data: "Data", parts: Sequence["Data"], choice: Tensor) -> "Data":
    """A copy of a batch whose graph g is that of ``parts[choice[g]]``, views of the batch with the same graphs.

    An ``edge_weight`` that only some parts have is 1 in the others; other attributes that not all have are gone.
    """
    if any("edge_weight" in part for part in parts):
        parts = [part if "edge_weight" in part else put_weight(part, weight_of(part)) for part in parts]
    kinds = {kind: set.intersection(*(set(_keys(part, kind)) for part in parts)) for kind in ("node", "edge")}
    pieces = [take_nodes(part, (choice[part.batch] == at).nonzero()[:, 0]) for at, part in enumerate(parts)]
    batch, nodes = torch.sort(torch.cat([piece.batch for piece in pieces]), stable=True)
    before, total = [], 0
    for piece in pieces:
        before.append(total)
        total += len(piece.batch)
    ends = torch.cat([piece.edge_index + first for piece, first in zip(pieces, before, strict=True)], dim=1)
    ends = torch.argsort(nodes)[ends]
    links = torch.sort(batch[ends[0]], stable=True).indices
    out = _copied(data)
    for key in (*_keys(data, "node"), *_keys(data, "edge")):
        del out[key]
    for kind, order in (("node", nodes), ("edge", links)):
        for key in sorted(kinds[kind] - {"edge_index"}):
            dim = data.__cat_dim__(key, pieces[0][key])
            out[key] = torch.cat([piece[key] for piece in pieces], dim=dim).index_select(dim, order)
    out.edge_index = ends.index_select(1, links)
    if "num_nodes" in out or "x" not in out:
        out.num_nodes = total
    return _refresh(data, out)


def offsets(groups: Tensor, count: int) -> Tensor:
    """Where each group of a sorted vector of group numbers begins, [count + 1]."""
    sizes = torch.bincount(groups, minlength=count)
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def _copied(data: "Data") -> "Data":
    """A shallow copy that says how many nodes it has even where no attribute of nodes does."""
    out = copy.copy(data)
    if "x" not in data and "num_nodes" not in data:
        out.num_nodes = int(data.num_nodes)
    return out


def _keys(data: "Data", kind: str) -> list[str]:
    """Attributes that hold one entry a node, or an edge."""
    slices = getattr(data._store, "_slice_dict", None)
    found = []
    for key in data.keys():  # noqa: SIM118
        if not isinstance(data[key], Tensor) or key in ("ptr", "num_nodes"):
            continue
        if slices is not None and key in slices and key != "batch":
            own = _level(key, slices[key], data)
        else:
            own = "node" if key == "batch" else _guess(data, key)
        if own == kind:
            found.append(key)
    return found


def _level(key: str, bounds: Tensor, data: "Data") -> str:
    """Of an attribute of a batch, by how it is cut into graphs; one entry a graph is the graph's, not its edge's."""
    as_graphs = torch.equal(bounds.cpu(), torch.arange(len(bounds)))
    as_nodes = torch.equal(bounds.cpu(), _node_offsets(data).cpu())
    as_edges = torch.equal(bounds.cpu(), torch.as_tensor(data._store._slice_dict["edge_index"]).cpu())
    if as_nodes and as_edges:
        return "edge" if "edge" in key else "node"
    if as_edges and as_graphs and "edge" not in key:
        return "graph"
    return "node" if as_nodes else "edge" if as_edges else "graph"


def _guess(data: "Data", key: str) -> str:
    """Of an attribute of one graph, by its length, as torch_geometric guesses; a single entry is the graph's."""
    if key == "edge_index" or (data.is_edge_attr(key) and (data.num_edges > 1 or "edge" in key)):
        return "edge"
    return "node" if data.is_node_attr(key) else "graph"


def _node_offsets(data: "Data") -> Tensor:
    return offsets(*graphs_of(data))


def _select(data: "Data", key: str, index: Tensor) -> Tensor:
    return data[key].index_select(data.__cat_dim__(key, data[key]), index)


def _refresh(before: "Data", out: "Data") -> "Data":
    """The batch's own books, so that it can be taken apart: bounds of graphs in nodes, in edges, and increments."""
    if getattr(before, "batch", None) is None:
        return out
    batch, graphs = out.batch, graphs_of(before)[1]
    nodes = offsets(batch, graphs)
    if "ptr" in before:
        out.ptr = nodes
    slices = getattr(before._store, "_slice_dict", None)
    if slices is None:
        return out
    owner = batch[out.edge_index[0]]
    if bool((owner.diff() < 0).any()):  # a transform of torch_geometric put edges of all graphs at the end
        order = torch.sort(owner, stable=True).indices
        for key in _keys(out, "edge"):
            out[key] = _select(out, key, order)
    edges = offsets(owner, graphs)
    kept = {key: value for key, value in slices.items() if key in out}
    for key in kept:
        kind = _level(key, slices[key], before) if isinstance(slices[key], Tensor) else "graph"
        kept[key] = nodes.cpu() if kind == "node" else edges.cpu() if kind == "edge" else kept[key]
    steps = {key: value for key, value in before._store._inc_dict.items() if key in out}
    steps["edge_index"] = nodes[:-1].cpu()
    for key in set(out.keys()) - set(kept) - {"num_nodes", "batch", "ptr"}:
        kind = _guess(out, key) if isinstance(out[key], Tensor) else "graph"
        if kind != "graph":
            kept[key] = (nodes if kind == "node" else edges).cpu()
            steps[key] = torch.zeros(graphs, dtype=torch.long)
    if hasattr(before._store, "_num_nodes"):
        out._num_nodes = nodes.diff().tolist()
    out._slice_dict, out._inc_dict = kept, steps
    return out

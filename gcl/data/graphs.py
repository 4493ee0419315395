"""Data sets of graphs for torch_geometric: one graph of nodes or many graphs, with labels or without."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from gcl.data.cards import Card, find
from gcl.data.locate import locate
from gcl.errors import InputError

if TYPE_CHECKING:
    from torch_geometric.data import Data

Inputs = Literal["tags", "degree", "constant"]
MASKS = ("train_mask", "val_mask", "test_mask")
DEGREES = 100
"""The highest degree that has a column of its own."""


@dataclass(frozen=True)
class Graphs:
    """One graph (``level`` node) or several (``level`` graph), with labels of nodes [N], -1 unknown, or of graphs.

    A published split of nodes stands in the graph as ``train_mask``, ``val_mask`` and ``test_mask``.
    """

    name: str
    graphs: Sequence["Data"] = field(repr=False)
    level: Literal["node", "graph"]

    def __len__(self) -> int:
        return len(self.graphs)

    @property
    def data(self) -> "Data":
        """The graph of a set of level node."""
        return self.graphs[0]

    @cached_property
    def labels(self) -> Tensor:
        """Classes from 0, -1 where unknown: of nodes [N], or of graphs [G]."""
        if self.level == "node":
            return self.data.y
        return torch.cat([g.y.reshape(1) for g in self.graphs])

    @property
    def labelled(self) -> bool:
        """Whether any label is known."""
        return bool((self.labels >= 0).any())

    @property
    def num_features(self) -> int:
        """Width of ``x``."""
        return int(self.data.x.shape[1])

    @property
    def num_classes(self) -> int:
        """Number of classes that some label names."""
        return len(self.labels[self.labels >= 0].unique())

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal digits that stand for edges and labels."""
        found = hashlib.sha256()
        for tensor in (self.labels, *(g.edge_index for g in self.graphs)):
            found.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return found.hexdigest()[:12]


def load_graphs(source: Any, *, normalize: bool | None = None, inputs: Inputs | None = None) -> Graphs:
    """A data set of graphs.

    Args:
        source: a card's name; an import path ``package.module:thing``, where a ``Data``, a list or data set
            of them, or a function without arguments that returns one; or such an object.
        normalize: rows of ``x`` sum to 1 (rows of zeros stay); None: for the citation networks, as their methods do.
        inputs: what nodes of many graphs have as ``x``: their ``tags`` one-hot, their ``degree`` one-hot up to 100, a
            ``constant`` 1; None: ``tags`` where there are any, else ``constant``. Graphs with ``x`` keep it.

    A set known by name is built from its files, nothing unpickled and nothing kept in processed form: features above 0
    become 1, edges are undirected, without loops and duplicates, as torch_geometric has them; counts must agree with
    the card. Graphs without ``y`` have unknown labels: nodes where it is one graph, graphs where there are several.

    Raises:
        InputError: an unknown name, files that are absent or differ from the card, a thing that is no graph.
    """
    card = None
    if isinstance(source, str) and ":" in source:
        name, graphs = source, _things(source, _imported(source))
    elif isinstance(source, str):
        card = find(source)
        if card.kind != "graph":
            raise InputError(
                f"{source} is no data set of graphs but of kind {card.kind}; `gcl datasets list` has those."
            )
        name, graphs = source, read(card, locate(card))
    else:
        name, graphs = "data", _things("source", source)
    graphs = [_checked(_with_inputs(g, inputs, name), name, len(graphs)) for g in graphs]
    if normalize or (normalize is None and card is not None and card.format == "planetoid"):
        graphs = [_normalized(g, name) for g in graphs]
    _alike(graphs, name)
    nodes = len(graphs) == 1 and len(graphs[0].y) == graphs[0].num_nodes
    return Graphs(name, graphs, "node" if nodes else "graph")


def read(card: Card, folder: Path) -> list["Data"]:
    """The graphs of a card, from its files.

    Raises:
        InputError: files that cannot be read, or counts that are not those of the card.
    """
    files = {role: folder / file.path for role, file in card.files.items()}
    try:
        graphs = read_tu(files) if card.format == "tu" else [read_npz(files["graph"])]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"Cannot read the graphs of {card.name} in {folder}: {error}.") from error
    labels = torch.cat([g.y.reshape(-1) for g in graphs])
    found = {
        "graphs": len(graphs),
        "nodes": sum(int(g.num_nodes) for g in graphs),
        "arcs": sum(int(g.edge_index.shape[1]) for g in graphs),
        "features": int(graphs[0].x.shape[1]) if graphs[0].x is not None else 0,
        "classes": len(labels[labels >= 0].unique()),
    }
    told = card.expected.model_dump(exclude_none=True)
    wrong = [f"{found[what]:,} {what}, not {count:,}" for what, count in told.items() if found[what] != count]
    if wrong:
        raise InputError(
            f"The files of {card.name} in {folder} hold {'; '.join(wrong)} as its card says; put the files of its "
            f"source there. `gcl datasets check {card.name}` compares them."
        )
    return graphs


def read_npz(path: Path) -> "Data":
    """One graph in an npz of CSR members ``adj_*`` and ``attr_*``, ``labels`` and, where published, ``*_idx``."""
    from scipy import sparse
    from torch_geometric.data import Data

    with np.load(path, allow_pickle=False) as file:
        members = dict(file)
    links: Any = _csr(members, "adj", sparse)
    links = ((links + links.T) != 0).tocoo()
    apart = links.row != links.col
    edges = np.stack([links.row[apart], links.col[apart]]).astype(np.int64)
    order = np.lexsort((edges[1], edges[0]))
    x = torch.zeros(tuple(members["attr_shape"].tolist()))
    features: Any = _csr(members, "attr", sparse).tocoo()
    kept = features.data > 0
    x[torch.from_numpy(features.row[kept]).long(), torch.from_numpy(features.col[kept]).long()] = 1.0
    data = Data(x=x, edge_index=torch.from_numpy(edges[:, order]), y=torch.from_numpy(members["labels"]).long())
    for mask, role in zip(MASKS, ("train_idx", "valid_idx", "test_idx"), strict=True):
        if role in members:
            data[mask] = torch.zeros(len(x), dtype=torch.bool)
            data[mask][torch.from_numpy(members[role]).long()] = True
    return data


def read_tu(files: Mapping[str, Path]) -> list["Data"]:
    """Many graphs in TU text; tags of nodes become ``x``, one-hot, and classes are numbered from 0."""
    from torch_geometric.data import Data

    owner = _column(files["indicator"]) - 1
    if (np.diff(owner) < 0).any():
        raise ValueError("nodes of one graph do not stand together")
    labels = torch.from_numpy(np.unique(_column(files["labels"]), return_inverse=True)[1].reshape(-1))
    arcs = _column(files["arcs"]).reshape(-1, 2).T - 1
    arcs = np.unique(np.concatenate([arcs, arcs[::-1]], axis=1)[:, np.tile(arcs[0] != arcs[1], 2)], axis=1)
    tags = torch.from_numpy(np.unique(_column(files["tags"]), return_inverse=True)[1]) if "tags" in files else None
    x = None if tags is None else torch.nn.functional.one_hot(tags.reshape(-1)).float()
    sizes = np.bincount(owner, minlength=len(labels))
    ends = np.bincount(owner[arcs[0]], minlength=len(labels))
    first, at = np.cumsum(sizes) - sizes, np.cumsum(ends) - ends
    edges = torch.from_numpy(arcs)
    graphs = []
    for g, label in enumerate(labels):
        begin, end = int(first[g]), int(first[g] + sizes[g])
        own = edges[:, int(at[g]) : int(at[g] + ends[g])] - begin
        graphs.append(Data(x=None if x is None else x[begin:end], edge_index=own, y=label.reshape(1)))
        if x is None:
            graphs[-1].num_nodes = end - begin
    return graphs


def _csr(members: Mapping[str, np.ndarray], name: str, sparse: Any) -> Any:
    parts = tuple(members[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_matrix(parts, tuple(members[f"{name}_shape"].tolist()))


def _column(path: Path) -> np.ndarray:
    return np.array(path.read_text().replace(",", " ").split(), dtype=np.int64)


def _imported(source: str) -> Any:
    import importlib

    module, _, name = source.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"Cannot import the graphs {source!r}: {error}. An import path is package.module:thing, found in the "
            "current folder or installed."
        ) from error
    if not callable(found) or hasattr(found, "edge_index"):
        return found
    try:
        return found()
    except TypeError as error:
        raise InputError(
            f"Cannot call {source!r} without arguments: {error}. Write a function that makes the graphs, and name it."
        ) from error


def _things(name: str, thing: Any) -> list["Data"]:
    """The graphs of a ``Data``, or of a list or data set of them."""
    from torch_geometric.data import Batch, Data

    if isinstance(thing, Data):
        thing = thing.to_data_list() if isinstance(thing, Batch) else [thing]
    graphs = list(thing) if hasattr(thing, "__len__") and hasattr(thing, "__getitem__") else []
    wrong = [g for g in graphs if not (isinstance(g, Data) and g.edge_index is not None)]
    if not graphs or wrong:
        got = type(wrong[0] if wrong else thing).__name__
        raise InputError(f"{name} must be a Data, or a list or data set of Data, each with edge_index, got {got}.")
    missing = sum(g.y is None for g in graphs)
    if 0 < missing < len(graphs):
        raise InputError(
            f"{name}: all graphs must have labels y, or none, and {missing} of {len(graphs)} have none; -1 is unknown."
        )
    return graphs


def _with_inputs(data: "Data", inputs: Inputs | None, name: str) -> "Data":
    """The graph with features, if it had none."""
    if data.x is not None and inputs in (None, "tags"):
        return data
    if inputs == "tags":
        raise InputError(f"inputs must be 'degree' or 'constant' for {name}: its nodes have no tags.")
    import copy

    data, size = copy.copy(data), int(data.num_nodes)
    if inputs == "degree":
        degree = torch.bincount(data.edge_index[0], minlength=size).clamp(max=DEGREES)
        data.x = torch.nn.functional.one_hot(degree, DEGREES + 1).float()
    else:
        data.x = torch.ones(size, 1)
    return data


def _checked(data: "Data", name: str, graphs: int) -> "Data":
    """The graph with ``x`` [N, F] in float32 and labels [N] or [1] as whole numbers; an error where they are not so."""
    import copy

    data, size = copy.copy(data), int(data.num_nodes or 0)
    if data.x.dim() != 2 or len(data.x) != size:
        raise InputError(f"{name}: x must be [{size}, F], one row a node, got {list(data.x.shape)}.")
    if not math.isfinite(float(data.x.sum(dtype=torch.float64))):
        raise InputError(f"{name}: x holds values that are not finite; fill them in, or leave their columns out.")
    if data.y is None:
        data.y = torch.full((1 if graphs > 1 else size,), -1, device=data.edge_index.device)
    if data.y.numel() != 1 and (graphs > 1 or data.y.numel() != size):
        allowed = "one label a graph" if graphs > 1 else f"one label a node, [{size}], or one of the graph, [1]"
        raise InputError(f"{name}: y must be {allowed}, got {list(data.y.shape)}; without y it trains unlabelled.")
    y = data.y.reshape(-1)
    if bool((y != y.long()).any()):
        wrong = y[y != y.long()][0].item()
        raise InputError(
            f"{name}: y must hold classes, whole numbers from 0 and -1 for unknown, got {wrong:g}; without y it "
            "trains unlabelled."
        )
    try:
        data.validate()
    except ValueError as error:
        raise InputError(f"{name}: {error}.") from error
    data.x, data.y = data.x.float(), y.long()
    return data


def _normalized(data: "Data", name: str) -> "Data":
    import copy

    if bool((data.x < 0).any()):
        raise InputError(f"{name}: normalize needs features from 0, got {float(data.x.min()):g}; leave it out.")
    data = copy.copy(data)
    data.x = data.x / data.x.sum(1, keepdim=True).clamp(min=1e-12)
    return data


def _alike(graphs: Sequence["Data"], name: str) -> None:
    widths = {int(g.x.shape[1]) for g in graphs}
    if len(widths) > 1:
        raise InputError(f"{name}: all graphs must have x of one width, got {', '.join(map(str, sorted(widths)))}.")

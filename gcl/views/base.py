"""A view of a graph is a way of taking one propagation step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.graph import Adjacency, spmm

if TYPE_CHECKING:
    from torch_geometric.data import Data

Level = Literal["graph", "sequence", "feature"]


class Linear:
    """Propagation by a constant graph, one a layer or the same for all: ``step(h, layer) = adj[layer] @ h``.

    The step that encoders may run as one fused ``propagate`` when ``shared`` is not None.
    """

    def __init__(self, graph: Callable[[int], Adjacency], shared: Adjacency | None = None) -> None:
        self.graph = graph
        self.shared = shared

    def __call__(self, h: Tensor, layer: int) -> Tensor:
        """Representations after one step, [N, d] -> [N, d]; layers count from 1."""
        return spmm(self.graph(layer), h)


Step = Callable[[Tensor, int], Tensor]
Edges = tuple[Tensor, Tensor, Tensor]
"""Nodes that have an edge, first [B] and second [B], and nodes [B, m] that have none with the first."""


class View(Recorded, nn.Module, ABC):
    """Base of all views; ``level`` says of what: graph, sequence or feature.

    A chain of views is a list: each receives what the one before it made.
    """

    level: ClassVar[Level]


class GraphView(View):
    """A view of a graph. Randomness is drawn from ``generator`` when :meth:`steps` is called, or as steps are taken.

    A view may learn. Its parameters get their gradient through the representations that its steps give, those that
    weigh edges through the values of the sparse product; ``adversarial`` says whether they maximise the contrast in
    a phase of their own, where the rest of a model minimises it.
    """

    level: ClassVar[Level] = "graph"
    adversarial: bool = False
    replaces: ClassVar[bool] = False
    """Whether the step before is not taken, so that nothing may come before this view."""

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Make the parameters and buffers that depend on the graph or the width; called once, by the owner.

        Args:
            adj: the whole graph, [N, N], normalised.
            dim: width of the representations.
            sides: rows of each kind of node, such as (users, items); together N.
        """

    def terms(self, adj: Adjacency, h: Tensor, nodes: Edges, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What the view learns from beside the contrast, by name, for its owner to add; by default nothing.

        Args:
            adj: the whole graph.
            h: representations that enter layer 1, [N, d].
            nodes: a batch of edges and of pairs that are none.
            generator: source of randomness.
        """
        return {}

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """What the view has learnt, for TensorBoard, from the representations h [N, d] that enter layer 1."""
        return {}

    def pictures(self, adj: Adjacency, h: Tensor) -> dict[str, Tensor]:
        """The same as pictures, [rows, columns] in [0, 1]."""
        return {}

    @abstractmethod
    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """How one propagation step is taken: ``step(h [N, d], layer) -> [N, d]``, layers counted from 1.

        ``source`` is the graph, or in a chain the step of the view before.
        """


class DataView(View):
    """A view of torch_geometric graphs, ``Data -> Data`` and ``Batch -> Batch``; what it is given is not changed.

    Every attribute of nodes and edges stays aligned with them, ``batch``, ``ptr``, ``edge_weight`` and ``edge_attr``
    among them, and a batch can still be taken apart; nothing joins two graphs of a batch. Whoever needs to know which
    nodes are left puts a tensor [N] such as ``n_id`` on the data before. Called with the data alone it is a
    transform as torch_geometric has them, and draws from torch's own generator.
    """

    def prepare(self, channels: int) -> None:
        """Make the parameters that depend on the width of ``x``; called once, by the owner."""

    @abstractmethod
    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """The view of ``data``; randomness comes from ``generator``."""


def augment(views: Iterable[nn.Module], data: "Data", generator: torch.Generator | None = None) -> "Data":
    """Data as several views leave it, after one another; no views: the data itself."""
    for view in views:
        data = view(data, generator)
    return data


def as_step(source: Adjacency | Step) -> Step:
    """The plain step over a graph, or the step itself."""
    return Linear(lambda layer: source, shared=source) if isinstance(source, Adjacency) else source


def as_linear(source: Adjacency | Step, asker: str) -> Linear:
    """The step as one over a graph whose edges can be changed; an error if it no longer is one."""
    step = as_step(source)
    if not isinstance(step, Linear):
        rule = "changes edges and cannot follow a view that changes representations, or edges by what it reads of them"
        raise ValueError(f"{asker} {rule}: put it first in its chain.")
    return step


def chain(views: Iterable[nn.Module], source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
    """The step of several graph views after one another; no views: the plain step."""
    step = as_step(source)
    for place, view in enumerate(views):
        assert isinstance(view, GraphView)
        if view.replaces and place:
            name = type(view).__name__
            raise ValueError(f"{name} takes a step of its own and would undo what comes before it: put it first.")
        step = view.steps(step, generator)
    return step

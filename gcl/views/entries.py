"""The ``views`` argument: a list of entries, each a view or a chain of views."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gcl.graph import Adjacency
from gcl.views.base import DataView, Edges, GraphView, View
from gcl.views.choice import Transform

Views = Sequence[View | Sequence[View]]


def two_views(views: Views, level: type[View]) -> nn.ModuleList:
    """Two chains, as modules, out of one entry (drawn twice independently, parameters shared) or two entries.

    ``level`` is the base class that every view must have, :class:`gcl.views.GraphView`, ``SequenceView`` or
    ``DataView``; among the last, any other callable is taken for a transform of torch_geometric.
    """
    chains = [one_view(entry, level) for entry in views]
    if len(chains) not in (1, 2):
        raise ValueError(f"views must have one entry, drawn twice, or two entries, got {len(chains)}.")
    return nn.ModuleList([chains[0], chains[-1]])


def one_view(entry: View | Sequence[View], level: type[View]) -> nn.ModuleList:
    """One chain, as modules, out of an entry; views are copied, so that no two models share a learnable one."""
    chain: list[Any] = list(entry) if isinstance(entry, Sequence) else [entry]
    if level is DataView:
        chain = [Transform(view) if _foreign(view) else view for view in chain]
    for view in chain:
        if not isinstance(view, level):
            raise ValueError(f"views must be of {level.__name__} here, got {type(view).__name__}.")
    return nn.ModuleList(copy.deepcopy(chain))


def view_terms(
    views: nn.Module, adj: Adjacency, h: Tensor, nodes: Edges, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """The terms of all graph views among the modules, each view once, named ``Name.term``; equal names add up."""
    found = dict[str, Tensor]()
    for view in views.modules():
        if isinstance(view, GraphView):
            for name, value in view.terms(adj, h, nodes, generator).items():
                key = f"{type(view).__name__}.{name}"
                found[key] = found[key] + value if key in found else value
    return found


def _foreign(view: object) -> bool:
    return callable(view) and not isinstance(view, View)


def allocate(views: nn.Module, adj: Adjacency, dim: int, sides: Sequence[int]) -> list[nn.Parameter]:
    """Let every graph view among the modules make its parameters; those that maximise the contrast are returned."""
    adverse = list[nn.Parameter]()
    for view in views.modules():
        if isinstance(view, GraphView):
            view.allocate(adj, dim, sides)
            adverse += view.parameters() if view.adversarial else []
    return adverse

"""Views of torch_geometric graphs made of others: none, some at random, a transform of somebody else."""

import copy
import importlib
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from gcl.views.base import DataView, View, augment
from gcl.views.batches import graphs_of, woven

if TYPE_CHECKING:
    from torch_geometric.data import Data


class Identity(DataView):
    """The graph as it is."""

    level = "graph"

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """The data itself."""
        return data


class Transform(DataView):
    """A transform of torch_geometric, or any other function ``Data -> Data``, as a view.

    Its randomness comes from the generators of torch, numpy and Python, which are seeded for the time of the call by
    ``generator``. It is given a shallow copy. On a batch it acts on the batch as a whole.

    Args:
        transform: the function, or an import path such as ``torch_geometric.transforms:AddRandomWalkPE``, which a
            configuration can hold.
        options: arguments of a class that is named by import path.
    """

    level = "graph"

    def __init__(self, transform: Callable[..., Any] | str, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.transform = _imported(transform, options or {}) if isinstance(transform, str) else transform

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """What the transform makes of the data."""
        if generator is None:
            return self.transform(copy.copy(data))
        seed = torch.randint(1 << 62, (), generator=generator, device=generator.device)
        devices = [generator.device] if generator.device.type == "cuda" else []
        states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that others draw from
        try:
            with torch.random.fork_rng(devices):
                torch.manual_seed(int(seed))
                random.seed(int(seed))
                np.random.seed(int(seed) % (1 << 32))  # noqa: NPY002
                return self.transform(copy.copy(data))
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def _imported(path: str, options: dict[str, Any]) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
        return found(**options) if isinstance(found, type) else found
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"transform {path!r} cannot be had: {error}. Give package.module:Name and options.") from error


class RandomChoice(DataView):
    """``k`` of several entries, drawn without replacement and applied in the order drawn; an entry may be a chain.

    One draw a call. ``each_graph=True`` draws for every graph of a batch by itself, as GraphCL does (You et al.,
    NeurIPS 2020): entries that were drawn are applied to the whole batch, and each graph is taken from its own. Where
    only some of them give an ``edge_weight`` it is 1 in the others; further attributes of edges stay if all keep them.

    Args:
        views: the entries.
        k: how many of them are applied.
        each_graph: draw for every graph.
    """

    level = "graph"

    def __init__(self, views: Sequence[View | Sequence[View]], k: int = 1, each_graph: bool = False) -> None:
        super().__init__()
        chains: list[list[Any]] = [list(v) if isinstance(v, Sequence) else [v] for v in views]
        if not 1 <= k <= len(chains):
            raise ValueError(f"k must be from 1 to the number of views, {len(chains)}, got {k}.")
        for view in (v for chain in chains for v in chain):
            if not isinstance(view, DataView):
                raise ValueError(f"views must be of DataView here, got {type(view).__name__}.")
        self.choices = nn.ModuleList(nn.ModuleList(chain) for chain in chains)
        self.k, self.each_graph = k, each_graph

    def prepare(self, channels: int) -> None:
        """Pass it on."""
        for view in (v for chain in self._chains() for v in chain):
            view.prepare(channels)

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """The data after the entries that were drawn."""
        device = generator.device if generator is not None else None
        if not self.each_graph or getattr(data, "batch", None) is None:
            order = torch.randperm(len(self.choices), generator=generator, device=device)
            for at in order[: self.k].tolist():
                data = augment(self._chains()[at], data, generator)
            return data
        coins = torch.rand(graphs_of(data)[1], len(self.choices), generator=generator, device=device)
        for turn in coins.argsort(1)[:, : self.k].T.to(data.edge_index.device):
            drawn, choice = torch.unique(turn, return_inverse=True)
            parts = [augment(self._chains()[at], data, generator) for at in drawn.tolist()]
            data = woven(data, parts, choice) if len(parts) > 1 else parts[0]
        return data

    def _chains(self) -> list[Any]:
        return list(self.choices)

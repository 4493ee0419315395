"""The contract of the graph SSL methods: an encoder, what it is trained on, and what is read off it."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.encoders.weights import edge_weights
from gcl.errors import InputError
from gcl.losses.base import Kind, Objective
from gcl.views.batches import edges_of, graphs_of
from gcl.views.features import features_of

if TYPE_CHECKING:
    from torch_geometric.data import Data

Level = Literal["node", "graph"]
Losses = Callable[["Data", torch.Generator | None], dict[str, Tensor]]


@dataclass(frozen=True)
class Phase:
    """One optimiser step: of ``parameters``, on the sum of the named terms of ``losses``.

    As :class:`gcl.recommenders.base.Phase`, with losses of a graph or a batch of graphs, and a generator.
    """

    name: str
    parameters: Iterable[nn.Parameter]
    losses: Losses
    lr: float | None = None
    weight_decay: float | None = None


class Method(Recorded, nn.Module, ABC):
    """Base of all graph SSL methods: ``Method(encoder, *, ...)``, keyword arguments are the configuration.

    ``encoder`` is any module called ``(x, edge_index)`` that returns states of nodes [N, d] and says its width as
    ``out_channels``, such as torch_geometric's models. ``edge_weight`` of the data reaches it as an argument where it
    takes one, else as weights of messages (:func:`gcl.encoders.weights.edge_weights`); ``edge_attr`` and ``batch``
    where it names them. Graphs are the sums of their nodes. All randomness of a step comes from the generator, torch's
    own where it is None.
    """

    level: Level = "node"
    """What is represented: every node, or every graph of a batch."""
    objective_kinds: ClassVar[tuple[Kind, ...]] = ("pair",)
    supervised: ClassVar[bool] = False
    """Whether it learns from ``y``: a probe of the same labels is made when it is asked for alone."""
    reference: ClassVar[str] = ""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.arguments.pop("encoder", None)
        objective = self.arguments.get("objective")
        if isinstance(objective, Objective) and objective.kind not in self.objective_kinds:
            raise InputError(
                f"objective of {type(self).__name__} must be of kind {' or '.join(self.objective_kinds)}, got "
                f"{type(objective).__name__} of kind {objective.kind}; `gcl losses` lists them by kind."
            )
        self.encoder = encoder
        self.channels = width(encoder, "out_channels")

    @abstractmethod
    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Named, weighted terms of a graph or a batch of graphs, each mean-reduced; their sum is minimised."""

    def phases(self) -> list[Phase]:
        """The optimiser steps of one batch, in order; phases of equal name share one optimiser."""
        return [Phase("main", [p for p in self.parameters() if p.requires_grad], self.losses)]

    def begin(self, steps: int) -> None:
        """Hook before the first step of a training, or of its continuation: how many steps it has in all."""

    def after_step(self, step: int) -> None:
        """Hook after all phases of a batch, steps counted from 1; what it changes is in the state dict."""

    def report(self, data: "Data") -> dict[str, float]:
        """What the method has learnt beside its encoder, in numbers to watch while it is trained."""
        return {}

    @torch.no_grad()
    def embed(self, data: "Data") -> Tensor:
        """What the encoder makes of the data as it is, in eval mode, before any projection: [N, d] or [G, d]."""
        with evaluating(self):
            return represent(self.encoder, data, self.level)


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Modules in eval mode for a while."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def width(encoder: nn.Module, name: str) -> int:
    """``in_channels`` or ``out_channels`` of an encoder.

    Raises:
        InputError: it does not say.
    """
    found = getattr(encoder, name, None)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise InputError(
            f"encoder must have {name}, the width of its {'input' if name.startswith('in') else 'output'}, as a whole "
            f"number, got {found!r} of {type(encoder).__name__}; set it as an attribute."
        )
    return found


def encode(encoder: nn.Module, data: "Data") -> Tensor:
    """States of the nodes of ``data``, [N, d]; weights of edges act in every encoder.

    Raises:
        InputError: no graph, no features, or features of another width than the encoder's ``in_channels``.
    """
    edges, x = edges_of(data), features_of(data, "an encoder")
    channels = getattr(encoder, "in_channels", None)
    if isinstance(channels, int) and 0 < channels != x.shape[-1]:
        raise InputError(f"data.x must be [N, {channels}] for this encoder, got {list(x.shape)}; in_channels says so.")
    names = inspect.signature(encoder.forward).parameters
    more = {"batch": data.batch} if "batch" in names and getattr(data, "batch", None) is not None else {}
    if "edge_attr" in names and getattr(data, "edge_attr", None) is not None and _reads_attributes(encoder):
        more["edge_attr"] = data.edge_attr
    weight = getattr(data, "edge_weight", None)
    if weight is None:
        return encoder(x, edges, **more)
    if getattr(encoder, "supports_edge_weight", "edge_weight" in names):
        return encoder(x, edges, edge_weight=weight, **more)
    with edge_weights(encoder, edges, weight):
        return encoder(x, edges, **more)


def _reads_attributes(encoder: nn.Module) -> bool:
    """Whether an encoder that names ``edge_attr`` has layers for it, of which torch_geometric's say the width."""
    if not hasattr(encoder, "supports_edge_attr"):
        return True
    return any(getattr(layer, "edge_dim", None) is not None for layer in encoder.modules())


def pooled(states: Tensor, data: "Data") -> Tensor:
    """Sums of states [N, d] over every graph, [G, d]; a graph without nodes is 0."""
    batch, graphs = graphs_of(data)
    return states.new_zeros(graphs, states.shape[1]).index_add(0, batch, states)


def represent(encoder: nn.Module, data: "Data", level: Level) -> Tensor:
    """Nodes [N, d], or graphs [G, d]."""
    states = encode(encoder, data)
    return states if level == "node" else pooled(states, data)


def reset(module: nn.Module) -> nn.Module:
    """The module with new parameters, by its own ``reset_parameters`` or those of its parts.

    Raises:
        InputError: parameters that nothing would make anew.
    """
    own = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if own is not None:
        own()
    elif next(module.parameters(recurse=False), None) is not None:
        raise InputError(f"{type(module).__name__} has parameters of its own and needs a method reset_parameters().")
    else:
        for part in module.children():
            reset(part)
    return module

"""Contrast: an encoder, two views of a graph and an objective between them, each free to choose."""

import copy
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from gcl.encoders.gnn import GCN
from gcl.losses import NTXent, Objective
from gcl.ssl.base import Level, Method, Phase, represent, width
from gcl.views import DataView, DropEdge, MaskFeature, Views, augment, two_views
from gcl.views.batches import edges_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch_geometric.data import Data


class Contrast(Method):
    """A pair objective between two views of the nodes of a graph, or of the graphs of a batch.

    GRACE, GCA, G-BT, CCA-SSG and GraphCL are this class with other defaults. Nodes that a view drops are left out of
    the contrast. Nothing of the size [N, N] is kept, whatever the objective: its matrices are made tile by tile.
    Views that learn are trained with the encoder, adversarial ones in a phase of their own before it.

    Args:
        encoder: see :class:`gcl.ssl.Method`.
        views: two entries, or one that is drawn twice independently; an entry is a view or a chain of views.
        objective: of kind pair.
        level: ``node`` or ``graph``.
        projection: hidden width of the projector d -> projection -> d, with ELU between for nodes and ReLU for graphs;
            None: none.
        sample: number of anchors drawn a step, with each other as negatives; None: all.
    """

    reference = "encoder x view x objective"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = ([DropEdge(0.2), MaskFeature(0.2)],),
        objective: Objective = NTXent(0.5),
        level: Level = "node",
        projection: int | None = 128,
        sample: int | None = None,
    ) -> None:
        super().__init__(encoder)
        if level not in ("node", "graph"):
            raise ValueError(f"level must be 'node' or 'graph', got {level!r}.")
        if sample is not None and sample < 2:
            raise ValueError(f"sample must be at least 2 anchors, or None for all, got {sample}.")
        self.level, self.sample = level, sample
        self.views = two_views(views, DataView)
        self.adverse = prepared(self.views, encoder)
        self.objective = objective.build(0, self.channels)
        self.projector = projector(self.channels, projection, nn.ELU if level == "node" else nn.ReLU)

    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Term ``contrast``."""
        return {"contrast": self.contrast(data, generator)}

    def phases(self) -> list[Phase]:
        """One phase, and one before it for adversarial views."""
        if not self.adverse:
            return super().phases()
        theirs = {id(p) for p in self.adverse}
        rest = [p for p in self.parameters() if id(p) not in theirs]
        against = Phase("views", self.adverse, lambda data, generator: {"contrast": -self.contrast(data, generator)})
        return [against, Phase("main", rest, self.losses)]

    def contrast(self, data: "Data", generator: torch.Generator | None) -> Tensor:
        """The objective between two views, a scalar."""
        give(self.objective, generator)
        first, second = self.two(data, generator)
        if self.sample is not None and self.sample < len(first):
            order = torch.randperm(len(first), generator=generator, device=generator.device if generator else None)
            rows = order[: self.sample].to(first.device)
            first, second = first.index_select(0, rows), second.index_select(0, rows)
        return self.objective(self.projector(first), self.projector(second))

    def two(self, data: "Data", generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Two views of the same things, row by row, [n, d] each."""
        first, second = (viewed(entry, data, generator) for entry in self.views)
        z1, z2 = represent(self.encoder, first, self.level), represent(self.encoder, second, self.level)
        if self.level == "graph" or torch.equal(first.n_id, second.n_id):
            return z1, z2
        at1, at2 = common(first.n_id, second.n_id, int(data.num_nodes or 0))
        return z1.index_select(0, at1), z2.index_select(0, at2)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 128) -> nn.Module:
        """Two layers, F -> 2d -> d, ReLU after both."""
        return GCN(in_channels, (2 * hidden, hidden))


def viewed(entry: nn.Module, data: "Data", generator: torch.Generator | None) -> "Data":
    """A view of the data under a chain of views, whose nodes carry their number as ``n_id``."""
    assert isinstance(entry, nn.ModuleList)
    edges, marked = edges_of(data), copy.copy(data)
    marked.n_id = torch.arange(int(data.num_nodes or 0), device=edges.device)
    return augment(entry, marked, generator)


def common(first: Tensor, second: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Positions in both of the numbers below ``size`` that both have, in the order of the numbers."""
    places = torch.full((2, size), -1, device=first.device)
    for row, ids in enumerate((first, second)):
        places[row, ids] = torch.arange(len(ids), device=ids.device)
    both = places[:, (places >= 0).all(0)]
    return both[0], both[1]


def prepared(views: nn.ModuleList, encoder: nn.Module) -> list[nn.Parameter]:
    """Let views make their parameters; those of adversarial ones are returned."""
    adverse: dict[int, nn.Parameter] = {}
    for chain in {id(entry): entry for entry in views}.values():
        for view in cast("Iterable[DataView]", chain):
            if hasattr(encoder, "in_channels"):
                view.prepare(width(encoder, "in_channels"))
            for part in view.modules():
                adverse |= {id(p): p for p in part.parameters() if getattr(part, "adversarial", False)}
    return list(adverse.values())


def projector(channels: int, hidden: int | None, act: type[nn.Module]) -> nn.Module:
    """Linear, activation, linear, back to the width it came from; none where ``hidden`` is None."""
    if hidden is None:
        return nn.Identity()
    if hidden < 1:
        raise ValueError(f"projection must be a width of at least 1, or None for none, got {hidden}.")
    return nn.Sequential(nn.Linear(channels, hidden), act(), nn.Linear(hidden, channels))


def give(objective: Objective, generator: torch.Generator | None) -> None:
    """Let an objective and its parts draw from the generator."""
    for part in objective.modules():
        if isinstance(part, Objective):
            part.generator = generator

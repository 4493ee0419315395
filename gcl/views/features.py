"""Views of node features: ``data.x`` hidden in part, or given to other nodes."""

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from gcl.errors import InputError
from gcl.views.base import DataView
from gcl.views.batches import edges_of, graphs_of

if TYPE_CHECKING:
    from torch_geometric.data import Data

Mode = Literal["col", "row", "all"]


class FeatureView(DataView):
    """A view that changes ``x`` and nothing else."""

    level = "feature"

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with other features."""
        x = features_of(data, type(self).__name__)
        out = copy.copy(data)
        out.x = self.change(x, *graphs_of(data), generator)
        return out

    @abstractmethod
    def change(self, x: Tensor, batch: Tensor, graphs: int, generator: torch.Generator | None) -> Tensor:
        """Features [N, F] from features, for nodes of the graphs ``batch`` [N]."""


def features_of(data: "Data", asker: str) -> Tensor:
    """``x`` [N, F] of a graph; an error where there is none."""
    edges_of(data)
    if data.x is None:
        raise InputError(f"{asker} needs data.x [N, F], got none; add features, such as OneHotDegree.")
    return data.x


class MaskFeature(FeatureView):
    """Features become ``fill`` with probability p; what is left keeps its value.

    ``mode`` as in :func:`torch_geometric.utils.mask_feature`: ``col``, one coin a column, shared by all nodes of a
    graph (Zhu et al., GRACE, 2020); ``row``, one a node; ``all``, one an entry.
    """

    def __init__(self, p: float = 0.1, mode: Mode = "col", fill: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p must be a probability in [0, 1], got {p}.")
        if mode not in ("col", "row", "all"):
            raise ValueError(f"mode must be 'col', 'row' or 'all', got {mode!r}.")
        self.p, self.mode, self.fill = p, mode, fill

    def change(self, x: Tensor, batch: Tensor, graphs: int, generator: torch.Generator | None) -> Tensor:
        """Features with some of them hidden."""
        rows = {"col": graphs, "row": len(x), "all": len(x)}[self.mode]
        columns = 1 if self.mode == "row" else x.shape[1]
        hidden = torch.rand(rows, columns, device=x.device, generator=generator) < self.p
        if self.mode == "col" and graphs > 1:
            hidden = hidden.index_select(0, batch)
        return x.masked_fill(hidden, self.fill)


class DropFeature(FeatureView):
    """Dropout: every entry becomes 0 with probability p, and those left are divided by 1 - p."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p must be a probability in [0, 1), got {p}.")
        self.p = p

    def change(self, x: Tensor, batch: Tensor, graphs: int, generator: torch.Generator | None) -> Tensor:
        """Features with some of them 0, and the expectation that they had."""
        dropped = torch.rand(x.shape, device=x.device, generator=generator) < self.p
        return x.masked_fill(dropped, 0.0) / (1.0 - self.p)


class ShuffleFeature(FeatureView):
    """Nodes of each graph exchange their features at random: the corruption of DGI (Veličković et al., ICLR 2019)."""

    def change(self, x: Tensor, batch: Tensor, graphs: int, generator: torch.Generator | None) -> Tensor:
        """The same rows in another order, within every graph."""
        key = batch + torch.rand(len(x), dtype=torch.float64, device=x.device, generator=generator)
        return x.index_select(0, torch.argsort(key))

"""DGI: nodes of the graph against those of a shuffled one, by a summary of the graph."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gcl.encoders.gnn import GCN
from gcl.errors import InputError
from gcl.losses import Discriminator, Objective
from gcl.ssl.base import Method, encode, pooled
from gcl.views import DataView, ShuffleFeature, Views, augment
from gcl.views.batches import graphs_of
from gcl.views.entries import one_view

if TYPE_CHECKING:
    from torch_geometric.data import Data


class DGI(Method):
    """½ [ mean_i -log σ(D(h_i, s)) - mean_j log σ(-D(h~_j, s)) ], s = σ(mean_i h_i), D(h, s) = hᵀ M s + b.

    h are states of the graph, h~ of the corrupted one, by the same encoder; the binary cross-entropy over both. A graph
    of a batch has its own summary. Veličković et al., Deep Graph Infomax (ICLR 2019).

    Args:
        encoder: see :class:`gcl.ssl.Method`.
        views: one entry, the corruption.
        objective: of kind ranking, on scores [N] and [N~, 1].
    """

    reference = "Veličković et al., ICLR 2019"
    objective_kinds = ("ranking",)

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = (ShuffleFeature(),),
        objective: Objective = Discriminator(),
    ) -> None:
        super().__init__(encoder)
        if len(views) != 1:
            raise ValueError(f"views of DGI must have one entry, the corruption, got {len(views)}.")
        self.corruption = one_view(views[0], DataView)
        self.objective = objective.build(0, self.channels)
        self.score = nn.Bilinear(self.channels, self.channels, 1)
        nn.init.xavier_uniform_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Term ``discriminate``."""
        corrupted = augment(self.corruption, data, generator)
        true, false = encode(self.encoder, data), encode(self.encoder, corrupted)
        if len(false) != len(true):
            raise InputError(
                f"DGI's corruption must keep all nodes, but {len(true)} became {len(false)}; take "
                "ShuffleFeature, or another view of features or edges."
            )
        sizes = torch.bincount(graphs_of(data)[0], minlength=graphs_of(data)[1]).clamp(min=1)
        summary = torch.sigmoid(pooled(true, data) / sizes[:, None])
        positive = self.scores(true, summary, graphs_of(data)[0])
        negative = self.scores(false, summary, graphs_of(corrupted)[0])
        return {"discriminate": self.objective(positive, negative[:, None]) / 2}

    def scores(self, states: Tensor, summary: Tensor, batch: Tensor) -> Tensor:
        """D of nodes [N, d] and the summary [G, d] of their graph, [N]."""
        keys = summary @ self.score.weight[0].T
        return (states * keys.index_select(0, batch)).sum(1) + self.score.bias

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 512) -> GCN:
        """One layer with PReLU."""
        return GCN(in_channels, (hidden,), act="prelu")

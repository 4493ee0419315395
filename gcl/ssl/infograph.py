"""InfoGraph: a graph knows its own nodes from those of others."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gcl.encoders.gnn import GIN
from gcl.losses import Discriminator, Objective
from gcl.ssl.base import Method, encode, pooled
from gcl.views.batches import graphs_of

if TYPE_CHECKING:
    from torch_geometric.data import Data


class Head(nn.Module):
    """Three times linear and ReLU, plus a linear shortcut; d -> d."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [part for _ in range(3) for part in (nn.Linear(channels, channels), nn.ReLU())]
        self.deep, self.short = nn.Sequential(*layers), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[n, d] -> [n, d]."""
        return self.deep(x) + self.short(x)


class InfoGraph(Method):
    """mean_i softplus(-s_i,g(i)) + mean_i mean_{g ≠ g(i)} softplus(s_ig) - 2 log 2, s_ig = <f(h_i), f'(y_g)>.

    h_i are states of nodes, y_g the sums over graphs, f and f' heads of their own. Scores are [N, G], nodes by graphs
    of the batch. The Jensen-Shannon bound of mutual information; without the optional prior.
    Sun et al., InfoGraph (ICLR 2020).

    Args:
        encoder: see :class:`gcl.ssl.Method`.
        objective: of kind ranking, on scores [N] and [N, G - 1].
    """

    level = "graph"
    reference = "Sun et al., ICLR 2020"
    objective_kinds = ("ranking",)

    def __init__(self, encoder: nn.Module, *, objective: Objective = Discriminator(jsd=True)) -> None:
        super().__init__(encoder)
        self.objective = objective.build(0, self.channels)
        self.local, self.whole = Head(self.channels), Head(self.channels)

    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Term ``information``."""
        states = encode(self.encoder, data)
        batch, graphs = graphs_of(data)
        scores = self.local(states) @ self.whole(pooled(states, data)).T
        own = torch.arange(graphs, device=batch.device) == batch[:, None]
        positive = scores.masked_select(own)
        return {"information": self.objective(positive, scores.masked_select(~own).view(len(scores), graphs - 1))}

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 32, layers: int = 5) -> GIN:
        """GIN, all layers side by side."""
        return GIN(in_channels, hidden, layers)

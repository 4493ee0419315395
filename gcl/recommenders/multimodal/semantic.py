"""What items say through one modality, over an item graph, and what their users gather of it."""

import torch
from torch import Tensor, nn

from gcl.data import Dataset
from gcl.graph import Adjacency, knn_graph


class SemanticView(nn.Module):
    r"""s = A^n (q ⊙ sigmoid(G x + b)), S = [R̂ s; s]: ids purified by features, smoothed over items, given to users.

    q [I, d] ids, x [I, d] projected features, A an item graph, R̂ [U, I] the train part, normalised; S [U + I, d]. Items
    that lack the modality put nothing in. Behaviour-guided purifier and item view of MGCN (Yu et al., MM 2023).

    Args:
        graph: A.
        dim: width d.
        steps: n.
        purify: False: s = A^n x.
    """

    def __init__(self, graph: Adjacency, dim: int, steps: int = 1, purify: bool = True) -> None:
        super().__init__()
        self.graph, self.steps = graph, steps
        self.gate = nn.Linear(dim, dim) if purify else None

    def forward(self, q: Tensor, x: Tensor, has: Tensor, bridge: Adjacency) -> Tensor:
        """S; ``has`` [I, 1] is 1 for items that have the modality, ``bridge`` is R̂."""
        s = x * has if self.gate is None else q * torch.sigmoid(self.gate(x)) * has
        for _ in range(self.steps):
            s = self.graph @ s
        return torch.cat([bridge @ s, s])


def neighbour_graphs(data: Dataset, k: int) -> list[Adjacency]:
    """D^-1/2 A D^-1/2 of every modality's k nearest items by cosine of raw features, the item itself among them."""
    return [knn_graph(m.values, k, present=m.present).normalize("sym") for m in data.modalities.values()]

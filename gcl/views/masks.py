"""Edges weighed by how alike their ends are."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.graph import Adjacency, sddmm, spmm
from gcl.views.base import GraphView, Step, as_linear
from gcl.views.report import mask_picture, mask_report


class EdgeMask(GraphView):
    """h <- D^-1 M h, M_ab = (cos(z_a, z_b) + 1) / 2 on the edges, z = the plain step of h, D = row sums of M.

    The adaptive mask of DCCF: interactions whose ends agree count more. No parameter of its own; the gradient reaches
    what made z through the values of the sparse product, by one sampled product a layer and no tensor [E, d].
    Values of the graph are not read, only which edges there are; a dropped edge (value 0) stays dropped.
    Ren et al., Disentangled Contrastive Collaborative Filtering (SIGIR 2023).

    Fails where all representations are alike: every weight is then 1 / degree and the view a random walk, never worse;
    weights lie in [0, 1] before their normalisation, so no node can lose all its edges but by exact opposition.
    """

    def graph(self, adj: Adjacency, z: Tensor) -> Adjacency:
        """The masked graph for representations z [N, d]; rows sum to 1, or to 0 where no edge is left."""
        unit = F.normalize(z, dim=1)
        alike = (sddmm(adj, unit, unit) + 1.0) * 0.5
        return adj.with_values(alike * (adj.values != 0)).normalize("row")

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Mean, deviation and correlation with degree of the weights before their normalisation, at layer 1."""
        return mask_report(adj, self.weights(adj, h))

    def pictures(self, adj: Adjacency, h: Tensor) -> dict[str, Tensor]:
        """``degree``: those weights against the degree of their ends."""
        return {"degree": mask_picture(adj, self.weights(adj, h))}

    def weights(self, adj: Adjacency, h: Tensor) -> Tensor:
        """M_ab of every edge [E] at layer 1, before its normalisation."""
        return self.graph(adj, spmm(adj, h)).weights

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """A mask a layer, made from the layer's own step."""
        before = as_linear(source, "EdgeMask")

        def step(h: Tensor, layer: int) -> Tensor:
            adj = before.graph(layer)
            return spmm(self.graph(adj, spmm(adj, h)), h)

        return step

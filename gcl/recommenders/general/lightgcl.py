"""LightGCL: every step taken on the graph is contrasted with the same step by a low-rank view."""

import torch
from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder
from gcl.losses import BPR, InfoNCE, Objective
from gcl.losses.regularisation import all_parameters_square
from gcl.recommenders.base import Phase, Recommender
from gcl.recommenders.general.contrastive import adversarial_phases, contrast, say_candidates
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.views import SVD, DropEdge, GraphView, Views, allocate, chain, one_view


class LightGCL(Recommender):
    r"""E = Σ_k E(k), E(k) = drop(Â) E(k - 1); G = E(0) + Σ_k view(E(k - 1)), the view fed by the local layers.

    Loss = BPR on E + weight * (objective(G_u, E_u) + objective(G_i, E_i)) + decay * ||E(0)||², candidates all users and
    all items, items of the batch with its negatives, each once. By default the view is the truncated SVD of Â and the
    objective InfoNCE of plain dot products. Cai et al., LightGCL (ICLR 2023).

    The authors' code clamps <G_b, E_b> / τ to [-5, 5] in the positive term, which only stops its gradient; we do not.
    Their default weights: 0.2, τ 0.2, decay 1e-7, no dropout; SSLRec 0.1, τ 0.1, 1e-9.

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of propagation steps.
        p: probability that an edge is dropped from the local steps.
        views: one entry, the other way of taking a step.
        objective: of kind pair.
        weight: of the contrast.
        negatives: sampled negatives a positive of the ranking loss.
        decay: weight of the penalty on the whole table.
    """

    reference = "Cai et al., ICLR 2023"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        p: float = 0.0,
        views: Views = (SVD(5),),
        objective: Objective = InfoNCE(temperature=0.2, similarity="dot"),
        weight: float = 0.2,
        negatives: int = 1,
        decay: float = 1e-7,
    ) -> None:
        super().__init__(data)
        if len(views) != 1:
            raise ValueError(f"views must have one entry, the other side is the graph itself, got {len(views)}.")
        self.check(weight=weight, decay=decay)
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, "sum")
        self.drop, self.view = DropEdge(p, renormalize=False), one_view(views[0], GraphView)
        self.adverse = allocate(self.view, self.encoder.adj, dim, self.encoder.sides)
        self.encoder.check(self.view)
        say_candidates(objective)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.weight, self.decay = weight, decay

    def local(self) -> list[Tensor]:
        """E(0) .. E(L) on a dropped graph."""
        return list(self.encoder([self.drop] if self.drop.p else [], self.generator))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``contrast`` and ``reg``."""
        layers = self.local()
        terms = ranking_terms(self.encoder, self.encoder.read(layers), batch, self.rank, 0.0)
        terms["reg"] = self.decay * all_parameters_square([self.encoder.table])
        return {**terms, "contrast": self.weight * self.contrast(batch, layers)}

    def contrast(self, batch: Batch, layers: list[Tensor] | None = None) -> Tensor:
        """Objective between the view's sum and the graph's, of the batch's users plus that of its items."""
        layers = self.local() if layers is None else layers
        step = chain(self.view, self.encoder.adj, self.generator)
        other = torch.stack([layers[0], *(step(h, k) for k, h in enumerate(layers[:-1], 1))]).sum(0)
        (gu, gi), (eu, ei) = self.encoder.split(other), self.encoder.split(self.encoder.read(layers))
        items = batch.items if batch.negatives is None else torch.cat([batch.items, batch.negatives.reshape(-1)])
        return contrast(self.user_objective, gu, eu, batch.users, whole=True) + contrast(
            self.item_objective, gi, ei, items, whole=True
        )

    def phases(self) -> list[Phase]:
        """One phase, and one before it for adversarial views."""
        return adversarial_phases(self, self.adverse, self.contrast)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the clean graph."""
        return self.encoder.split(self.encoder.read(self.encoder()))

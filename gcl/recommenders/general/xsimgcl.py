"""XSimGCL: one noisy propagation, its end contrasted with one of its layers."""

from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder, Readout
from gcl.losses import BPR, InfoNCE, Objective
from gcl.recommenders.base import Phase, Recommender
from gcl.recommenders.general.contrastive import adversarial_phases, contrast_batch, generator_terms
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.views import GraphView, Noise, Views, allocate, one_view


class XSimGCL(Recommender):
    """One pass under a view serves the ranking loss and both sides of the contrast.

    Loss = BPR(final) + weight * (objective(final users, layer l* users) + the same of items) + reg * ½ (||E0_u||² +
    ||E0_i||² + ||E0_j||²) / B, final = the readout of the noisy layers, l* = ``contrast_layer`` counted from 1.
    The penalty is on the table's rows, where the authors' code penalises propagated rows by an unsquared norm.
    Scores come from the clean pass. With l* = L = 1 both sides are the same and only uniformity is left.
    Yu et al., XSimGCL (TKDE 2024).

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of propagation steps.
        readout: how the layers become one representation.
        contrast_layer: l*, the layer that the final representation is contrasted with.
        views: one entry, a view or a chain of views.
        objective: of kind pair.
        weight: of the contrast.
        negatives: sampled negatives a positive of the ranking loss.
        reg: weight of the penalty on the table's rows.
    """

    reference = "Yu et al., TKDE 2024"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        readout: Readout = "mean_without_0",
        contrast_layer: int = 1,
        views: Views = (Noise(0.2),),
        objective: Objective = InfoNCE(temperature=0.15),
        weight: float = 0.2,
        negatives: int = 1,
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data)
        self.check(weight=weight, reg=reg)
        if not 1 <= contrast_layer <= layers:
            raise ValueError(f"contrast_layer must be one of the layers 1 .. {layers}, got {contrast_layer}.")
        if len(views) != 1:
            raise ValueError(f"views must have one entry, XSimGCL takes one pass, got {len(views)}.")
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, readout)
        self.view = one_view(views[0], GraphView)
        self.encoder.check(self.view)
        self.adverse = allocate(self.view, self.encoder.adj, dim, self.encoder.sides)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.contrast_layer, self.weight, self.reg = contrast_layer, weight, reg

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``contrast``, ``reg``, and those of views that have their own."""
        z, layer = self.ends()
        terms = ranking_terms(self.encoder, z, batch, self.rank, self.reg)
        terms["contrast"] = self.weight * self.between(z, layer, batch)
        return terms | generator_terms(self.view, self.encoder, batch, self.generator)

    def ends(self) -> tuple[Tensor, Tensor]:
        """The end of a pass under the view, and the layer that it is contrasted with, [U + I, d] each."""
        layers = self.encoder(self.view, self.generator)
        return self.encoder.read(layers), layers[self.contrast_layer]

    def between(self, z: Tensor, layer: Tensor, batch: Batch) -> Tensor:
        """Objective between both ends, of the batch's users plus that of its items."""
        return contrast_batch(self.encoder, (self.user_objective, self.item_objective), z, layer, batch)

    def phases(self) -> list[Phase]:
        """One phase, and one before it for adversarial views."""
        return adversarial_phases(self, self.adverse, lambda batch: self.between(*self.ends(), batch))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the clean graph."""
        return self.encoder.split(self.encoder.read(self.encoder()))

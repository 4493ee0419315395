"""LightGCN: linear propagation and a pairwise ranking loss."""

from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder, Readout
from gcl.losses import BPR, Objective
from gcl.recommenders.base import Recommender
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms


class LightGCN(Recommender):
    """Score of (u, i) = <e_u, e_i>, e the readout of L linear steps over the train graph.

    Loss = BPR(s_ui, s_uj) + reg * ½ (||E0_u||² + ||E0_i||² + ||E0_j||²) / B, on the rows of the table and not on the
    propagated ones. He et al., LightGCN (SIGIR 2020).

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of propagation steps.
        readout: how the layers become one representation.
        negatives: sampled negatives a positive.
        objective: of kind ranking.
        reg: weight of the penalty on the table's rows.
    """

    reference = "He et al., SIGIR 2020"
    objective_kinds = ("ranking",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        readout: Readout = "mean",
        negatives: int = 1,
        objective: Objective = BPR(),
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data)
        self.check(reg=reg)
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, readout)
        self.objective = objective.build(data.num_items, dim)
        self.reg = reg

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank`` and ``reg``."""
        z = self.encoder.read(self.encoder())
        return ranking_terms(self.encoder, z, batch, self.objective, self.reg)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the clean graph."""
        return self.encoder.split(self.encoder.read(self.encoder()))

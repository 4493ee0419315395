"""DirectAU: alignment and uniformity of users and items, no negatives."""

from torch import Tensor

from gcl.data import Batch, Dataset, Pairs
from gcl.encoders import LightGCNEncoder, Readout
from gcl.losses import AlignUniform, Objective
from gcl.losses.regularisation import ego_square
from gcl.recommenders.base import Recommender


class DirectAU(Recommender):
    """A pair objective between the users of a batch and their items; by default

    align(u, i) + gamma * (uniform(u) + uniform(i)) / 2 on the unit sphere (:class:`gcl.losses.AlignUniform`).
    Scores are plain dot products: norms, which the loss does not see, carry popularity. ``layers=0`` is the paper's
    matrix factorisation. Duplicates in a batch are kept. Wang et al., DirectAU (KDD 2022).

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of propagation steps.
        readout: how the layers become one representation.
        objective: of kind pair, called with users, items and no ids.
        reg: weight of ½ (||E0_u||² + ||E0_i||²) / B on the table's rows.
    """

    reference = "Wang et al., KDD 2022"
    objective_kinds = ("pair",)
    sampling = Pairs(negatives=0)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        readout: Readout = "mean",
        objective: Objective = AlignUniform(gamma=1.0),
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data)
        self.check(reg=reg)
        self.encoder = LightGCNEncoder(data.train, dim, layers, readout)
        self.objective = objective.build(len(data.train), dim)
        self.reg = reg

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``contrast`` and ``reg``."""
        user, item = self.encoder.rows(self.encoder.read(self.encoder()), batch.users, batch.items)
        ego = self.encoder.rows(self.encoder.table, batch.users, batch.items)
        return {"contrast": self.objective(user, item), "reg": self.reg * ego_square(*ego)}

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the clean graph."""
        return self.encoder.split(self.encoder.read(self.encoder()))

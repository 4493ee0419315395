"""SimGCL: two noisy propagations, contrasted within the batch."""

from gcl.data import Dataset
from gcl.encoders import Readout
from gcl.losses import InfoNCE, Objective
from gcl.recommenders.general.contrastive import Candidates, Contrastive
from gcl.views import Noise, Views


class SimGCL(Contrastive):
    """:class:`Contrastive` with noise after every step and the table itself left out of the readout.

    Yu et al., Are Graph Augmentations Necessary? (SIGIR 2022). The penalty is on the table's rows, where the authors'
    code penalises propagated rows by an unsquared norm.
    """

    reference = "Yu et al., SIGIR 2022"

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        readout: Readout = "mean_without_0",
        views: Views = (Noise(0.1),),
        objective: Objective = InfoNCE(temperature=0.2),
        weight: float = 0.5,
        candidates: Candidates = "batch",
        negatives: int = 1,
        reg: float = 1e-4,
    ) -> None:
        super().__init__(
            data, dim=dim, layers=layers, readout=readout, views=views, objective=objective, weight=weight,
            candidates=candidates, negatives=negatives, reg=reg,
        )  # fmt: skip

"""SGL: two graphs with edges, nodes or walks dropped, contrasted against everybody."""

from gcl.data import Dataset
from gcl.encoders import Readout
from gcl.losses import InfoNCE, Objective
from gcl.recommenders.general.contrastive import Candidates, Contrastive
from gcl.views import DropEdge, Views


class SGL(Contrastive):
    """:class:`Contrastive` with two dropped graphs and all users, all items as negatives.

    ``views=DropEdge`` is SGL-ED, ``DropNode`` SGL-ND, ``RandomWalk`` SGL-RW. Drawn anew every step, where the paper
    draws once an epoch, and each id of the batch counts once, where the paper counts it as often as the batch has it:
    its weights (0.1 on Yelp2018, 0.5 on Amazon-Book) are a start, not an equivalent. ``candidates=batch`` is SELFRec's
    form. Wu et al., SGL (SIGIR 2021).
    """

    reference = "Wu et al., SIGIR 2021"

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        readout: Readout = "mean",
        views: Views = (DropEdge(0.1),),
        objective: Objective = InfoNCE(temperature=0.2),
        weight: float = 0.1,
        candidates: Candidates = "all",
        negatives: int = 1,
        reg: float = 1e-4,
    ) -> None:
        super().__init__(
            data, dim=dim, layers=layers, readout=readout, views=views, objective=objective, weight=weight,
            candidates=candidates, negatives=negatives, reg=reg,
        )  # fmt: skip

"""CL4SRec: SASRec, and two views of every sequence that must stay alike."""

from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import TransformerEncoder
from gcl.losses import NTXent, Objective
from gcl.recommenders.sequential.base import SequenceRecommender, Targets, sequences_of
from gcl.recommenders.sequential.looks import SequenceLooks
from gcl.recommenders.sequential.next_item import Loss, NextItem
from gcl.views import Crop, Mask, Reorder, Views


class CL4SRec(SequenceRecommender):
    """Next-item loss + weight * objective(h1, h2), h1 and h2 the vectors of two views of the same history.

    Two different entries of ``views`` a sequence; Substitute and Insert among them give CoSeRec's views. The paper's
    NT-Xent has dot products of temperature 1. Rows of one user (``prefix``) are each other's negatives, as there.
    Xie et al. (ICDE 2022).

    Args:
        data: what to learn from; its interactions must be ordered.
        dim: width.
        layers: number of blocks.
        heads: of attention.
        inner: width inside the feed-forward nets.
        dropout: of input, attention and blocks.
        max_length: items of a history that are read, the latest.
        modalities: names of those whose features are added to the items.
        targets: ``all`` positions, all in ``windows`` of a longer history, the ``last`` alone, or every ``prefix`` as
            its own row; see :class:`gcl.data.Sequences`.
        loss: of the next item, see :class:`gcl.recommenders.sequential.next_item.NextItem`.
        negatives: of the losses that draw them.
        views: entries of which every sequence gets two; a single one is drawn twice.
        objective: of kind pair.
        weight: of the contrast.
    """

    reference = "Xie et al., ICDE 2022"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        inner: int = 256,
        dropout: float = 0.5,
        max_length: int = 50,
        modalities: tuple[str, ...] = (),
        targets: Targets = "all",
        loss: Loss = "softmax",
        negatives: int = 256,
        views: Views = (Crop(0.6), Mask(0.3), Reorder(0.6)),
        objective: Objective = NTXent(temperature=1.0, similarity="dot"),
        weight: float = 0.1,
    ) -> None:
        encoder = TransformerEncoder(
            data.num_items, dim, max_length, layers=layers, heads=heads, inner=inner, dropout=dropout
        )
        super().__init__(data, encoder, NextItem(data, loss, negatives), targets, modalities)
        self.check(weight=weight)
        self.looks = SequenceLooks(views, data.train)
        self.objective, self.weight = objective.build(data.num_users, dim), weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``next`` and ``contrast``."""
        history, length, _ = sequences_of(batch)
        contrast = self.objective(*self.ends(*self.looks(history, length, self.generator)))
        return {"next": self.predict(batch), "contrast": self.weight * contrast}

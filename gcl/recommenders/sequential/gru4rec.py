"""GRU4Rec: recurrent units over the history."""

from gcl.data import Dataset
from gcl.encoders import GRUEncoder
from gcl.recommenders.sequential.base import SequenceRecommender, Targets
from gcl.recommenders.sequential.next_item import Loss, NextItem


class GRU4Rec(SequenceRecommender):
    """A GRU over the history and a projection to the width of the items, trained at every position.

    Session-parallel batches and BPR-max of the original are not here: losses are those of :class:`SASRec`, for an
    encoder-only comparison. Hidasi et al. (ICLR 2016).

    Args:
        data: what to learn from; its interactions must be ordered.
        dim: width of items.
        hidden: width of the recurrent state.
        layers: number of recurrent layers.
        dropout: of the input.
        max_length: items of a history that are read, the latest.
        modalities: names of those whose features are added to the items.
        targets: ``all`` positions, all in ``windows`` of a longer history, the ``last`` alone, or every ``prefix`` as
            its own row; see :class:`gcl.data.Sequences`.
        loss: ``softmax``, ``sampled``, ``bce`` or ``gbce``.
        negatives: of the losses that draw them.
        popularity: exponent of the proposal of ``sampled``.
        calibration: t of ``gbce``.
        shared: whether a batch shares the negatives of ``sampled``, or every target has its own.
    """

    reference = "Hidasi et al., ICLR 2016"

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.3,
        max_length: int = 50,
        modalities: tuple[str, ...] = (),
        targets: Targets = "all",
        loss: Loss = "softmax",
        negatives: int = 256,
        popularity: float = 0.0,
        calibration: float = 0.75,
        shared: bool = True,
    ) -> None:
        encoder = GRUEncoder(data.num_items, dim, max_length, layers=layers, hidden=hidden, dropout=dropout)
        part = NextItem(data, loss, negatives, popularity, calibration, shared)
        super().__init__(data, encoder, part, targets, modalities)

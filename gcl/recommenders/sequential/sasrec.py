"""SASRec: a causal Transformer, with a choice of losses."""

from gcl.data import Dataset
from gcl.encoders import TransformerEncoder
from gcl.encoders.transformer import Norm, Padding, Positions
from gcl.recommenders.sequential.base import SequenceRecommender, Targets
from gcl.recommenders.sequential.next_item import Loss, NextItem


class SASRec(SequenceRecommender):
    """Self-attention over the history, trained to predict the next item at every position.

    The paper's loss is ``bce`` with one negative; full or sampled softmax with the same encoder is much stronger, and
    full softmax is the default. ``targets="prefix"`` makes a row of every prefix, at a multiple of the cost. Kang &
    McAuley (ICDM 2018); the losses: :class:`gcl.recommenders.sequential.next_item.NextItem`.

    Args:
        data: what to learn from; its interactions must be ordered.
        dim: width.
        layers: number of blocks.
        heads: of attention.
        inner: width inside the feed-forward nets.
        dropout: of input, attention and blocks.
        max_length: items of a history that are read, the latest.
        modalities: names of those whose features are added to the items.
        norm: ``post`` or ``pre``.
        positions: ``learnt`` or ``rotary``.
        padding: how learnt positions are counted, from the earliest item (``right``) or back from the
            latest (``left``).
        targets: ``all`` positions, all in ``windows`` of a longer history, the ``last`` alone, or every ``prefix`` as
            its own row; see :class:`gcl.data.Sequences`.
        loss: ``softmax``, ``sampled``, ``bce`` or ``gbce``.
        negatives: of the losses that draw them.
        popularity: exponent of the proposal of ``sampled``.
        calibration: t of ``gbce``.
        shared: whether a batch shares the negatives of ``sampled``, or every target has its own.
    """

    reference = "Kang & McAuley, ICDM 2018"

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
        norm: Norm = "post",
        positions: Positions = "learnt",
        padding: Padding = "right",
        targets: Targets = "all",
        loss: Loss = "softmax",
        negatives: int = 256,
        popularity: float = 0.0,
        calibration: float = 0.75,
        shared: bool = True,
    ) -> None:
        encoder = TransformerEncoder(
            data.num_items, dim, max_length, layers=layers, heads=heads, inner=inner, dropout=dropout, norm=norm,
            positions=positions, padding=padding,
        )  # fmt: skip
        part = NextItem(data, loss, negatives, popularity, calibration, shared)
        super().__init__(data, encoder, part, targets, modalities)

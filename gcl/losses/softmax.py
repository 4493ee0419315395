"""Log-ratio objectives: the positive's share among the candidates."""

from gcl.losses.contrast import PairPipeline
from gcl.losses.slots.margins import MarginLike
from gcl.losses.slots.similarities import SimilarityLike
from gcl.losses.slots.temperatures import TemperatureLike

__all__ = ["InfoNCE"]


class InfoNCE(PairPipeline):
    r"""InfoNCE: mean_i [ log Σ_j exp(s_ij / τ) - s_ii / τ ], s_ij = s(z1_i, z2_j), j over i itself and other ids.

    One direction. In-batch when z2 has the rows of z1; further rows of z2 are further negatives, up to a whole table.
    No candidates but the positive: 0. log M - L bounds the mutual information of the views from below.

    With one negative it is BPR of s / τ; :class:`CLIPLoss` is its two-way mean, :class:`NTXent` adds the own view's
    negatives. van den Oord et al., Representation Learning with Contrastive Predictive Coding (2018).

    Args:
        temperature: τ > 0, or ``learnable``.
        similarity: ``cosine`` by default; ``dot``, ``bilinear`` (CPC) ...
        margin: taken from the positive's similarity.
    """

    reference = "van den Oord et al., 2018"
    aliases = ("CPC", "MultipleNegativesRanking")

    def __init__(
        self,
        temperature: TemperatureLike = 0.2,
        similarity: SimilarityLike = "cosine",
        margin: MarginLike = None,
    ) -> None:
        super().__init__(similarity=similarity, margin=margin, temperature=temperature)

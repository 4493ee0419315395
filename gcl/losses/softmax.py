"""Log-ratio objectives of pairs: the positive's share among the candidates."""

from typing import Literal

from torch import Tensor

from gcl.losses.contrast import PairPipeline
from gcl.losses.slots.margins import AdditiveShift, AngularShift, MarginLike
from gcl.losses.slots.similarities import SimilarityLike
from gcl.losses.slots.temperatures import TemperatureLike, positive_temperature
from gcl.losses.slots.weightings import Weighting

__all__ = ["DCL", "DCLW", "AdditiveMargin", "AngularMargin", "CLIPLoss", "ConVIRT", "InfoNCE", "NTXent"]

Layout = Literal["both", "cross"]


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
    reduces = (
        "BPR of s / τ with one negative",
        "SampledSoftmax with similarity=dot and no frequencies (the same at temperature=1)",
    )

    def __init__(
        self,
        temperature: TemperatureLike = 0.2,
        similarity: SimilarityLike = "cosine",
        margin: MarginLike = None,
    ) -> None:
        super().__init__(similarity=similarity, margin=margin, temperature=temperature)


class NTXent(PairPipeline):
    r"""NT-Xent: both views' rows are anchors, everything but the anchor itself is in the denominator.

    L = 1/(2B) Σ_i [ log Σ_{k ≠ i} exp(s_ik / τ) - s_{i,i*} / τ ] over the 2B rows of both views, i* the other view of
    i: one positive, B - 1 negatives across and B - 1 within. GRACE's layout is the same. B = 1: 0.

    It is :class:`SupCon` with the row number as label, :class:`PolyView` and :class:`MVInfoNCE` of two views nearly,
    :class:`DCL` plus softplus(s_i+ / τ - lse of negatives). Chen et al., SimCLR (ICML 2020).

    Args:
        temperature: τ > 0, or ``learnable``.
        similarity: ``cosine`` by default.
    """

    reference = "Chen et al., ICML 2020"
    aliases = ("SimCLR", "GRACE")
    reduces = (
        "SupCon of the two stacked views, the row number as label",
        "PolyView of two views, any aggregate",
        "GRACE's layout, both directions averaged",
    )

    def __init__(self, temperature: TemperatureLike = 0.5, similarity: SimilarityLike = "cosine") -> None:
        super().__init__(similarity=similarity, temperature=temperature, negatives="both", forward=0.5)


class CLIPLoss(PairPipeline):
    r"""Two-way InfoNCE: ½ InfoNCE(z1 -> z2) + ½ InfoNCE(z2 -> z1), both from one matrix of scores.

    The temperature is learned, from 0.07, and 1 / τ is held at 100 or below. Further rows of z2 are negatives of z1's
    rows only. Radford et al., CLIP (ICML 2021); :class:`ConVIRT` weighs the directions.

    Args:
        temperature: ``learnable``, or a number.
        similarity: ``cosine`` by default.
    """

    reference = "Radford et al., ICML 2021"
    aliases = ("CLIP", "SymmetricInfoNCE")
    reduces = (
        "the mean of InfoNCE both ways",
        "InfoNCE where z1 = z2",
    )

    def __init__(self, temperature: TemperatureLike = "learnable", similarity: SimilarityLike = "cosine") -> None:
        super().__init__(similarity=similarity, temperature=temperature, forward=0.5)


class ConVIRT(PairPipeline):
    r"""λ InfoNCE(z1 -> z2) + (1 - λ) InfoNCE(z2 -> z1).

    λ = 1 is :class:`InfoNCE`, ½ is :class:`CLIPLoss` of a fixed temperature. Zhang et al., ConVIRT (MLHC 2022).

    Args:
        temperature: τ > 0, or ``learnable``.
        forward: λ in [0, 1].
    """

    reference = "Zhang et al., MLHC 2022"
    reduces = (
        "InfoNCE with forward=1",
        "CLIPLoss of a fixed temperature with forward=0.5",
    )

    def __init__(self, temperature: TemperatureLike = 0.1, forward: float = 0.75) -> None:
        super().__init__(temperature=temperature, forward=forward)


class DCL(PairPipeline):
    r"""Decoupled contrastive learning: :class:`NTXent` without the positive in the denominator.

    L = mean over both directions of -s_i+ / τ + log Σ over the 2(B - 1) negatives of exp(s_ij / τ). The gradient of
    a positive is constant, so small batches learn as fast as large ones. Unbounded below in s_i+; a row without
    negatives does not count. DCL < NTXent row by row. Yeh et al., Decoupled Contrastive Learning (ECCV 2022).

    Args:
        temperature: τ > 0, or ``learnable``.
        similarity: ``cosine`` by default.
    """

    reference = "Yeh et al., ECCV 2022"
    reduces = ("NTXent after softplus(s+ / τ - lse of negatives) is added, row by row",)

    def __init__(self, temperature: TemperatureLike = 0.1, similarity: SimilarityLike = "cosine") -> None:
        super().__init__(
            similarity=similarity, temperature=temperature, kernel="negatives", negatives="both", forward=0.5
        )


class FarPositives(Weighting):
    """w_i = 2 - exp(s_i+ / σ) / mean_k exp(s_k+ / σ), without gradient; their mean is 1."""

    def __init__(self, sigma: float = 0.5) -> None:
        super().__init__()
        self.sigma = positive_temperature(sigma, "sigma")

    def positives(self, similarities: Tensor) -> Tensor:
        """Weights [B]; distant positives weigh more."""
        return 2 - (similarities.detach() / self.sigma).softmax(0) * similarities.shape[0]


class DCLW(PairPipeline):
    r""":class:`DCL` whose positives weigh w_i = 2 - exp(s_i+ / σ) / mean_k exp(s_k+ / σ), detached, of mean 1.

    σ -> ∞ gives :class:`DCL`. Yeh et al., Decoupled Contrastive Learning (ECCV 2022).

    Args:
        temperature: τ > 0, or ``learnable``.
        sigma: σ > 0, width of the von Mises-Fisher weight.
    """

    detached = True
    reference = "Yeh et al., ECCV 2022"
    reduces = ("DCL as sigma -> ∞, or where all positives score the same",)

    def __init__(self, temperature: TemperatureLike = 0.1, sigma: float = 0.5) -> None:
        super().__init__(
            temperature=temperature, weighting=FarPositives(sigma), kernel="negatives", negatives="both", forward=0.5
        )


class AdditiveMargin(PairPipeline):
    r""":class:`NTXent` with an additive margin: the positive's logit is (s_i+ - m) / τ.

    ``layout="both"`` is the symmetric form of the paper, ``"cross"`` its one-way form with the other view's negatives
    only. m = 0 gives :class:`NTXent` or :class:`InfoNCE`; the loss grows with m; a negative m relaxes the boundary.
    Lepage & Dehak, Additive Margin in Contrastive Self-Supervised Frameworks (Odyssey 2024).

    Args:
        temperature: τ > 0; 0.03 is the papers' scale of 33.
        m: margin on the cosine, or any margin of :mod:`gcl.losses.slots.margins`.
        layout: ``both`` or ``cross``.
    """

    reference = "Lepage & Dehak, Odyssey 2024"
    aliases = ("NTXentAM",)
    reduces = (
        "NTXent with m=0 and layout=both",
        "InfoNCE with m=0 and layout=cross",
        "InfoNCE with margin=m in one direction",
    )

    def __init__(self, temperature: TemperatureLike = 0.03, m: MarginLike = 0.1, layout: Layout = "both") -> None:
        margin = AdditiveShift(m) if isinstance(m, int | float) else m
        super().__init__(
            temperature=temperature, margin=margin, negatives=layout, forward=0.5 if layout == "both" else 1.0
        )


class AngularMargin(PairPipeline):
    r""":class:`NTXent` with an angular margin: the positive's logit is cos(arccos(s_i+) + m) / τ, kept monotone.

    Finite gradients at s_i+ = ±1. m = 0 gives :class:`NTXent`. Lepage & Dehak, Odyssey 2024, after ArcFace (2019).

    Args:
        temperature: τ > 0.
        m: margin on the angle, in [0, π).
        layout: ``both``, all rows anchors and negatives of both views; ``cross`` one way, the other view's only.
    """

    reference = "Lepage & Dehak, Odyssey 2024"
    aliases = ("NTXentAAM",)
    reduces = (
        "NTXent with m=0 and layout=both",
        "InfoNCE with m=0 and layout=cross",
    )

    def __init__(self, temperature: TemperatureLike = 0.03, m: float = 0.1, layout: Layout = "both") -> None:
        super().__init__(
            temperature=temperature, margin=AngularShift(m), negatives=layout, forward=0.5 if layout == "both" else 1.0
        )

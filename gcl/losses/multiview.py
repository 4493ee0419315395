"""Objectives of several views of the same things."""

from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional import views as F
from gcl.losses.functional.discrepancy import mmd
from gcl.losses.functional.numerics import lse, lse_of, normalise, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["DHEL", "MVDHEL", "ColloSSL", "MVInfoNCE", "PolyView"]


class MVInfoNCE(Objective):
    r"""Multi-view InfoNCE: one log-ratio a thing, with all its pairs of views in the numerator.

    L = -mean_i log [ Σ_{l ≠ l'} exp(<z_il, z_il'> / τ) / Σ_l Σ_{(j, m) ≠ (i, l)} exp(<z_il, z_jm> / τ) ] on unit rows:
    V(V - 1) ordered pairs over V(VB - 1) terms. With V = 2, L >= :class:`NTXent`, equal where both rows' denominators
    are. One thing: 0. Cost O((VB)² d). Koromilas et al., A Principled Framework for Multi-View Contrastive Learning
    (2025).

    Args:
        temperature: τ > 0.
    """

    kind = "multiview"
    reference = "Koromilas et al., 2025"
    reduces = ("NTXent with two views whose denominators are equal; never below it",)
    slots = {
        "similarity": "Cosine()",
        "positives": "all pairs of views",
        "negatives": "all views of other things",
        "kernel": "LogRatio(denominator='all', positives='sum')",
        "views": "summed inside both logarithms",
    }

    def __init__(self, temperature: float = 0.2) -> None:
        super().__init__()
        self.temperature = positive_temperature(temperature)

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        return F.mv_info_nce(normalise(views), 1 / self.temperature, ids), None


class MVDHEL(Objective):
    r"""Multi-view decoupled energy: a view's negatives are rows of the same view, V times cheaper than MVInfoNCE.

    L = mean_i [ -log Σ_{l < l'} exp(<z_il, z_il'> / τ) + Σ_l log Σ_{j ≠ i} exp(<z_il, z_jl> / τ) ] on unit rows. The
    numerator counts unordered pairs, :class:`MVInfoNCE`'s ordered ones. V = 2 is :class:`DHEL`. Things without
    negatives do not count. Logs are summed; the authors' code multiplies row sums, which overflows from V = 4 on.
    Cost O(V B² d). Koromilas et al., A Principled Framework for Multi-View Contrastive Learning (2025).

    Args:
        temperature: τ > 0.
    """

    kind = "multiview"
    reference = "Koromilas et al., 2025"
    reduces = ("DHEL with two views",)
    slots = {
        "similarity": "Cosine()",
        "positives": "all pairs of views",
        "negatives": "other things, same view",
        "kernel": "LogRatio(denominator='negatives', positives='sum'), denominators of the views added",
        "views": "one term",
    }

    def __init__(self, temperature: float = 0.2) -> None:
        super().__init__()
        self.temperature = positive_temperature(temperature)

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        return F.mv_dhel(normalise(views), 1 / self.temperature, ids)


class DHEL(Objective):
    r"""Decoupled hyperspherical energy: the denominator holds negatives of the anchor's own view only.

    L = mean_i [ -<z_i1, z_i2> / τ + lse_{j ≠ i}(<z_i1, z_j1> / τ) + lse_{j ≠ i}(<z_i2, z_j2> / τ) ] on unit rows.
    Alignment does not touch other rows. It is :class:`MVDHEL` of two views. A row without negatives does not count.
    Koromilas et al., Bridging Mini-Batch and Asymptotic Analysis in Contrastive Learning (ICML 2024).

    Args:
        temperature: τ > 0.
    """

    kind = "pair"
    reference = "Koromilas et al., ICML 2024"
    reduces = ("MVDHEL of two views",)
    slots = MVDHEL.slots

    def __init__(self, temperature: float = 0.3) -> None:
        super().__init__()
        self.temperature = positive_temperature(temperature)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        return F.mv_dhel(normalise(torch.stack([z1, z2])), 1 / self.temperature, ids)


class PolyView(Objective):
    r"""Poly-view contrast: every pair of views (a, b) of a thing against all views of other things.

    l_iab = exp(s_iab) / (exp(s_iab) + Σ_{j ≠ i} Σ_g exp(s(z_ia, z_jg) / τ)); other pairs of the thing are in no
    denominator. ``geometric``: -mean log l; ``arithmetic``: -mean_a log mean_{b ≠ a} l, never above the geometric;
    ``sufficient``: view a against the mean of the others, normalised again where ``renormalise`` (our reading: the
    authors' code could not be reached). With V = 2 all three are :class:`NTXent`. One thing: 0. Cost O((VB)² d).
    Shidani et al., Poly-View Contrastive Learning (ICLR 2024).

    Args:
        temperature: τ > 0.
        aggregate: ``geometric``, ``arithmetic`` or ``sufficient``.
        renormalise: bring pooled views back to the sphere.
    """

    kind = "multiview"
    reference = "Shidani et al., ICLR 2024"
    reduces = ("NTXent with two views, for every aggregate",)
    slots = {
        "similarity": "Cosine()",
        "positives": "other views of the thing",
        "negatives": "all views of other things",
        "kernel": "LogRatio, each positive with the negatives alone",
        "views": "geometric, arithmetic, or the pooled rest",
    }

    def __init__(
        self,
        temperature: float = 0.2,
        aggregate: Literal["geometric", "arithmetic", "sufficient"] = "geometric",
        renormalise: bool = True,
    ) -> None:
        super().__init__()
        if aggregate not in ("geometric", "arithmetic", "sufficient"):
            raise ValueError(f"aggregate must be geometric, arithmetic or sufficient, got {aggregate!r}.")
        self.temperature, self.aggregate = positive_temperature(temperature), aggregate
        self.renormalise = renormalise

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        z, inverse = normalise(views), 1 / self.temperature
        if self.aggregate != "sufficient":
            return F.poly_view(z, inverse, self.aggregate == "arithmetic", ids), None
        rest = (z.sum(0, keepdim=True) - z) / (z.shape[0] - 1)
        return F.pooled_rest(z, inverse, normalise(rest) if self.renormalise else rest, ids), None


class ColloSSL(Objective):
    r"""Collaborative views: view 0 is the anchor; close views are positives, all others negatives by closeness.

    L = mean_i -log [ Σ_p exp(s(z*_i, z_ip) / τ) / (Σ_p exp(s(z*_i, z_ip) / τ) + Σ_v w_v Σ_{j ≠ i} exp(s(z*_i, z_jv) /
    τ)) ], p the ``positives`` views of least MMD to the anchor view, v all views but the anchor, w_v ∝ 1 / MMD with
    mean 1 (our reading: the paper leaves the scale open). Selection and weights carry no gradient. With one other view
    it is :class:`InfoNCE`. Jain et al., ColloSSL (IMWUT 2022).

    Args:
        temperature: τ > 0.
        positives: number of positive views.
    """

    kind = "multiview"
    detached = True
    reference = "Jain et al., IMWUT 2022"
    reduces = ("InfoNCE with one other view",)
    slots = {
        "similarity": "Cosine()",
        "positives": "the views closest by MMD, same thing",
        "negatives": "all other views, other things",
        "weighting": "1 / MMD of the view",
        "kernel": "LogRatio(denominator='all', positives='sum')",
        "views": "star around view 0",
    }

    def __init__(self, temperature: float = 0.05, positives: int = 1) -> None:
        super().__init__()
        if positives < 1:
            raise ValueError(f"positives must be at least 1, got {positives}.")
        self.temperature, self.positives = positive_temperature(temperature), positives

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        z, inverse = normalise(views), 1 / self.temperature
        with torch.no_grad():
            gaps = torch.stack([mmd(z[0], v) for v in z[1:]])
            nearness = 1 / gaps.clamp_min(torch.finfo(gaps.dtype).eps)
            weights = nearness / nearness.mean()
        chosen = gaps.topk(min(self.positives, len(gaps)), largest=False).indices
        positive = lse((z[0] * z[1:].index_select(0, chosen)).sum(-1) * inverse, 0)
        apart = [log_partition(z[0] * inverse, v, row_ids=ids, column_ids=ids)[0] for v in z[1:]]
        return softplus(lse_of(*(a + w.log() for a, w in zip(apart, weights, strict=True))) - positive), None

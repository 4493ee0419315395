"""Objectives that weigh, filter or restrict negatives."""

from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect
from gcl.losses.contrast import PairPipeline
from gcl.losses.functional.negatives import filtered_partition, identities
from gcl.losses.functional.numerics import lse, lse_of, normalise, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.slots.kernels import Debiased
from gcl.losses.slots.temperatures import positive_temperature
from gcl.losses.slots.weightings import Hardness

__all__ = [
    "CLP",
    "ClusterNegatives",
    "DebiasedContrast",
    "GuidedInfoNCE",
    "HardNegative",
    "HardNegativeInfoNCE",
]


class DebiasedContrast(PairPipeline):
    r""":class:`NTXent` with the expected share of false negatives taken out of the negatives' sum.

    L = mean log(1 + N_i / e^{p_i}), N_i = max((Σ_j e^{n_ij} - τ₊ K e^{p_i}) / (1 - τ₊), K e^{-1/τ}), K = 2B - 2. τ₊ = 0
    is :class:`NTXent`; where all scores are equal the correction cancels. On homophilous graphs τ₊ is about 1 / number
    of classes. Chuang et al., Debiased Contrastive Learning (NeurIPS 2020).

    Args:
        temperature: τ > 0.
        tau_plus: τ₊ in [0, 1).
    """

    reference = "Chuang et al., NeurIPS 2020"
    aliases = ("Debiased",)
    reduces = ("NTXent with tau_plus=0, or where all scores are equal",)

    def __init__(self, temperature: float = 0.5, tau_plus: float = 0.1) -> None:
        super().__init__(temperature=temperature, kernel=Debiased(tau_plus), negatives="both", forward=0.5)


class HardNegative(PairPipeline):
    r""":class:`DebiasedContrast` whose negatives weigh by e^{β n_ij} / mean_k e^{β n_ik}: hard ones count more.

    β = 0 is :class:`DebiasedContrast`, β -> ∞ keeps the hardest. The weights carry gradient unless ``detach_weights``.
    The hardest negatives of a graph are often false: combine with ``tau_plus``.
    Robinson et al., Contrastive Learning with Hard Negative Samples (ICLR 2021).

    Args:
        temperature: τ > 0.
        beta: β >= 0.
        tau_plus: τ₊ in [0, 1).
        detach_weights: weights are constants.
    """

    reference = "Robinson et al., ICLR 2021"
    aliases = ("HCL",)
    reduces = (
        "DebiasedContrast with beta=0",
        "NTXent with beta=0 and tau_plus=0",
    )

    def __init__(
        self, temperature: float = 0.5, beta: float = 1.0, tau_plus: float = 0.1, detach_weights: bool = False
    ) -> None:
        super().__init__(
            temperature=temperature, weighting=Hardness(beta, detach_weights), kernel=Debiased(tau_plus),
            negatives="both", forward=0.5,
        )  # fmt: skip
        self.detached = detach_weights


class GuidedInfoNCE(Objective):
    r"""InfoNCE without the candidates that a guide finds closer to the anchor than its own positive, less a margin.

    Candidate j is hidden where g_ij > g_ii - margin (``absolute``) or g_ij > g_ii (1 - margin) (``relative``), g the
    cosine of rows of ``guide=`` (a pair of tensors [B, e] and [M, e], one tensor [M, e] for both), or of the rows
    themselves without gradient. Positives are never hidden. margin -> ∞ hides everything, g_ii = ∞ nothing.
    Solatorio, GISTEmbed (2024).

    Args:
        temperature: τ > 0.
        margin: slack below the positive's similarity.
        rule: ``absolute`` or ``relative``.
    """

    kind = "pair"
    extra = True
    detached = True
    reference = "Solatorio, 2024"
    aliases = ("GISTEmbed",)
    reduces = ("InfoNCE where the guide finds nothing closer than the positive",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "rows of the other view that the guide finds further than the positive",
        "weighting": "mask by the guide",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(
        self, temperature: float = 0.05, margin: float = 0.0, rule: Literal["absolute", "relative"] = "absolute"
    ) -> None:
        super().__init__()
        if rule not in ("absolute", "relative"):
            raise ValueError(f"rule must be absolute or relative, got {rule!r}.")
        self.temperature, self.margin, self.rule = positive_temperature(temperature), margin, rule

    def compute(
        self,
        z1: Tensor,
        z2: Tensor,
        ids: Tensor | None = None,
        guide: Tensor | tuple[Tensor, Tensor] | None = None,
    ) -> Rows:
        """Loss of every row [B]."""
        rows = len(z1)
        x, y = normalise(z1), normalise(z2)
        first, second = (x, y) if guide is None else _guides(guide, rows, len(z2))
        g1, g2 = normalise(first.detach()), normalise(second.detach())
        own = (g1 * g2[:rows]).sum(1)
        edge = own - self.margin if self.rule == "absolute" else own * (1 - self.margin)
        keys = identities(ids, rows, len(z2), z1.device)

        def hide(a: Tensor, top: Tensor, i: Tensor, b: Tensor, j: Tensor) -> Tensor:
            return (i[:, None] == j) | (a @ b.T > top[:, None])

        x = x / self.temperature
        apart = filtered_partition(x, y, hide, (g1, edge, keys[0]), (g2, keys[1]))
        return softplus(apart - (x * y[:rows]).sum(1)), None


def _guides(guide: Tensor | tuple[Tensor, ...], rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """The guide's rows of anchors [B, e] and of candidates [M, e]."""
    if not isinstance(guide, tuple):
        expect("guide", guide, (columns, "e"), "one row a row of z2, or a pair of tensors")
        return guide[:rows], guide
    if len(guide) != 2:
        raise ValueError(f"guide must be a pair of tensors, for z1 and for z2, or one for z2, got {len(guide)}.")
    expect("guide[0]", guide[0], (rows, "e"), "one row a row of z1")
    expect("guide[1]", guide[1], (columns, guide[0].shape[1]), "one row a row of z2, as wide as guide[0]")
    return guide[0], guide[1]


class ClusterNegatives(Objective):
    r"""InfoNCE among rows of one cluster: negatives are rows of the other view that share the anchor's cluster.

    ``clusters=`` [M] names the cluster of every row of z2 (the first B are z1's); without it all are in one, which is
    :class:`InfoNCE`. Clustering on a shortcut (popularity, degree) takes it away from the contrast: in multistage
    contrastive learning the clusters are those of the embeddings of the stage before. Rows alone in their cluster do
    not count. Zhang et al., Learning the Unlearned (ECCV 2024).

    Args:
        temperature: τ > 0.
    """

    kind = "pair"
    extra = True
    reference = "Zhang et al., ECCV 2024"
    aliases = ("MCL",)
    reduces = ("InfoNCE with one cluster",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "rows of the other view in the same cluster",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(self, temperature: float = 0.2) -> None:
        super().__init__()
        self.temperature = positive_temperature(temperature)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, clusters: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        rows = len(z1)
        x, y = normalise(z1) / self.temperature, normalise(z2)
        positive = (x * y[:rows]).sum(1)
        if clusters is None:
            own = None if ids is None else ids[:rows]
            return softplus(log_partition(x, y, row_ids=own, column_ids=ids)[0] - positive), None
        expect("clusters", clusters, (len(z2),), "one cluster a row of z2")
        i, j = identities(ids, rows, len(z2), z1.device)

        def hide(c: Tensor, a: Tensor, others: Tensor, b: Tensor) -> Tensor:
            return (a[:, None] == b) | (c[:, None] != others)

        apart = filtered_partition(x, y, hide, (clusters[:rows], i), (clusters, j))
        return softplus(apart - positive), apart > -torch.inf


class HardNegativeInfoNCE(Objective):
    r"""InfoNCE with given hard negatives: ``hard=`` [B, h, d] stand in the denominator beside the batch.

    Each row sees its own hard negatives (``shared=False``) or those of all rows; their terms are weighted by w:
    L = mean_i -log e^{p_i} / (e^{p_i} + Σ_j e^{n_ij} + w Σ_k e^{h_ik}). Without them, or with w = 0, it is
    :class:`InfoNCE`. Gao et al., SimCSE (EMNLP 2021).

    Args:
        temperature: τ > 0.
        weight: w >= 0.
        shared: hard negatives serve all rows.
    """

    kind = "pair"
    extra = True
    reference = "Gao et al., EMNLP 2021"
    aliases = ("SimCSE",)
    reduces = ("InfoNCE without hard negatives, or with weight=0",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "rows of the other view and given hard ones",
        "weighting": "w on the hard ones",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(self, temperature: float = 0.05, weight: float = 1.0, shared: bool = True) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must be at least 0, got {weight}.")
        self.temperature, self.weight, self.shared = positive_temperature(temperature), weight, shared

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, hard: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        rows = len(z1)
        x, y = normalise(z1) / self.temperature, normalise(z2)
        own = None if ids is None else ids[:rows]
        parts = [log_partition(x, y, row_ids=own, column_ids=ids)[0]]
        if hard is not None:
            expect("hard", hard, (rows, "h", z1.shape[1]), "h hard negatives a row of z1")
        if hard is not None and hard.shape[1] and self.weight > 0:
            h = normalise(hard)
            more = log_partition(x, h.flatten(0, 1), keep="all")[0] if self.shared else lse((h @ x[:, :, None])[..., 0])
            parts.append(more + torch.log(x.new_tensor(self.weight)))
        return softplus(lse_of(*parts) - (x * y[:rows]).sum(1)), None


class CLP(Objective):
    r"""Contrastive learning penalty: hard negatives stay near their own queries.

    L = (1 - λ) :class:`HardNegativeInfoNCE` + λ mean_n (1 - cos(h_n, p_n)), p_n the hard negatives ``hard=`` [B, h, d]
    and h_n the embeddings of *their* queries, ``queries=`` [B, h, d]. The authors' text puts the penalty inside the
    logarithm's bracket and sums; their code averages with a plus sign, which is taken here. λ = 0 is the contrast
    alone; without hard negatives the penalty is 0. Yu et al., CLP (2024).

    Args:
        temperature: τ > 0.
        penalty: λ in [0, 1].
    """

    kind = "pair"
    extra = True
    reference = "Yu et al., 2024"
    reduces = ("HardNegativeInfoNCE with penalty=0",)
    slots = {**HardNegativeInfoNCE.slots, "regulariser": "1 - cosine of hard negatives and their own queries"}

    def __init__(self, temperature: float = 0.02, penalty: float = 0.1) -> None:
        super().__init__()
        if not 0 <= penalty <= 1:
            raise ValueError(f"penalty must be in [0, 1], got {penalty}.")
        self.contrast, self.penalty = HardNegativeInfoNCE(temperature), penalty

    def compute(
        self,
        z1: Tensor,
        z2: Tensor,
        ids: Tensor | None = None,
        hard: Tensor | None = None,
        queries: Tensor | None = None,
    ) -> Rows:
        """Loss of every row [B]."""
        if self.penalty and (hard is None) != (queries is None):
            given, missing = ("queries", "hard") if hard is None else ("hard", "queries")
            rule = "hard and queries must be given together, for the penalty is of hard negatives and their own queries"
            raise ValueError(f"{rule}, got {given} without {missing}. Give both, or take HardNegativeInfoNCE.")
        values, _ = self.contrast.compute(z1, z2, ids, hard)
        values = (1 - self.penalty) * values
        if hard is None or queries is None or not hard.shape[1]:
            return values, None
        expect("queries", queries, tuple(hard.shape), "the query of every hard negative")
        away = 1 - (normalise(hard) * normalise(queries)).sum(-1)
        return values + self.penalty * away.mean(1), None

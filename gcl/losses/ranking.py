"""Objectives of scores: what was chosen stands above what was not."""

import math
from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect, expect_within
from gcl.losses.functional.numerics import softplus
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.kernels import Link, link
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["BPR", "Discriminator", "MWLoss"]


class BPR(Objective):
    r"""Bayesian personalised ranking: mean over rows and negatives of softplus(s_j - s_i) = -log sigmoid(s_i - s_j).

    ``positive`` [B] scores s_i, ``negative`` [B, m] scores s_j; any real numbers, usually dot products. The gradient of
    a pair is -sigmoid(s_j - s_i) and never saturates at a wrong order, unlike -log(eps + sigmoid). Equal scores: log 2.
    With m = 1 it is InfoNCE with one negative and temperature 1; :class:`MWLoss` compares across rows.

    ``weights=`` [B] or [B, m] in [-1, 1] say how far a pair is to be trusted: it counts |w|, and where w < 0 the other
    way round (noise-aware, by the difference in quality of the two; Fang et al., CLHA, LREC-COLING 2024).
    Rendle et al., BPR (UAI 2009).
    """

    kind = "ranking"
    reference = "Rendle et al., UAI 2009"
    reduces = (
        "InfoNCE with one negative at τ = 1",
        "MWLoss of one row and its own negatives",
    )
    slots = {
        "similarity": "given scores",
        "positives": "chosen",
        "negatives": "sampled, own row",
        "kernel": "PairRank(phi='softplus', pool='mean')",
    }

    def compute(self, positive: Tensor, negative: Tensor, weights: Tensor | None = None) -> Rows:
        """Mean over its negatives of every row [B]; a row without negatives is 0."""
        gap = negative - positive[:, None]
        if weights is None:
            return softplus(gap).sum(1) / max(negative.shape[1], 1), None
        shape = (len(positive),) if weights.dim() == 1 else tuple(negative.shape)
        expect("weights", weights, shape, "trust in every row, or in every pair")
        expect_within("weights", weights, -1, 1, "trust in a pair, below 0 in its opposite")
        trust = (weights[:, None] if weights.dim() == 1 else weights).to(gap.dtype)
        return (trust.abs() * softplus(torch.where(trust < 0, -gap, gap))).sum(1) / max(negative.shape[1], 1), None


class MWLoss(Objective):
    r"""Mann-Whitney loss, a bound on 1 - AUC: every positive against the negatives of all rows.

    L = mean_{i, k} φ((n_k - p_i) / τ), p [B], n all B m entries of ``negative``; φ = softplus by default. Adding a
    constant to all scores changes nothing, adding one to the scores of a row does, which makes scores comparable across
    queries. L >= log 2 (1 - AUC). Own negatives only: :class:`BPR`. Streamed: memory O(tile). That pairs cross queries
    is stated in the paper; the temperature is our reading. Mann-Whitney loss for ranking (2024).

    Args:
        temperature: τ > 0.
        phi: ``softplus``, ``hinge`` of max(0, 1 + x), or ``square`` of the same.
    """

    kind = "ranking"
    reference = "Mann-Whitney (MW) loss, 2024"
    aliases = ("AUCLoss",)
    reduces = ("BPR where rows are alone with their own negatives",)
    slots = {
        "similarity": "given scores",
        "positives": "chosen",
        "negatives": "sampled, of all rows",
        "kernel": "PairRank over all rows",
    }

    def __init__(self, temperature: float = 1.0, phi: Literal["softplus", "hinge", "square"] = "softplus") -> None:
        super().__init__()
        if phi not in ("softplus", "hinge", "square"):
            raise ValueError(f"phi must be softplus, hinge or square, got {phi!r}.")
        self.temperature = positive_temperature(temperature)
        self.phi: Link = phi

    def compute(self, positive: Tensor, negative: Tensor) -> Rows:
        """Mean over all negatives of every row [B]."""
        pool, tau, phi = negative.flatten(), self.temperature, self.phi
        margin = 0.0 if phi == "softplus" else 1.0

        def block(p: Tensor, n: Tensor) -> Tensor:
            return link(phi, (n - p[:, None]) / tau + margin).sum(1) / max(len(n), 1)

        return by_rows(block, (positive,), (pool,), columns=len(pool)), None


class Discriminator(Objective):
    r"""True against corrupted scores: mean_i softplus(-p_i) + mean_ij softplus(n_ij), the binary cross-entropies added.

    ``jsd=True`` subtracts 2 log 2, a Jensen-Shannon bound: 0 where all scores are 0. Local-global scores of a graph
    against those of shuffled features give Deep Graph Infomax; :class:`JSD` takes its scores from two views.
    Velickovic et al., DGI (ICLR 2019).

    Args:
        jsd: subtract 2 log 2.
    """

    kind = "ranking"
    reference = "Velickovic et al., ICLR 2019"
    aliases = ("DGI", "BCE")
    reduces = ("JSD of given scores with jsd=True",)
    slots = {
        "similarity": "given scores",
        "positives": "true",
        "negatives": "corrupted",
        "kernel": "Pointwise(phi='softplus', mean=True)",
    }

    def __init__(self, jsd: bool = False) -> None:
        super().__init__()
        self.jsd = jsd

    def compute(self, positive: Tensor, negative: Tensor) -> Rows:
        """Loss of every row [B]."""
        away = softplus(negative).sum(1) / max(negative.shape[1], 1)
        return softplus(-positive) + away - (2 * math.log(2) if self.jsd else 0.0), None

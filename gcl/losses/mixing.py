"""Objectives with made points: mixtures, extrapolations, noise."""

import math

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect
from gcl.losses.functional.memory import queue_partition
from gcl.losses.functional.mixing import ascend, beta, mixed_negatives
from gcl.losses.functional.negatives import filtered_partition, identities
from gcl.losses.functional.numerics import lse, lse_of, normalise, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.candidates import Interpolated, Queue
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["DCLR", "DualMomentum", "FeatureTransform", "MoCHi"]


class MoCHi(Objective):
    r"""Queue contrast with mixed hard negatives.

    Of the N queue rows closest to z1_i, s mixtures norm(a n_j + (1 - a) n_k), a ~ U(0, 1), and s' mixtures with the
    anchor norm(b z1_i + (1 - b) n_j), b ~ U(0, ½), join the queue in :class:`MoCo`'s denominator. Mixtures carry no
    gradient; the loss can only grow by them. s = s' = 0 is :class:`MoCo`. Kalantidis et al., Hard Negative Mixing
    (NeurIPS 2020). In a training run, switch to it after some epochs of MoCo.

    Args:
        temperature: τ > 0.
        size: rows of the queue.
        hardest: N.
        pairs: s.
        own: s'.
    """

    kind = "pair"
    detached = True
    reference = "Kalantidis et al., NeurIPS 2020"
    reduces = ("MoCo with pairs=0 and own=0",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "queue of past keys and mixtures of the hardest",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(
        self, temperature: float = 0.2, size: int = 4096, hardest: int = 64, pairs: int = 32, own: int = 16
    ) -> None:
        super().__init__()
        if hardest < 1 or min(pairs, own) < 0:
            raise ValueError(f"hardest must be at least 1, pairs and own at least 0, got {hardest}, {pairs}, {own}.")
        self.temperature, self.queue = positive_temperature(temperature), Queue(size)
        self.hardest, self.pairs, self.own = hardest, pairs, own

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        q, keys = normalise(z1), normalise(z2)
        x = q / self.temperature
        held, held_ids = self.queue.stored()
        parts = [queue_partition(x, held, held_ids, ids)]
        if len(held) and self.pairs + self.own:
            made = mixed_negatives(q, held, self.hardest, self.pairs, self.own, self.generator)
            parts.append(lse((made @ x[:, :, None])[..., 0]))
        if self.training:
            self.queue.push(keys, ids)
        return softplus(lse_of(*parts) - (x * keys).sum(1)), None


class FeatureTransform(Objective):
    r"""Queue contrast with extrapolated positives and interpolated negatives.

    Positives move apart: q^ = λ q + (1 - λ) k, k^ = λ k + (1 - λ) q, λ = 1 + Beta(a, a), so <q^, k^> = 2λ(1 - λ)(1 - s)
    + s <= s. Queue rows become μ n + (1 - μ) n', n' another row, μ ~ Beta(b, b). Nothing is brought back to the sphere;
    k and the queue carry no gradient. ``positive`` and ``negative`` switch each; both off is :class:`MoCo`.
    Zhu et al., Improving Contrastive Learning by Visualizing Feature Transformation (ICCV 2021).

    Args:
        temperature: τ > 0.
        size: rows of the queue.
        positive: a > 0, or 0 for no extrapolation.
        negative: b > 0, or 0 for no interpolation.
        per_dimension: draw λ and μ for every coordinate.
    """

    kind = "pair"
    detached = True
    reference = "Zhu et al., ICCV 2021"
    reduces = ("MoCo with positive=0 and negative=0, keys without gradient",)
    slots = {
        "similarity": "Cosine(), of extrapolated rows",
        "positives": "aligned rows, moved apart",
        "negatives": "queue of past keys, interpolated",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(
        self,
        temperature: float = 0.2,
        size: int = 4096,
        positive: float = 2.0,
        negative: float = 1.6,
        per_dimension: bool = False,
    ) -> None:
        super().__init__()
        if min(positive, negative) < 0:
            raise ValueError(f"positive and negative must be at least 0, got {positive}, {negative}.")
        self.temperature, self.positive, self.per_dimension = positive_temperature(temperature), positive, per_dimension
        self.queue = Interpolated(size, negative, per_dimension) if negative else Queue(size)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        q, k = normalise(z1), normalise(z2).detach()
        far_q, far_k = q, k
        if self.positive:
            width = q.shape[1] if self.per_dimension else 1
            share = 1 + beta(q, self.positive, self.positive, len(q), width, generator=self.generator)
            far_q, far_k = share * q + (1 - share) * k, share * k + (1 - share) * q
        x = q / self.temperature
        apart = queue_partition(x, *self.queue.draw(q, self.generator), ids)
        if self.training:
            self.queue.push(k, ids)
        return softplus(apart - (far_q * far_k).sum(1) / self.temperature), None


class DCLR(Objective):
    r"""Debiased by a reference encoder, with noise negatives that are pushed to where the loss is largest.

    L = mean_i -log e^{p_i} / (Σ_j α_ij e^{s_ij / τ} + Σ_k e^{<z_i, n_k> / τ}), α_ij = 0 where the cosine r_ij of rows
    of ``reference=`` [M, e] (or of the rows themselves) is at least φ, 1 for the positive; n_k, R B of them, start from
    N(0, I) and take T normalised ascent steps on the loss. Masks and noise carry no gradient. φ > 1 with R = 0 is
    :class:`InfoNCE`. The authors' code multiplies logits by α, which leaves e^0 in the sum; here masked entries are
    out. Zhou et al., DCLR (ACL 2022).

    Args:
        temperature: τ > 0.
        ceiling: φ.
        noise: R >= 0, noise rows per row of the batch; 2.5 is allowed.
        steps: T.
        rate: length of a step.
    """

    kind = "pair"
    extra = True
    detached = True
    reference = "Zhou et al., ACL 2022"
    reduces = ("InfoNCE with ceiling > 1 and noise=0",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "rows of the other view below the ceiling, and noise",
        "weighting": "mask by the reference encoder",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(
        self, temperature: float = 0.05, ceiling: float = 0.9, noise: float = 1.0, steps: int = 4, rate: float = 1e-3
    ) -> None:
        super().__init__()
        if noise < 0 or steps < 0:
            raise ValueError(f"noise and steps must be at least 0, got {noise}, {steps}.")
        self.temperature, self.ceiling = positive_temperature(temperature), ceiling
        self.noise, self.steps, self.rate = noise, steps, rate

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, reference: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        rows, ceiling = len(z1), self.ceiling
        if reference is not None:
            expect("reference", reference, (len(z2), "e"), "one row a row of z2")
        x, y = normalise(z1) / self.temperature, normalise(z2)
        first = normalise((z1 if reference is None else reference[:rows]).detach())
        second = normalise((z2 if reference is None else reference).detach())
        keys = identities(ids, rows, len(z2), z1.device)

        def hide(a: Tensor, i: Tensor, b: Tensor, j: Tensor) -> Tensor:
            return (i[:, None] == j) | (a @ b.T >= ceiling)

        apart = filtered_partition(x, y, hide, (first, keys[0]), (second, keys[1]))
        positive = (x * y[:rows]).sum(1)
        count = math.ceil(self.noise * rows)
        if count:
            drawn = torch.randn(count, z1.shape[1], generator=self.generator, dtype=z1.dtype, device=z1.device)
            made = normalise(ascend(x, apart, positive, drawn, self.steps, self.rate))
            apart = lse_of(apart, log_partition(x, made, keep="all")[0])
        return softplus(apart - positive), None


class DualMomentum(Objective):
    r"""Queue contrast from both sides, against the closest queue rows only.

    L = λ L_q + (1 - λ) L_k; L_q = -log e(q, k) / (e(q, k) + Σ_{c in T(q)} e(q, c)), L_k the same with k as anchor,
    detached, and q its positive; e(a, c) = exp(cos / τ), T(a) the share r of the queue closest to a. r = 1 with λ = 1
    is :class:`MoCo`; the loss does not fall with r. Only the abstract was reachable: which side carries gradient is our
    reading. Momentum contrast with dual-view loss and hard-negative filtering (2025).

    Args:
        temperature: τ > 0.
        size: rows of the queue.
        forward: λ in [0, 1].
        share: r in (0, 1].
    """

    kind = "pair"
    detached = True
    reference = "Momentum contrastive learning with enhanced negative sampling, 2025"
    reduces = ("MoCo with forward=1 and share=1",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "the queue's closest rows",
        "weighting": "top share mask",
        "kernel": "LogRatio(denominator='all')",
        "views": "query and key as anchors, weighted",
    }

    def __init__(self, temperature: float = 0.2, size: int = 4096, forward: float = 0.5, share: float = 0.25) -> None:
        super().__init__()
        if not (0 <= forward <= 1 and 0 < share <= 1):
            raise ValueError(f"forward must be in [0, 1] and share in (0, 1], got {forward}, {share}.")
        self.temperature, self.queue = positive_temperature(temperature), Queue(size)
        self.forward_weight, self.share = forward, share

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        q, k = normalise(z1), normalise(z2)
        held, held_ids = self.queue.stored()
        held = held.to(q.dtype)
        total = self.forward_weight * self._side(q, k, held, held_ids, ids)
        total = total + (1 - self.forward_weight) * self._side(k.detach(), q, held, held_ids, ids)
        if self.training:
            self.queue.push(k, ids)
        return total, None

    def _side(self, anchor: Tensor, other: Tensor, held: Tensor, held_ids: Tensor, ids: Tensor | None) -> Tensor:
        positive = (anchor * other).sum(1) / self.temperature
        if not len(held):
            return softplus(torch.full_like(positive, -math.inf) - positive)
        count = max(1, round(self.share * len(held)))
        keys = (torch.full_like(held_ids[:1], -2).expand(len(anchor)) if ids is None else ids, held_ids)

        def block(a: Tensor, i: Tensor, c: Tensor, j: Tensor) -> Tensor:
            return lse((a @ c.T).masked_fill(i[:, None] == j, -math.inf).topk(count, dim=1).values)

        rows = (anchor / self.temperature, keys[0])
        return softplus(by_rows(block, rows, (held, keys[1]), columns=len(held)) - positive)

"""Objectives of more than two modalities at once, and of bags."""

import math
from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional.numerics import lse, normalise
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.temperatures import TemperatureLike, even_temperature_of, positive_temperature

__all__ = ["GRAM", "BestMatch"]


def determinant_and_adjugate(m: Tensor) -> tuple[Tensor, Tensor]:
    """det [n] and adjugate [n, k, k] of small matrices [n, k, k], polynomials of their entries (Faddeev-LeVerrier).

    Without division or inversion, so that singular matrices have finite gradients.
    """
    size = m.shape[-1]
    eye = torch.eye(size, dtype=m.dtype, device=m.device).expand_as(m)
    power, coefficient = torch.zeros_like(m), torch.ones_like(m[:, 0, 0])
    for step in range(1, size + 1):
        power = m @ power + coefficient[:, None, None] * eye
        coefficient = -(m * power.transpose(1, 2)).sum((1, 2)) / step
    return (-1.0) ** size * coefficient, (-1.0) ** (size - 1) * power


class GRAM(Objective):
    r"""Volume of the parallelotope that k modalities of a thing span: small where all agree.

    Vol(v_1 .. v_k) = sqrt(det G), G the Gram matrix of unit rows; the logit of anchor i (the first modality) and the
    other modalities of thing j is -Vol / τ; L = the mean of both directions' cross-entropies with label smoothing. k =
    2: Vol = |sin| of the angle. Order of modalities and signs do not matter. If two of the others are collinear Vol is
    0 for every anchor: logits are even and L = log B. det is expanded by the anchor: vol² = det M_j - vᵀ adj(M_j) v,
    with sqrt(vol² + eps). Cost O(B² (k d + k²)), streamed. Cicchetti et al., GRAM (ICLR 2025).

    Args:
        temperature: τ > 0, or ``learnable`` from 0.07 (default).
        smoothing: share of the target spread over all columns.
        eps: added to the squared volume.
    """

    kind = "tuple"
    reference = "Cicchetti et al., ICLR 2025"
    reduces = ("CLIPLoss on -|sin| of the angle with two modalities and smoothing=0",)
    slots = {
        "similarity": "- volume of the tuple",
        "positives": "the thing's other modalities",
        "negatives": "those of other things",
        "weighting": "label smoothing",
        "kernel": "SoftTarget, cross-entropy",
        "views": "anchor against tuples, and back",
    }

    def __init__(self, temperature: TemperatureLike = "learnable", smoothing: float = 0.1, eps: float = 1e-8) -> None:
        super().__init__()
        if not 0 <= smoothing < 1 or eps <= 0:
            raise ValueError(f"smoothing must be in [0, 1) and eps positive, got {smoothing}, {eps}.")
        self.temperature, self.smoothing, self.eps = even_temperature_of(temperature), smoothing, eps

    def compute(self, modalities: tuple[Tensor, ...], ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        if len({z.shape[1] for z in modalities}) > 1:
            raise ValueError(f"modalities must have one width, got {', '.join(str(z.shape[1]) for z in modalities)}.")
        anchor, *rest = (normalise(z) for z in modalities)
        others = torch.stack(rest, 1)
        det, adjugate = determinant_and_adjugate(others @ others.transpose(1, 2))
        key = torch.arange(len(anchor), device=anchor.device) if ids is None else ids
        place = torch.arange(len(anchor), device=anchor.device)
        inverse = 1 / self.temperature(anchor.new_empty(0))
        eps, smoothing = self.eps, self.smoothing

        def volumes(a: Tensor, m: Tensor, d: Tensor, adj: Tensor) -> Tensor:
            scores = [a @ other.T for other in m.unbind(1)]
            square = d.expand(len(a), -1)
            for k, first in enumerate(scores):
                for j, second in enumerate(scores[: k + 1]):
                    square = square - (adj[:, k, j] * (2.0 if j < k else 1.0)) * (first * second)
            return (square.clamp_min(0.0) + eps).sqrt()

        def smooth(logits: Tensor, i: Tensor, at: Tensor, j: Tensor) -> Tensor:
            own = at[:, None] == torch.arange(len(j), device=j.device)
            hidden = (i[:, None] == j) & ~own
            positive = (logits * own).sum(1)
            mean = logits.masked_fill(hidden, 0.0).sum(1) / (~hidden).sum(1)
            return lse(logits.masked_fill(hidden, -math.inf)) - (1 - smoothing) * positive - smoothing * mean

        def forth(a: Tensor, i: Tensor, at: Tensor, m: Tensor, d: Tensor, adj: Tensor, j: Tensor, b: Tensor) -> Tensor:
            return smooth(-volumes(a, m, d, adj) * b, i, at, j)

        def back(m: Tensor, d: Tensor, adj: Tensor, i: Tensor, at: Tensor, a: Tensor, j: Tensor, b: Tensor) -> Tensor:
            return smooth(-volumes(a, m, d, adj).T * b, i, at, j)

        tuples, width = (others, det, adjugate), len(anchor) * others.shape[1]
        one = by_rows(forth, (anchor, key, place), (*tuples, key, inverse), columns=width)
        two = by_rows(back, (*tuples, key, place), (anchor, key, inverse), columns=width)
        return (one + two) / 2, None


class BestMatch(Objective):
    r"""Two-way InfoNCE of bags: every member looks for its best match in the other bag.

    A row is a bag of ``size`` vectors side by side, [B, size * d]; zero vectors are absent. s_FN(i, j) = mean over
    members f of bag i of max over members n of bag j of cos(f, n), s_NF the other way; L = InfoNCE by s_FN from z1 to
    z2 plus InfoNCE by s_NF from z2 to z1. size = 1 is twice :class:`CLIPLoss` of a fixed temperature. Duplicates in a
    bag change no maximum. ``form="hinge"`` has mean over j of max(0, m - s(i, i) + s(i, j)) in place of InfoNCE.

    With ``null`` every member may stay unmatched at that score: its best match is never worse. Without it a member
    whose partner is missing pulls at a stranger. Sun et al., SECLA (2022); the null's score is a number here.

    Args:
        size: vectors a bag; divides the width.
        temperature: τ > 0, of the contrast.
        form: ``contrast`` or ``hinge``.
        margin: m, of the hinge.
        null: score in [-1, 1] of no match, or None for none.
    """

    kind = "pair"
    reference = "SECLA, 2022"
    aliases = ("SECLA",)
    reduces = ("twice CLIPLoss of a fixed temperature with size=1",)
    slots = {
        "similarity": "mean over members of the best cosine",
        "positives": "aligned bags",
        "negatives": "other bags",
        "kernel": "LogRatio(denominator='all')",
        "views": "both directions, added",
    }

    def __init__(
        self,
        size: int = 1,
        temperature: float = 0.1,
        form: Literal["contrast", "hinge"] = "contrast",
        margin: float = 0.2,
        null: float | None = None,
    ) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}.")
        if form not in ("contrast", "hinge"):
            raise ValueError(f"form must be contrast or hinge, got {form!r}.")
        if null is not None and not -1 <= null <= 1:
            raise ValueError(f"null must be in [-1, 1], the range of a cosine, or None, got {null}.")
        self.size, self.temperature, self.margin = size, positive_temperature(temperature), margin
        self.form, self.null = form, null

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every bag [B]."""
        if z1.shape[1] % self.size:
            raise ValueError(f"the width must be a multiple of size {self.size}, got {z1.shape[1]}.")
        bags = [normalise(z.view(len(z), self.size, -1)) for z in (z1, z2)]
        place = torch.arange(len(z1), device=z1.device)
        key, least = place if ids is None else ids, -1.0 if self.null is None else self.null
        margin, tau = (self.margin, 1.0) if self.form == "hinge" else (None, self.temperature)

        def block(f: Tensor, i: Tensor, at: Tensor, n: Tensor, j: Tensor) -> Tensor:
            present, there = f.abs().sum(2) > 0, n.abs().sum(2) > 0
            s = torch.einsum("rmd,jnd->rjmn", f, n).masked_fill(~there[None, :, None], -1.0)
            best = s.amax(3).clamp_min(least).masked_fill(~present[:, None], 0.0).sum(2)
            logits = best / present.sum(1).clamp_min(1)[:, None] / tau
            own = at[:, None] == torch.arange(len(j), device=j.device)
            hidden = (i[:, None] == j) & ~own
            positive = (logits * own).sum(1)
            if margin is None:
                return lse(logits.masked_fill(hidden, -math.inf)) - positive
            other = ~(hidden | own)
            gap = (margin - positive[:, None] + logits).clamp_min(0.0).masked_fill(~other, 0.0)
            return gap.sum(1) / other.sum(1).clamp_min(1)

        width = len(z1) * self.size**2
        one = by_rows(block, (bags[0], key, place), (bags[1], key), columns=width, least=1)
        return one + by_rows(block, (bags[1], key, place), (bags[0], key), columns=width, least=1), None

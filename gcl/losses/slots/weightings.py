"""Weightings: factors on negatives, as logarithms added to their logits, and factors on positives and on rows."""

import math
from abc import ABC
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.functional.numerics import lse
from gcl.losses.slots.margins import turn
from gcl.losses.slots.resolve import resolve


class Weighting(Recorded, nn.Module, ABC):
    """Factors on the terms of a row."""

    angular: ClassVar[bool] = False
    """Whether similarities are read as cosines of angles, so that they must be in [-1, 1]."""
    entrywise: ClassVar[bool] = False
    """Whether entries are weighted one by one: then tiles of logits are made for :meth:`negatives`."""
    counts: ClassVar[bool] = False
    """Whether :meth:`tilted` needs the number of negatives."""
    remembers: ClassVar[bool] = False
    """Whether a training call changes the next one."""
    tilts: tuple[float, ...] = (1.0,)
    """Factors f whose sums log Σ_j e^{f l_ij} :meth:`tilted` takes, where entries are not weighted one by one."""

    def tilted(self, sums: Sequence[Tensor], number: Tensor | float) -> Tensor:
        """The logarithm of the weighted sum of every row [B], from its sums by ``tilts`` and number of negatives."""
        return sums[0]

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor) -> Tensor:
        """Logits [R, n] with the log-weights added, -inf where hidden; ``positive`` [R] is the row's own similarity.

        Row by row; closes over numbers only.
        """
        return logits

    def fixed(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """:meth:`negatives` with the state of now, for it is called again in the backward pass."""
        return self.negatives

    def observe(self, similarities: Tensor) -> None:
        """Take note of the positives' similarities [B] of a training call."""

    def positives(self, similarities: Tensor) -> Tensor | None:
        """Factor on the positive logit of every row [B], or None for 1."""
        return None

    def rows(self, positive: Tensor, negatives: Tensor) -> Tensor | None:
        """Factor on every row [B], of its positive logit and the log-sum-exp of its negatives, or None for 1."""
        return None


class Uniform(Weighting):
    """Every entry counts 1."""


class Hardness(Weighting):
    """w_ij = exp(β l_ij) / mean_k exp(β l_ik), with mean 1 over the negatives of a row; β = 0 uniform, ∞ the hardest.

    Σ_j w_ij exp(l_ij) = Σ_j exp((1 + β) l_ij) / mean_k exp(β l_ik): two plain sums, which :meth:`tilted` makes one of.

    ``detach``: the weights carry no gradient.
    """

    counts = True

    def __init__(self, beta: float = 1.0, detach: bool = False) -> None:
        super().__init__()
        if beta < 0:
            raise ValueError(f"beta must be at least 0, got {beta}.")
        self.beta, self.detach = beta, detach
        self.tilts = (1 + beta, beta) if beta else (1.0,)

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor) -> Tensor:
        """l + β l - log mean exp(β l), for kernels that reduce the entries themselves."""
        shown = logits > -math.inf
        source = logits.detach() if self.detach else logits
        tilted = (self.beta * source.masked_fill(~shown, 0.0)).masked_fill(~shown, -math.inf)
        level = lse(tilted) - shown.sum(-1).to(logits.dtype).clamp_min(1).log()
        level = level.masked_fill(level == -math.inf, 0.0)
        return torch.where(shown, logits + tilted - level[:, None], -math.inf)

    def tilted(self, sums: Sequence[Tensor], number: Tensor | float) -> Tensor:
        """log Σ e^{(1 + β) l} - log mean e^{β l}; -inf where there is no negative."""
        if not self.beta:
            return sums[0]
        empty = sums[0] == -math.inf
        heavy, light = (x.masked_fill(empty, 0.0) for x in sums)
        if self.detach:
            # Of (1 + β) l in the exponent, β l is the weight.
            own = heavy / (1 + self.beta)
            heavy, light = own + (heavy - own).detach(), light.detach()
        spread = torch.as_tensor(number, dtype=heavy.dtype, device=heavy.device).clamp_min(1).log()
        return (heavy - light + spread).masked_fill(empty, -math.inf)


class Below(Weighting):
    """Hides candidates whose similarity is at least ``ceiling``: probable false negatives."""

    entrywise = True

    def __init__(self, ceiling: float = 0.9) -> None:
        super().__init__()
        self.ceiling = ceiling

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor) -> Tensor:
        """-inf where s >= ceiling."""
        return logits.masked_fill(similarities >= self.ceiling, -math.inf)


class BelowPositive(Weighting):
    """Hides candidates closer than the row's own positive less a margin.

    ``relative``: s_ij > s_ii (1 - margin), else s_ij > s_ii - margin.
    """

    entrywise = True

    def __init__(self, margin: float = 0.0, relative: bool = False) -> None:
        super().__init__()
        self.margin, self.relative = margin, relative

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor) -> Tensor:
        """-inf where the candidate is too close."""
        edge = positive * (1 - self.margin) if self.relative else positive - self.margin
        return logits.masked_fill(similarities > edge[:, None], -math.inf)


class SemiHard(Weighting):
    """Keeps s_ii - width < s_ij < s_ii."""

    entrywise = True

    def __init__(self, width: float = 0.2) -> None:
        super().__init__()
        if width <= 0:
            raise ValueError(f"width must be positive, got {width}.")
        self.width = width

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor) -> Tensor:
        """-inf outside the window."""
        top = positive[:, None]
        return logits.masked_fill((similarities >= top) | (similarities <= top - self.width), -math.inf)


class Hardest(Weighting):
    """Keeps the ``count`` negatives of a row with the largest logits."""

    entrywise = True

    def __init__(self, count: int = 16) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}.")
        self.count = count

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor) -> Tensor:
        """The top of every row, [R, min(count, n)]."""
        return logits.topk(min(self.count, logits.shape[1]), dim=1).values


class Curricular(Weighting):
    """Logit l of a hard negative becomes l (t + s): hard ones are damped early and stressed late (CurricularFace).

    Hard is s_ij > cos(arccos(s_ii) + m); t, from 0, is the running mean of the positives' similarity. To be taken with
    cosines and the margin ``{"name": "angular", "m": m}``. Huang et al., CurricularFace (CVPR 2020).
    """

    angular = True
    entrywise = True
    remembers = True
    t: Tensor

    def __init__(self, m: float = 0.5, momentum: float = 0.99) -> None:
        super().__init__()
        if not (0 <= m < math.pi and 0 <= momentum < 1):
            raise ValueError(f"m must be an angle in [0, pi) and momentum in [0, 1), got {m}, {momentum}.")
        self.m, self.momentum = m, momentum
        self.register_buffer("t", torch.zeros(()))

    def observe(self, similarities: Tensor) -> None:
        """Move t, once a call."""
        if self.training and len(similarities):
            self.t.lerp_(similarities.detach().mean().to(self.t.dtype), 1 - self.momentum)

    def fixed(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """With t as it is now."""
        return partial(self.negatives, t=self.t.clone())

    def negatives(self, logits: Tensor, similarities: Tensor, positive: Tensor, t: Tensor | None = None) -> Tensor:
        """l, or l (t + s) where hard."""
        hard = (similarities > turn(positive.detach(), self.m)[:, None]) & (logits > -math.inf)
        factor = similarities + (self.t if t is None else t).to(logits.dtype)
        return torch.where(hard, logits.masked_fill(~hard, 0.0) * factor, logits)


WEIGHTINGS: dict[str, Callable[..., Weighting]] = {
    "uniform": Uniform,
    "hardness": Hardness,
    "below": Below,
    "below_positive": BelowPositive,
    "semi_hard": SemiHard,
    "hardest": Hardest,
    "curricular": Curricular,
}

WeightingLike = None | str | Weighting | dict[str, Any]


def weighting_of(value: WeightingLike) -> Weighting:
    """The weighting that None, a name, mapping or instance means."""
    return Uniform() if value is None else resolve("weighting", value, Weighting, WEIGHTINGS)

"""Contrast kernels: the loss of a row from what is known of its positive and negative logits."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.base import Rows
from gcl.losses.functional.numerics import log_difference, lse, softplus
from gcl.losses.slots.resolve import resolve


@dataclass(frozen=True)
class Summary:
    """What a row's logits come down to, each [B].

    ``mean`` of the positive logits (weighted), their log-sum-exp ``positives`` and their number ``count``;
    ``negatives`` log-sum-exp of the negative logits and ``negative_count``; ``temperature`` a scalar or [B].
    With one positive ``mean`` = ``positives`` and ``count`` = 1.
    """

    mean: Tensor
    positives: Tensor
    negatives: Tensor
    temperature: Tensor
    count: Tensor | float = 1.0
    negative_count: Tensor | float = math.inf


class Kernel(Recorded, nn.Module, ABC):
    """Maps the summary of rows to their losses."""

    counts: ClassVar[bool] = False
    """Whether ``negative_count`` is read."""
    entrywise: ClassVar[bool] = False
    """Whether :meth:`reduce` takes the place of log-sum-exp over negatives."""

    def reduce(self, logits: Tensor, positive: Tensor) -> Tensor:
        """What a row's negative logits [R, n], -inf where hidden, come to, given its positive logit [R]; [R]."""
        return lse(logits)

    @abstractmethod
    def forward(self, summary: Summary) -> Rows:
        """Values [B], and which rows count."""


class LogRatio(Kernel):
    """- log of the share of the positives in the denominator.

    ``denominator``: ``all`` positives and negatives; ``negatives`` alone (then a row without negatives does not
    count). ``positives``: how several are aggregated: ``mean`` of logs, log of the ``sum``, log of the ``average``.
    A denominator of this positive and the negatives needs every positive by itself, which a summary does not hold; with
    one positive it is ``all``, and :class:`gcl.losses.RelationContrast` has it for several.
    """

    def __init__(
        self,
        denominator: Literal["all", "negatives"] = "all",
        positives: Literal["mean", "sum", "average"] = "mean",
    ) -> None:
        super().__init__()
        if denominator not in ("all", "negatives"):
            hint = "With one positive a row, all is that positive and the negatives; for several see RelationContrast."
            raise ValueError(f"denominator must be all or negatives, got {denominator!r}. {hint}")
        if positives not in ("mean", "sum", "average"):
            raise ValueError(f"positives must be mean, sum or average, got {positives!r}.")
        self.denominator, self.positives = denominator, positives

    def forward(self, summary: Summary) -> Rows:
        """Values [B], and which rows count."""
        joint = summary.positives
        top = summary.mean if self.positives == "mean" else joint
        if self.positives == "average":
            top = top - torch.as_tensor(summary.count, dtype=joint.dtype).log()
        if self.denominator == "all":
            share = softplus(summary.negatives - joint)
            return share if top is joint else share + (joint - top), None
        valid = summary.negatives > -math.inf
        return summary.negatives.masked_fill(~valid, 0.0) - top, valid


class Debiased(Kernel):
    r"""log(1 + N / e^p), the negatives' sum corrected for the positives among them.

    N = max((Σ e^n - τ₊ K e^p) / (1 - τ₊), K e^{-1/τ}), p and n logits, K the number of negatives, τ₊ the chance that a
    negative is of the anchor's class. The floor assumes similarities of at least -1; where it holds negatives get no
    gradient. τ₊ = 0 is :class:`LogRatio`. One positive a row.
    """

    counts = True

    def __init__(self, tau_plus: float = 0.1) -> None:
        super().__init__()
        if not 0 <= tau_plus < 1:
            raise ValueError(f"tau_plus must be in [0, 1), got {tau_plus}.")
        self.tau_plus = tau_plus

    def forward(self, summary: Summary) -> Rows:
        """Values [B]."""
        positive, negatives = summary.positives, summary.negatives
        if self.tau_plus == 0:
            return softplus(negatives - positive), None
        count = torch.as_tensor(summary.negative_count, dtype=positive.dtype, device=positive.device).log()
        corrected = log_difference(negatives, positive + count + math.log(self.tau_plus)) - math.log1p(-self.tau_plus)
        return softplus(torch.maximum(corrected, count - 1 / summary.temperature) - positive), None


class Reweighted(Kernel):
    """-log P / (1 - P), P the positive's share and 1 / (1 - P) a constant: every row pulls its positive alike.

    The gradient on p is -1, on the negatives their shares, whatever P; the value tends to 1 as P does. Computed without
    the overflow of 1 / (1 - P). A row without negatives does not count.
    """

    def forward(self, summary: Summary) -> Rows:
        """Values [B], and which rows have negatives."""
        valid = summary.negatives > -math.inf
        gap = summary.negatives.masked_fill(~valid, 0.0) - summary.positives
        fixed = gap.detach().clamp_min(-30.0)
        return softplus(fixed) * (1 + torch.exp(-fixed)) + gap - gap.detach(), valid


Link = Literal["softplus", "hinge", "square", "cauchy"]


def link(kind: Link, x: Tensor) -> Tensor:
    """A falling price of order: softplus x, max(0, x), max(0, x)², or -log of a Cauchy law's chance of -x."""
    if kind == "softplus":
        return softplus(x)
    if kind == "cauchy":
        return -torch.log((0.5 - torch.atan(x) / math.pi).clamp_min(torch.finfo(x.dtype).tiny))
    return x.clamp_min(0.0) if kind == "hinge" else x.clamp_min(0.0).square()


class PairRank(Kernel):
    """φ(n - p + m) of negative and positive logits, ``pool`` = their ``mean``, of the ``hardest``, or of the ``lse``.

    ``lse`` with softplus is :class:`LogRatio`. Rows without negatives do not count.
    """

    entrywise = True

    def __init__(
        self, phi: Link = "hinge", margin: float = 0.2, pool: Literal["mean", "hardest", "lse"] = "mean"
    ) -> None:
        super().__init__()
        if phi not in ("softplus", "hinge", "square", "cauchy"):
            raise ValueError(f"phi must be softplus, hinge, square or cauchy, got {phi!r}.")
        if pool not in ("mean", "hardest", "lse"):
            raise ValueError(f"pool must be mean, hardest or lse, got {pool!r}.")
        self.phi: Link = phi
        self.margin, self.pool = margin, pool

    def reduce(self, logits: Tensor, positive: Tensor) -> Tensor:
        """The mean of the prices, or the one logit that is priced; -inf without negatives."""
        if self.pool == "lse":
            return lse(logits)
        if self.pool == "hardest":
            return logits.amax(1) if logits.shape[1] else lse(logits)
        shown = logits > -math.inf
        gap = logits.masked_fill(~shown, 0.0) - positive[:, None] + self.margin
        total = link(self.phi, gap).masked_fill(~shown, 0.0).sum(1) / shown.sum(1).clamp_min(1)
        return total.masked_fill(~shown.any(1), -math.inf)

    def forward(self, summary: Summary) -> Rows:
        """Values [B], and which rows have negatives."""
        valid = summary.negatives > -math.inf
        priced = summary.negatives.masked_fill(~valid, 0.0)
        if self.pool == "mean":
            return priced, valid
        return link(self.phi, priced - summary.positives + self.margin), valid


class Pointwise(Kernel):
    """φ(above - p) + weight * Σ φ(n - below) + constant: every pair on its own against a bound.

    ``mean`` averages over the negatives of a row in place of adding them. Rows without negatives keep their positive.
    """

    entrywise = True

    def __init__(
        self,
        phi: Link = "softplus",
        above: float = 0.0,
        below: float = 0.0,
        weight: float = 1.0,
        mean: bool = False,
        constant: float = 0.0,
    ) -> None:
        super().__init__()
        if phi not in ("softplus", "hinge", "square", "cauchy"):
            raise ValueError(f"phi must be softplus, hinge, square or cauchy, got {phi!r}.")
        self.phi: Link = phi
        self.above, self.below, self.weight, self.mean, self.constant = above, below, weight, mean, constant

    def reduce(self, logits: Tensor, positive: Tensor) -> Tensor:
        """Sum or mean of the prices of negatives."""
        shown = logits > -math.inf
        total = link(self.phi, logits.masked_fill(~shown, 0.0) - self.below).masked_fill(~shown, 0.0).sum(1)
        return total / shown.sum(1).clamp_min(1) if self.mean else total

    def forward(self, summary: Summary) -> Rows:
        """Values [B]."""
        price = link(self.phi, self.above - summary.positives)
        return price + self.weight * summary.negatives + self.constant, None


class Energy(Kernel):
    """-p + weight * R(negatives), R their ``mean``, ``log_mean_exp`` or the mean weighted by their ``softmax``.

    Rows without negatives do not count.
    """

    entrywise = True

    def __init__(
        self, repulsion: Literal["mean", "log_mean_exp", "softmax"] = "log_mean_exp", weight: float = 1.0
    ) -> None:
        super().__init__()
        if repulsion not in ("mean", "log_mean_exp", "softmax"):
            raise ValueError(f"repulsion must be mean, log_mean_exp or softmax, got {repulsion!r}.")
        self.repulsion, self.weight = repulsion, weight

    def reduce(self, logits: Tensor, positive: Tensor) -> Tensor:
        """R; -inf without negatives."""
        shown = logits > -math.inf
        count = shown.sum(1)
        if self.repulsion == "log_mean_exp":
            return lse(logits) - count.clamp_min(1).to(logits.dtype).log()
        safe = logits.masked_fill(~shown, torch.finfo(logits.dtype).min / 4)
        share = safe.softmax(1) if self.repulsion == "softmax" else shown / count.clamp_min(1)[:, None]
        total = (share * logits.masked_fill(~shown, 0.0)).sum(1)
        return total.masked_fill(count == 0, -math.inf)

    def forward(self, summary: Summary) -> Rows:
        """Values [B], and which rows have negatives."""
        valid = summary.negatives > -math.inf
        return self.weight * summary.negatives.masked_fill(~valid, 0.0) - summary.positives, valid


def _over_negatives(positives: Literal["mean", "sum", "average"] = "mean") -> LogRatio:
    return LogRatio("negatives", positives)


KERNELS: dict[str, Callable[..., Kernel]] = {
    "all": LogRatio,
    "debiased": Debiased,
    "reweighted": Reweighted,
    "pair_rank": PairRank,
    "pointwise": Pointwise,
    "energy": Energy,
    "negatives": _over_negatives,
}

KernelLike = str | Kernel | dict[str, Any]


def kernel_of(value: KernelLike) -> Kernel:
    """The kernel that a name, mapping or instance means."""
    return resolve("kernel", value, Kernel, KERNELS)

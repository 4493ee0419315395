"""Contrast kernels: the loss of a row from what is known of its positive and negative logits."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.base import Rows
from gcl.losses.functional.numerics import log_difference, softplus
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

    counts: bool = False
    """Whether ``negative_count`` is read."""

    @abstractmethod
    def forward(self, summary: Summary) -> Rows:
        """Values [B], and which rows count."""


class LogRatio(Kernel):
    """- log of the share of the positives in the denominator.

    ``denominator``: ``all`` positives and negatives; ``negatives`` alone (then a row without negatives does not
    count). ``positives``: how several are aggregated: ``mean`` of logs, log of the ``sum``, log of the ``average``.
    """

    def __init__(
        self,
        denominator: Literal["all", "negatives"] = "all",
        positives: Literal["mean", "sum", "average"] = "mean",
    ) -> None:
        super().__init__()
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


KERNELS: dict[str, Callable[..., Kernel]] = {
    "all": LogRatio,
    "debiased": Debiased,
    "reweighted": Reweighted,
    "negatives": lambda **arguments: LogRatio("negatives", **arguments),
}

KernelLike = str | Kernel | dict[str, Any]


def kernel_of(value: KernelLike) -> Kernel:
    """The kernel that a name, mapping or instance means."""
    return resolve("kernel", value, Kernel, KERNELS)  # type: ignore[type-abstract]

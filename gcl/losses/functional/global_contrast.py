"""Global contrastive objectives: running means of exponentials, surrogate gradients, slopes of temperatures."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gcl.losses.functional.negatives import partner_counts
from gcl.losses.functional.numerics import lse_of
from gcl.losses.functional.partition import log_partition


@dataclass(frozen=True)
class Side:
    """One view's anchors, each [B]: positive similarity, temperature, log mean over negatives of exp(s / τ).

    ``expected`` is the softmax mean of the negatives' similarities, without gradient; ``valid`` says which rows have
    negatives.
    """

    positive: Tensor
    tau: Tensor
    log_mean: Tensor
    valid: Tensor
    expected: Tensor | None

    def update(self, old: Tensor | None, gamma: float, relative: bool = False) -> Tensor:
        """log u after this visit; ``relative``: of exp((s - s+) / τ). Unvisited entries of ``old`` are -inf."""
        new = self.log_mean.detach()
        if relative:
            new = new - self.positive.detach() / self.tau
        if old is None or gamma == 1:
            return new
        moved = torch.logaddexp(old.masked_fill(old == -math.inf, 0.0) + math.log1p(-gamma), new + math.log(gamma))
        return torch.where(self.valid, torch.where(old == -math.inf, new, moved), old)

    def temperature_slope(self, log_u: Tensor, rho: float) -> Tensor:
        """∂F/∂τ = log u + ρ - mean_j(w_j h_j / τ), without gradient; 0 for rows without negatives."""
        assert self.expected is not None
        ratio = torch.exp(self.log_mean.detach() - self.positive.detach() / self.tau - log_u)
        slope = log_u + rho - ratio * (self.expected - self.positive.detach()) / self.tau
        return torch.where(self.valid, slope, 0.0)


def side(anchor: Tensor, other: Tensor, tau: Tensor, ids: Tensor | None, slope: bool = False) -> Side:
    """Anchors of one view [B, d], unit rows, with negatives of both views; τ [B] without gradient."""
    rows = len(anchor)
    inverse = (1 / tau).detach()
    with torch.set_grad_enabled(slope or torch.is_grad_enabled()):
        beta = inverse.clone().requires_grad_(slope)
        x = anchor * beta[:, None]
        parts = [log_partition(x, c, row_ids=ids, column_ids=ids)[0] for c in (other, anchor)]
        total = lse_of(*parts)
        valid = total > -math.inf
        total = total.masked_fill(~valid, 0.0)
        expected = torch.autograd.grad(total.sum(), beta, retain_graph=True)[0] if slope else None
    count = 2 * partner_counts(ids, rows, rows, anchor.device).clamp_min(1)
    positive = (anchor * other).sum(1)
    return Side(positive, tau.detach(), total - count.to(total.dtype).log(), valid, expected)


def surrogate(one: Side, log_u: Tensor, relative: bool = False) -> Tensor:
    """τ log u - s+ (with relative u: τ log u) [B], with the gradient of mean_j w_j s_j - s+ at constant w = e / u."""
    mean, positive = one.log_mean, one.positive
    offset = positive.detach() / one.tau if relative else 0.0
    ratio = torch.where(one.valid, torch.exp(mean.detach() - offset - log_u), 0.0)
    total = ratio if relative else torch.ones_like(ratio)
    value = one.tau * torch.where(one.valid, log_u, 0.0) - (0.0 if relative else positive.detach())
    moved = ratio * one.tau * (mean - mean.detach()) - total * (positive - positive.detach())
    return value + moved


@torch.no_grad()
def descend(
    tau: Tensor | None,
    velocity: Tensor | None,
    ids: Tensor | None,
    slopes: list[Tensor],
    momentum: float,
    rate: float,
    bounds: tuple[float, float],
) -> None:
    """One step of the temperatures of ``ids`` down the mean of both sides' slopes; of rows of one id their mean."""
    assert tau is not None and velocity is not None and ids is not None
    mean = ((slopes[0] + slopes[1]) / 2).to(tau.dtype)
    seen, place, count = torch.unique(ids, return_inverse=True, return_counts=True)
    mean = torch.zeros_like(tau[seen]).index_add_(0, place, mean) / count
    velocity[seen] = (1 - momentum) * velocity[seen] + momentum * mean
    tau[seen] = (tau[seen] - rate * velocity[seen]).clamp(*bounds)

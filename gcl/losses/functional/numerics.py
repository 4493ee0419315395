"""Numerically safe elementary functions: what masked, empty and tiny inputs do is stated here once."""

import math

import torch
from torch import Tensor

NORM_EPS = 1e-12


def normalise(x: Tensor) -> Tensor:
    """Rows of unit length over the last axis; a zero row stays zero and receives a finite gradient."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(norm > NORM_EPS, norm, torch.ones_like(norm))


def lse(logits: Tensor, dim: int = -1) -> Tensor:
    """Log-sum-exp; -inf with zero gradient where every entry is -inf."""
    if logits.shape[dim] == 0:
        return logits.sum(dim) - math.inf
    empty = logits.amax(dim, keepdim=True) == -math.inf
    total = torch.logsumexp(logits.masked_fill(empty, 0.0), dim)
    return total.masked_fill(empty.squeeze(dim), -math.inf)


def lse_of(*parts: Tensor) -> Tensor:
    """log(exp(a) + exp(b) + ...) of tensors of one shape; -inf entries count for nothing."""
    return parts[0] if len(parts) == 1 else lse(torch.stack(parts), 0)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), exact at both ends, also at -inf."""
    return -torch.nn.functional.logsigmoid(-x)


def log_difference(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) - exp(b)); -inf with zero gradient where b >= a."""
    inside = b < a
    gap = torch.where(inside, b - a, torch.full_like(a, -1.0))
    return torch.where(inside, a + torch.log(-torch.expm1(gap)), torch.full_like(a, -math.inf))


def mean_of(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over valid entries; zero attached to the graph where there is none."""
    if valid is None:
        return values.sum() / max(values.numel(), 1)
    return values.masked_fill(~valid, 0.0).sum() / valid.sum().clamp_min(1)


def common_centre(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """x and y less the mean row of y, without gradient: the same distances.

    Far from the origin ||x||² + ||y||² - 2 <x, y> takes two large numbers from each other and keeps few digits.
    """
    centre = y.detach().sum(0) / max(y.shape[0], 1)
    moved = y - centre
    return (moved, moved) if x is y else (x - centre, moved)


def square_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances ``[n, m]`` of the rows of x [n, d] and y [m, d], never negative."""
    x, y = common_centre(x, y)
    inner = torch.addmm(y.square().sum(1)[None], x, y.T, alpha=-2.0)
    return (inner + x.square().sum(1)[:, None]).clamp_min(0.0)

"""Distances of two samples, without pairing."""

import math

import torch
from torch import Tensor

from gcl.losses.functional.energies import gaussian_lse
from gcl.losses.functional.numerics import common_centre


def mean_kernel(x: Tensor, y: Tensor, t: float, *, skip_own: bool = False) -> Tensor:
    """mean_ij exp(-t ||x_i - y_j||²), a scalar; ``skip_own`` leaves out the diagonal of a sample with itself."""
    rows = gaussian_lse(x, y, t, skip_own=skip_own)
    count = y.shape[0] - 1 if skip_own else y.shape[0]
    return torch.exp(rows - math.log(max(count, 1))).mean()


def mean_square_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared distance of all pairs of different rows of both samples, 1 where they coincide; no gradient."""
    z = torch.cat([x, y]).detach()
    n = z.shape[0]
    spread = (z - z.mean(0)).square().sum() * 2 / max(n - 1, 1)
    return torch.where(spread > torch.finfo(z.dtype).eps, spread, torch.ones_like(spread))


def mmd(
    x: Tensor, y: Tensor, scales: tuple[float, ...] = (1.0,), sigma: float | None = None, unbiased: bool = False
) -> Tensor:
    """Squared maximum mean discrepancy with a mean of Gaussian kernels exp(-||.||² / (2 s² σ²)), a scalar.

    Gretton et al. (JMLR 2012). Biased (diagonals counted, never negative) unless ``unbiased``.

    Args:
        x: [n, d].
        y: [m, d].
        scales: factors s on σ.
        sigma: σ; None: the root of the mean squared distance of the two samples together.
        unbiased: leave out the diagonals; may be negative; needs two rows of each.

    Raises:
        ValueError: if a sample has no row, or one with ``unbiased``.
    """
    if not min(len(x), len(y)):
        raise ValueError(f"x and y must have a row each, got {len(x)} and {len(y)}: a mean of none is not defined.")
    if unbiased and min(len(x), len(y)) < 2:
        rule = "unbiased=True leaves out a row with itself, so x and y need two rows each"
        raise ValueError(f"{rule}, got {len(x)} and {len(y)}. Give more rows, or take unbiased=False.")
    square = mean_square_distance(x, y) if sigma is None else x.new_tensor(sigma**2)
    total = x.new_zeros(())
    for scale in scales:
        t = float(1 / (2 * scale**2 * square))
        same = mean_kernel(x, x, t, skip_own=unbiased) + mean_kernel(y, y, t, skip_own=unbiased)
        total = total + same - 2 * mean_kernel(x, y, t)
    return total / len(scales)


def fourier_mmd(
    x: Tensor,
    y: Tensor,
    features: int,
    scales: tuple[float, ...] = (1.0,),
    sigma: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """:func:`mmd` by random features, never negative, in O((n + m) d ``features``); its expectation is the biased one.

    exp(-||x - y||² / (2 s² σ²)) = E cos(<ω, x - y>), ω ~ N(0, I / (s σ)²): the squared gap of mean cosines and sines.
    Rahimi & Recht (NeurIPS 2007).
    """
    square = mean_square_distance(x, y) if sigma is None else x.new_tensor(sigma**2)
    x, y = common_centre(x, y)
    total = x.new_zeros(())
    for scale in scales:
        omega = torch.randn(x.shape[1], features, generator=generator, dtype=x.dtype, device=x.device)
        a, b = (z @ (omega / (scale * square.sqrt())) for z in (x, y))
        gaps = (a.cos().mean(0) - b.cos().mean(0)).square() + (a.sin().mean(0) - b.sin().mean(0)).square()
        total = total + gaps.mean()
    return total / len(scales)

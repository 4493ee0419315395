"""Second-order objectives: correlations and variances of coordinates in place of negatives."""

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows

__all__ = ["CCASSG", "BarlowTwins", "VICReg"]

ROUNDING = 16
"""Deviation of a constant column from its computed mean, at most, in units of its size times the dtype's eps."""


def standardise(z: Tensor) -> Tensor:
    """Columns of mean 0 and biased variance 1; a constant column becomes 0 with a finite gradient.

    A column counts as constant where its deviation is no more than what rounding leaves of a constant of its size.
    """
    floor = (ROUNDING * torch.finfo(z.dtype).eps) ** 2 * z.detach().square().mean(0)
    z = z - z.mean(0)
    variance = z.square().mean(0)
    varied = variance > floor
    return torch.where(varied, z * torch.rsqrt(torch.where(varied, variance, 1.0)), z)


def off_diagonal_square(c: Tensor) -> Tensor:
    """Σ_{l ≠ m} c_lm², a scalar."""
    return c.square().sum() - c.diagonal().square().sum()


class BarlowTwins(Objective):
    r"""Redundancy reduction: Σ_l (1 - C_ll)² + λ Σ_{l ≠ m} C_lm², C = z~1ᵀ z~2 / B of standardised columns.

    The standard deviation is the biased one, so that equal views have C_ll = 1 (the unbiased one gives (B - 1) / B). A
    constant column costs 1. Shifts and positive scales of columns change nothing. A single value; O(B d²) time, O(d²)
    memory. Zbontar et al., Barlow Twins (ICML 2021).

    Args:
        off: λ; None: 1 / d, as used on graphs (0.0051 in the paper).
    """

    kind = "pair"
    reference = "Zbontar et al., ICML 2021"
    reduces = ("0 for equal views of uncorrelated columns",)
    slots = {
        "similarity": "correlation of coordinates",
        "positives": "aligned rows",
        "negatives": "none",
        "kernel": "Moments: diagonal to 1, rest to 0",
        "views": "two",
    }

    def __init__(self, off: float | None = 0.0051) -> None:
        super().__init__()
        self.off = off

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """The value of the batch, [1]."""
        c = standardise(z1).T @ standardise(z2) / max(len(z1), 1)
        off = 1 / len(c) if self.off is None else self.off
        return ((1 - c.diagonal()).square().sum() + off * off_diagonal_square(c))[None], None


class VICReg(Objective):
    r"""Variance, invariance, covariance: λ MSE(z1, z2) + μ V + ν C.

    V = ½ Σ_views mean_l max(0, 1 - sqrt(var_l + ε)), C = Σ_views Σ_{l ≠ m} Cov_lm² / d, unbiased moments. Rows are as
    given; a collapsed cloud costs μ (1 - sqrt ε). The variance of a single row counts as 0. A single value.
    Bardes et al., VICReg (ICLR 2022); the half in V is the authors' code.

    Args:
        invariance: λ.
        variance: μ.
        covariance: ν.
        eps: ε.
    """

    kind = "pair"
    reference = "Bardes et al., ICLR 2022"
    reduces = ("invariance * the mean squared error with variance=covariance=0",)
    slots = {
        "similarity": "squared distance",
        "positives": "aligned rows",
        "negatives": "none",
        "kernel": "Moments: hinge on deviations, covariances to 0",
        "views": "two",
    }

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0, eps: float = 1e-4
    ) -> None:
        super().__init__()
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}.")
        self.invariance, self.variance, self.covariance, self.eps = invariance, variance, covariance, eps

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """The value of the batch, [1]."""
        total = self.invariance * (z1 - z2).square().sum() / max(z1.numel(), 1)
        for z in (z1, z2):
            z = z - z.mean(0)
            spread = z.T @ z / max(len(z) - 1, 1)
            short = (1 - (spread.diagonal() + self.eps).sqrt()).clamp_min(0.0).mean()
            total = total + self.variance * short / 2 + self.covariance * off_diagonal_square(spread) / len(spread)
        return total[None], None


class CCASSG(Objective):
    r"""Canonical correlation: -tr(z~1ᵀ z~2) + λ (||z~1ᵀ z~1 - I||²_F + ||z~2ᵀ z~2 - I||²_F), z~ standardised / sqrt B.

    The biased standard deviation makes the diagonals of the Gram matrices 1 (the authors' unbiased one leaves a
    residue). Least value -d. A single value; linear in B. Zhang et al., CCA-SSG (NeurIPS 2021).

    Args:
        decorrelate: λ.
    """

    kind = "pair"
    reference = "Zhang et al., NeurIPS 2021"
    aliases = ("CCA-SSG",)
    reduces = ("-d for equal views of uncorrelated columns",)
    slots = {
        "similarity": "correlation of coordinates",
        "positives": "aligned rows",
        "negatives": "none",
        "kernel": "Moments: trace, Gram matrices to I",
        "views": "two",
    }

    def __init__(self, decorrelate: float = 1e-3) -> None:
        super().__init__()
        self.decorrelate = decorrelate

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """The value of the batch, [1]."""
        a, b = (standardise(z) / max(len(z), 1) ** 0.5 for z in (z1, z2))
        eye = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
        residue = sum(((x.T @ x - eye).square().sum() for x in (a, b)), a.new_zeros(()))
        return (self.decorrelate * residue - (a * b).sum())[None], None

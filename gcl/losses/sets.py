"""Objectives of samples and of parts: discrepancy, independence, separation."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect
from gcl.losses.functional.discrepancy import fourier_mmd, mmd
from gcl.losses.functional.energies import alignment, gaussian_lse, log_mean_potential
from gcl.losses.functional.numerics import normalise, square_distances
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["MMD", "Farcon", "SepCLR"]


class MMD(Objective):
    r"""Maximum mean discrepancy of two samples: mean K(x, x') + mean K(y, y') - 2 mean K(x, y).

    K is a mean of Gaussians exp(-||.||² / (2 (s σ)²)), σ² the mean squared distance of both samples together without
    gradient, unless given. Diagonals count, so it is never negative and 0 for equal sets; ``unbiased`` leaves them out.
    A single value. Streamed: memory O(n d). Gretton et al. (JMLR 2012).

    Args:
        scales: factors s; (0.25, 0.5, 1, 2, 4) is the usual set of several kernels.
        sigma: σ; None: from the data.
        unbiased: leave out the diagonals.
        unit: bring rows to the sphere first.
        fourier: number of random Fourier features that stand for a kernel, drawn anew at every call; linear time. 0:
            the kernel itself.
    """

    kind = "sets"
    detached = True
    reference = "Gretton et al., JMLR 2012"
    reduces = ("0 for equal samples, biased",)
    slots = {
        "similarity": "mean of Gaussian kernels",
        "positives": "rows within a sample",
        "negatives": "rows across samples",
        "kernel": "Energy: means",
    }

    def __init__(
        self,
        scales: Sequence[float] = (1.0,),
        sigma: float | None = None,
        unbiased: bool = False,
        unit: bool = False,
        fourier: int = 0,
    ) -> None:
        super().__init__()
        if fourier < 0 or (fourier and unbiased):
            raise ValueError(f"fourier must be at least 0, and 0 with unbiased=True, got {fourier}.")
        if not scales or min(scales) <= 0 or (sigma is not None and sigma <= 0):
            raise ValueError(f"scales and sigma must be positive, got {tuple(scales)} and {sigma}.")
        self.scales, self.sigma, self.unbiased, self.unit = tuple(scales), sigma, unbiased, unit
        self.fourier = fourier

    def compute(self, x: Tensor, y: Tensor) -> Rows:
        """The discrepancy, [1]."""
        if self.unit:
            x, y = normalise(x), normalise(y)
        if self.fourier:
            return fourier_mmd(x, y, self.fourier, self.scales, self.sigma, self.generator)[None], None
        return mmd(x, y, self.scales, self.sigma, self.unbiased)[None], None


def joint_entropy_loss(c: Tensor, s: Tensor, tau: float) -> Tensor:
    """mean_i log mean_j K_c(i, j) K_s(i, j), Gaussians exp(-||.||² / (2τ)), a row with itself included; a scalar.

    Its negative estimates the joint entropy: the product of Gaussians is one Gaussian of both parts side by side.
    """
    both = torch.cat([c, s], 1)
    return (gaussian_lse(both, both, 1 / (2 * tau), skip_own=False) - math.log(max(len(both), 1))).mean()


def attribute_pull(s: Tensor, attributes: Tensor, width: float) -> Tensor:
    """Mean of ||s_i - s_j||² over pairs of different rows, weighted by exp(-(a_i - a_j)² / (2 width)); a scalar."""
    own = torch.arange(len(s), device=s.device)

    def block(x: Tensor, a: Tensor, i: Tensor, y: Tensor, b: Tensor, j: Tensor) -> Tensor:
        weight = torch.exp(-(a[:, None] - b).square() / (2 * width)).masked_fill(i[:, None] == j, 0.0)
        return torch.stack([(weight * square_distances(x, y)).sum(1), weight.sum(1)], 1)

    total = by_rows(block, (s, attributes, own), (s, attributes, own), columns=len(s)).sum(0)
    return total[0] / total[1].clamp_min(torch.finfo(s.dtype).tiny)


class SepCLR(Objective):
    r"""Common and salient parts: alignment and uniformity of each, and independence of the two.

    Called with (common of view 1, common of view 2, salient of view 1, salient of view 2), and ``target=`` [B] bool,
    which rows have the salient factor (all, without it). On the sphere, A(x, y) = mean ||x - y||² / (2τ), U(x) = log
    mean_{i ≠ j} exp(-||.||² / (2τ)): common rows A + (U + U) / 2 of all; salient rows the same of target rows;
    salient rows of the others, not normalised, are pulled to 0; and ``independence`` * mean_i log mean_j K_c K_s over
    target rows, which maximises joint entropy. With ``attributes=`` [B] of target rows, salient rows are pulled by
    nearness of the attribute: Σ_ij w_ij ||s_i - s_j||² / Σ_ij w_ij, w_ij = exp(-(a_i - a_j)² / (2τ_a)), i ≠ j. A single
    value. Louiset et al., SepCLR (ICLR 2024).

    Args:
        temperature: τ > 0.
        independence: weight of the joint-entropy term.
        salient: weight of the salient terms.
        width: τ_a > 0 of the attributes.
    """

    kind = "tuple"
    parts = 4
    reference = "Louiset et al., ICLR 2024"
    reduces = (
        "AlignUniform with t = 1 / (2τ) on the common part with salient=0 and independence=0, its alignment over 2τ",
    )
    slots = {
        "similarity": "SquareEuclidean(unit=True), product kernel of both parts",
        "positives": "aligned rows of a part",
        "negatives": "all pairs of a part",
        "kernel": "Energy: mean, log-mean-exp",
        "views": "each part, added",
    }

    def __init__(
        self, temperature: float = 0.5, independence: float = 1.0, salient: float = 1.0, width: float = 1.0
    ) -> None:
        super().__init__()
        self.width = positive_temperature(width, "width")
        self.temperature = positive_temperature(temperature)
        self.independence, self.salient = independence, salient

    def compute(
        self, parts: tuple[Tensor, ...], target: Tensor | None = None, attributes: Tensor | None = None
    ) -> Rows:
        """The value of the batch, [1]."""
        if target is not None:
            expect("target", target, (len(parts[0]),), "one bool a row")
            if target.dtype != torch.bool:
                raise ValueError(f"target must be bool, a mask of rows, got {target.dtype}. Compare it, as target > 0.")
        if attributes is not None:
            expect("attributes", attributes, (len(parts[0]),), "one number a row")
        c1, c2 = normalise(parts[0]), normalise(parts[1])
        total = self._spread(c1, c2)
        chosen = torch.ones_like(c1[:, 0], dtype=torch.bool) if target is None else target
        own = chosen.nonzero()[:, 0]
        rest = (~chosen).nonzero()[:, 0]
        if len(rest):
            still = torch.stack([s.index_select(0, rest).square().sum(1).mean() for s in parts[2:]]).mean()
            total = total + self.salient * still / (2 * self.temperature)
        if len(own):
            s1, s2 = (normalise(s.index_select(0, own)) for s in parts[2:])
            total = total + self.salient * self._spread(s1, s2)
            joint = joint_entropy_loss(c1.index_select(0, own), s1, self.temperature)
            total = total + self.independence * joint
            if attributes is not None:
                near = attributes.to(s1.dtype).index_select(0, own)
                pulled = attribute_pull(s1, near, self.width) + attribute_pull(s2, near, self.width)
                total = total + self.salient * pulled / 2
        return total[None], None

    def _spread(self, x: Tensor, y: Tensor) -> Tensor:
        """A + (U + U) / 2."""
        t = 1 / (2 * self.temperature)
        return alignment(x, y).mean() * t + (log_mean_potential(x, t) + log_mean_potential(y, t)) / 2


def _split(p: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance."""
    mean, log_variance = p.chunk(2, dim=1)
    return mean, log_variance


def gaussian_gap(p: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor]) -> Tensor:
    """(KL(p || q) + KL(q || p)) / (2 d) of diagonal Gaussians (mean, log-variance) [B, d], [B]."""
    square = (p[0] - q[0]).square()
    forward = torch.exp(p[1] - q[1]) + square * torch.exp(-q[1])
    back = torch.exp(q[1] - p[1]) + square * torch.exp(-p[1])
    return (forward + back - 2).mean(1) / 4


class Farcon(Objective):
    r"""Content is pulled together, sensitive parts pushed from each other and from content, as distributions.

    Called with four tensors [B, 2d], mean and log-variance side by side: content x, content x' of another sensitive
    value, sensitive s, sensitive s'. L = mean [ D(x, x') + K(D(s, s')) + K(D(x, s)) + K(D(x', s')) ], D the symmetric
    KL divided by 2d, K(D) = exp(-D) or 1 / (1 + D). Four equal distributions: 3. Oh et al., FarconVAE (KDD 2022), whose
    warm-up of the weight is the owner's.

    Args:
        kernel: ``gaussian`` exp(-D) or ``student`` 1 / (1 + D).
    """

    kind = "tuple"
    parts = 4
    reference = "Oh et al., KDD 2022"
    reduces = ("||μ - μ'||² / (2d) between contents of unit variance",)
    slots = {
        "similarity": "symmetric KL of diagonal Gaussians",
        "positives": "content of both",
        "negatives": "sensitive parts, and content against sensitive",
        "kernel": "Energy: D of positives, K(D) of negatives",
    }

    def __init__(self, kernel: str = "student") -> None:
        super().__init__()
        if kernel not in ("gaussian", "student"):
            raise ValueError(f"kernel must be gaussian or student, got {kernel!r}.")
        self.kernel = kernel

    def compute(self, parts: tuple[Tensor, ...]) -> Rows:
        """Loss of every row [B]."""
        if any(p.shape[1] % 2 or p.shape != parts[0].shape for p in parts):
            shapes = ", ".join(str(list(p.shape)) for p in parts)
            raise ValueError(f"Farcon is called with 4 tensors [B, 2d], means and log-variances, got {shapes}.")
        x, other, s, other_s = (_split(p) for p in parts)
        apart = [gaussian_gap(s, other_s), gaussian_gap(x, s), gaussian_gap(other, other_s)]
        near = torch.stack([torch.exp(-d) if self.kernel == "gaussian" else 1 / (1 + d) for d in apart]).sum(0)
        return gaussian_gap(x, other) + near, None

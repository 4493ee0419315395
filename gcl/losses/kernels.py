"""Kernels of pairs without a logarithm: spectral contrast, kernel contrast."""

from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional import energies as F
from gcl.losses.functional.negatives import partner_counts
from gcl.losses.functional.numerics import normalise
from gcl.losses.slots.similarities import power_of_square
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["KCL", "SpectralContrast"]


class SpectralContrast(Objective):
    r"""Spectral contrast: -2 mean_i <z1_i, z2_i> + mean_{i ≠ j} <z1_i, z2_j>²; low-rank factors of the view graph.

    Rows are clipped to length sqrt(μ). Without ids squares are summed through a [d, d] matrix: O((B + M) d²). A row
    without negatives has no repulsion. HaoChen et al., Spectral Contrastive Loss (NeurIPS 2021).

    Args:
        mu: μ > 0, largest squared length.
    """

    kind = "pair"
    extra = True
    reference = "HaoChen et al., NeurIPS 2021"
    reduces = ("a low-rank factorisation of the normalised graph of views",)
    slots = {
        "similarity": "Dot(), clipped rows",
        "positives": "aligned rows",
        "negatives": "rows of the other view",
        "kernel": "Energy: -2 mean, mean of squares",
    }

    def __init__(self, mu: float = 1.0) -> None:
        super().__init__()
        self.mu = positive_temperature(mu, "mu")

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        x, y = self._clip(z1), self._clip(z2)
        score = (x * y[: len(x)]).sum(1)
        if ids is None:
            squares = ((x @ (y.T @ y)) * x).sum(1) - score.square()
            return -2 * score + squares / max(len(y) - 1, 1), None
        count = partner_counts(ids, len(x), len(y), x.device).clamp_min(1)
        return -2 * score + F.square_products(x, y, (ids[: len(x)], ids)) / count, None

    def _clip(self, z: Tensor) -> Tensor:
        """Rows of length at most sqrt(mu)."""
        length = torch.linalg.vector_norm(z, dim=1, keepdim=True)
        return normalise(z) * length.clamp_max(self.mu**0.5)


class KCL(Objective):
    r"""Kernel contrast: -2 mean_i K(x_i, y_i) + γ (mean_{i ≠ j} K(x_i, x_j) + mean_{i ≠ j} K(y_i, y_j)), unit rows.

    K of the distance r is ``gaussian`` exp(-t r²), ``imq`` (1 + t r²)^(-1/2), ``log`` -½ log(1 + t r²) or ``riesz``
    -r^s. Its expectation does not depend on the batch size. The last two are bounded forms of ours: the authors' have
    a pole at r = 0 or none, and their code halves the logarithm in the repulsion alone. Koromilas et al. (ICML 2024).

    Args:
        gamma: γ >= 0.
        t: sharpness.
        kernel: ``gaussian``, ``imq``, ``log`` or ``riesz``.
        s: s in (0, 2) of the Riesz kernel.
    """

    kind = "pair"
    reference = "Koromilas et al., ICML 2024"
    reduces = ("-2 mean K of positives with gamma=0",)
    slots = {
        "similarity": "kernel of the distance of unit rows",
        "positives": "aligned rows",
        "negatives": "all pairs of each side",
        "kernel": "Energy: means",
        "views": "each side, added",
    }

    def __init__(
        self,
        gamma: float = 16.0,
        t: float = 2.0,
        kernel: Literal["gaussian", "imq", "log", "riesz"] = "gaussian",
        s: float = 1.0,
    ) -> None:
        super().__init__()
        if gamma < 0 or t <= 0 or not 0 < s < 2:
            raise ValueError(f"gamma >= 0, t > 0 and s in (0, 2) must hold, got {gamma}, {t}, {s}.")
        if kernel not in ("gaussian", "imq", "log", "riesz"):
            raise ValueError(f"kernel must be gaussian, imq, log or riesz, got {kernel!r}.")
        self.gamma, self.t, self.kernel, self.s = gamma, t, kernel, s

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Attraction of every row plus the repulsion, which is of the batch, [B]."""
        x, y = normalise(z1), normalise(z2)
        near = self._of_square(F.alignment(x, y))
        if self.kernel == "gaussian":
            spread = F.mean_gaussian(x, self.t, ids) + F.mean_gaussian(y, self.t, ids)
        else:
            spread = F.mean_of_pairs(x, self._of_square, ids) + F.mean_of_pairs(y, self._of_square, ids)
        return -2 * near + self.gamma * spread, None

    def _of_square(self, square: Tensor) -> Tensor:
        """K of squared distances, elementwise."""
        if self.kernel == "gaussian":
            return torch.exp(-self.t * square)
        if self.kernel == "imq":
            return torch.rsqrt(1 + self.t * square)
        if self.kernel == "log":
            return -torch.log1p(self.t * square) / 2
        return -power_of_square(square, self.s / 2)

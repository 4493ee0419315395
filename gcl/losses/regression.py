"""Objectives without negatives: one side predicts the other, which stands still."""

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.functional.numerics import normalise
from gcl.losses.functional.streaming import by_rows

__all__ = ["BYOL", "DirectPred", "PixPro", "SimSiam"]


def cosine_gap(p: Tensor, t: Tensor) -> Tensor:
    """2 - 2 cos(p_i, t_i), t without gradient, [B]."""
    return 2 - 2 * (normalise(p) * normalise(t.detach())).sum(-1)


class BYOL(Objective):
    r"""Bootstrap: mean_i [ 2 - 2 cos(p_i, sg(t_i)) ], p = predictions of the online side, t the target side.

    z1 = p, z2 = t; the target, an exponential moving average (BYOL, BGRL) or a dropout of the online rows (BM3), is its
    owner's and gets no gradient. One direction: call it for both and average. Without predictor and stop-gradient it is
    alignment, which collapses. Equal rows 0, opposite rows 4; lengths do not matter. Grill et al., BYOL (NeurIPS 2020).
    """

    kind = "pair"
    detached = True
    reference = "Grill et al., NeurIPS 2020"
    aliases = ("BGRL", "BM3")
    reduces = ("the alignment of AlignUniform, but for the stop-gradient",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows, target fixed",
        "negatives": "none",
        "kernel": "Regression: 2 - 2 cos",
    }

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        return cosine_gap(z1, z2), None


class SimSiam(Stateful, Objective):
    r"""Siamese regression with a predictor: ½ [-cos(h(z1), sg(z2))] + ½ [-cos(h(z2), sg(z1))].

    h = W₂ relu(norm(W₁ z)), allocated by ``build``, without bias in its middle layer. Equal predictions and targets
    give -1. :class:`BYOL` with the online side as its own target. Chen & He, SimSiam (CVPR 2021).

    Args:
        hidden: width of the predictor's middle layer, as a share of the row's width.
    """

    kind = "pair"
    detached = True
    reference = "Chen & He, CVPR 2021"
    reduces = ("(BYOL(h(z1), z2) + BYOL(h(z2), z1)) / 4 - 1",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows, target fixed",
        "negatives": "none",
        "kernel": "Regression: -cos of predictions",
        "views": "both directions",
    }

    def __init__(self, hidden: float = 0.5) -> None:
        super().__init__()
        if hidden <= 0:
            raise ValueError(f"hidden must be positive, got {hidden}.")
        self.hidden = hidden
        self.predictor: nn.Module | None = None

    def allocate(self, num_ids: int, dim: int) -> None:
        """The predictor for rows of width ``dim``."""
        width = max(1, round(self.hidden * dim))
        self.predictor = nn.Sequential(
            nn.Linear(dim, width, bias=False), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, dim)
        )

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        if self.predictor is None:
            raise RuntimeError("SimSiam has no predictor yet: call objective.build(num_ids, dim) first.")
        return (cosine_gap(self.predictor(z1), z2) + cosine_gap(self.predictor(z2), z1)) / 4 - 1, None


class PixPro(Stateful, Objective):
    r"""Propagated regression: a row, smoothed by the rows that resemble it, predicts the other view's.

    y_i = Σ_j max(0, cos(z1_i, z1_j))^γ g(z1_j), g linear, allocated by ``build``, the identity at first; L = ½ mean
    -cos(y_i, sg z2_i) + ½ the same of z2 against sg z1, i itself included. With γ -> ∞ and g = I a row is smoothed by
    equal rows alone and it is :class:`BYOL` both ways / 4 - 1. Cost O(B² d), streamed. Xie et al., PixPro (CVPR 2021),
    who smooth pixels of one image and take the other side from a momentum encoder: hand that in as z2 and take
    ``both=False``.

    Args:
        sharpness: γ >= 1.
        both: both directions.
    """

    kind = "pair"
    detached = True
    reference = "Xie et al., CVPR 2021"
    reduces = ("BYOL both ways / 4 - 1 as sharpness -> ∞, with the identity as g",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows, target fixed",
        "negatives": "none",
        "weighting": "rows smoothed by their neighbours",
        "kernel": "Regression: -cos of predictions",
        "views": "both directions",
    }

    def __init__(self, sharpness: float = 2.0, both: bool = True) -> None:
        super().__init__()
        if sharpness < 1:
            raise ValueError(f"sharpness must be at least 1, got {sharpness}.")
        self.sharpness, self.both = sharpness, both
        self.register_parameter("weight", None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """g = I."""
        self.weight = nn.Parameter(torch.eye(dim))

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        values = cosine_gap(self.smoothed(z1), z2) / 2 - 1
        return ((values + cosine_gap(self.smoothed(z2), z1) / 2 - 1) / 2 if self.both else values), None

    def smoothed(self, z: Tensor) -> Tensor:
        """y [B, d]."""
        if self.weight is None:
            raise RuntimeError("PixPro has no transform yet: call objective.build(num_ids, dim) first.")
        x, power = normalise(z), self.sharpness

        def block(a: Tensor, c: Tensor, g: Tensor) -> Tensor:
            near = (a @ c.T).clamp_min(0.0)
            return (near if power == 1 else near**power) @ g

        return by_rows(block, (x,), (x, z @ self.weight), columns=len(x))


class DirectPred(Stateful, Objective):
    r"""Regression with a predictor read off the correlation of its inputs, not trained.

    F <- ρ F + (1 - ρ) mean z zᵀ over both views; F = U diag(s) Uᵀ; W = U diag(sqrt(max(s, 0) / max s) + ε) Uᵀ, at least
    1e-4, every ``every`` training calls, and L = ½ [2 - 2 cos(z1 W, sg(z2))] + ½ [2 - 2 cos(z2 W, sg(z1))].
    ``copy=True`` (DirectCopy): W = F / ||F|| + ε I. Cost O(d³ / every). Tian et al. (ICML 2021); Wang et al. (2021).

    Args:
        rho: ρ in [0, 1).
        eps: ε.
        every: training calls between updates.
        copy: DirectCopy.
    """

    kind = "pair"
    detached = True
    remembers = True
    reference = "Tian et al., ICML 2021"
    aliases = ("DirectCopy",)
    reduces = ("BYOL both ways with a predictor (1 + eps) I where the correlation is even",)
    slots = {**SimSiam.slots, "kernel": "Regression: 2 - 2 cos, predictor of the eigenvalues"}
    correlation: Tensor | None
    weight: Tensor | None
    calls: Tensor

    def __init__(self, rho: float = 0.3, eps: float = 0.1, every: int = 1, copy: bool = False) -> None:
        super().__init__()
        if not 0 <= rho < 1 or every < 1:
            raise ValueError(f"rho must be in [0, 1) and every at least 1, got {rho}, {every}.")
        self.rho, self.eps, self.every, self.copy = rho, eps, every, copy
        self.register_buffer("correlation", None)
        self.register_buffer("weight", None)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def allocate(self, num_ids: int, dim: int) -> None:
        """Correlation 0, predictor I."""
        self.correlation, self.weight = torch.zeros(dim, dim), torch.eye(dim)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        if self.weight is None:
            raise RuntimeError("DirectPred has no predictor yet: call objective.build(num_ids, dim) first.")
        if self.training and len(z1):
            self._observe(z1, z2)
        weight = self.weight.to(z1.dtype)
        return (cosine_gap(z1 @ weight, z2) + cosine_gap(z2 @ weight, z1)) / 2, None

    @torch.no_grad()
    def _observe(self, z1: Tensor, z2: Tensor) -> None:
        """Update the correlation and, when due, the predictor."""
        assert self.correlation is not None and self.weight is not None
        now = (z1.T @ z1 + z2.T @ z2) / (2 * len(z1))
        self.correlation.mul_(self.rho).add_(now.to(self.correlation.dtype), alpha=1 - self.rho)
        if int(self.calls) % self.every == 0:
            self.weight.copy_(predictor(self.correlation, self.eps, self.copy))
        self.calls += 1


def predictor(f: Tensor, eps: float, copy: bool) -> Tensor:
    """The linear predictor [d, d] of a correlation [d, d]: symmetric, positive."""
    tiny = torch.finfo(f.dtype).tiny
    if copy:
        return f / torch.linalg.matrix_norm(f).clamp_min(tiny) + eps * torch.eye(len(f), dtype=f.dtype, device=f.device)
    values, vectors = torch.linalg.eigh((f + f.T) / 2)
    scale = (values.clamp_min(0.0) / values.max().clamp_min(tiny)).sqrt() + eps
    return vectors * scale.clamp_min(1e-4) @ vectors.T

"""Contrast through several learned heads."""

from typing import Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.functional.negatives import identities
from gcl.losses.functional.numerics import lse, normalise
from gcl.losses.functional.streaming import by_rows

__all__ = ["AMCL"]


def temperature_penalty(tau: Tensor, dim: int) -> Tensor:
    """Ω(τ) = (d / 2) log τ + 1 / τ, least at τ = 2 / d."""
    return dim / 2 * torch.log(tau) + 1 / tau


class AMCL(Stateful, Objective):
    r"""Adaptive multi-head contrast: every head compares with a temperature of its own for every pair.

    z^c = W_c z, τ_c(a, b) = low + (high - low) sigmoid(<U_c a, V_c b> + b_c) of unit head rows a, b, and
    L = mean_i Σ_c [ -s_c(z1_i, z2_i) / τ+ + s_c(z1_i, z2_n) / τ- + β Ω(τ+) - β Ω(τ-) ], n the negative of largest
    cosine, Ω(τ) = (d'/2) log τ + 1 / τ. ``negatives="all"`` takes log-sum-exp over all negatives of s / τ in place of
    the hardest and no Ω(τ-) (our reading of a soft variant): one head of constant τ is then decoupled contrast. The
    low-rank temperature network is ours, the paper's is an MLP on both rows; the authors' code uses positives only, the
    formula is their table's. A row without negatives does not count. Wang et al., AMCL (2023).

    Args:
        heads: C.
        low: least τ.
        high: largest τ.
        beta: β >= 0.
        rank: width of U and V.
        negatives: ``hardest`` or ``all``.
    """

    kind = "pair"
    extra = True
    reference = "Wang et al., 2023"
    reduces = (
        "one direction of DCL over the other view with heads=1, low=high, beta=0, negatives=all (up to the head)",
    )
    slots = {
        "similarity": "Cosine() in every head",
        "positives": "aligned rows",
        "negatives": "the hardest row of the other view, or all",
        "temperature": "low-rank network of the pair, with a penalty",
        "kernel": "LogRatio(denominator='negatives')",
        "views": "heads added",
    }

    def __init__(
        self,
        heads: int = 3,
        low: float = 0.05,
        high: float = 2.0,
        beta: float = 0.1,
        rank: int = 8,
        negatives: Literal["hardest", "all"] = "hardest",
    ) -> None:
        super().__init__()
        if heads < 1 or rank < 1 or beta < 0:
            raise ValueError(f"heads and rank must be at least 1, beta at least 0, got {heads}, {rank}, {beta}.")
        if not 0 < low <= high:
            raise ValueError(f"0 < low <= high must hold, got {low}, {high}.")
        if negatives not in ("hardest", "all"):
            raise ValueError(f"negatives must be hardest or all, got {negatives!r}.")
        self.heads, self.low, self.high, self.beta, self.rank = heads, low, high, beta, rank
        self.negatives = negatives
        for name in ("weight", "left", "right", "offset"):
            self.register_parameter(name, None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """Heads [C, d, d], networks [C, d, r] and offsets [C]."""

        def table(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape) / shape[1] ** 0.5)

        self.weight, self.left = table(self.heads, dim, dim), table(self.heads, dim, self.rank)
        self.right, self.offset = table(self.heads, dim, self.rank), nn.Parameter(torch.zeros(self.heads))

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        if self.weight is None:
            raise RuntimeError("AMCL has no heads yet: call objective.build(num_ids, dim) first.")
        keys = identities(ids, len(z1), len(z2), z1.device)
        total, valid = torch.zeros_like(z1[:, 0]), torch.ones_like(z1[:, 0], dtype=torch.bool)
        for head in range(self.heads):
            values, held = self._head(head, z1, z2, keys)
            total, valid = total + values, valid & held
        return total, valid

    def _head(self, head: int, z1: Tensor, z2: Tensor, keys: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Loss of every row in one head, and which rows have negatives."""
        assert isinstance(self.weight, Tensor) and isinstance(self.left, Tensor)
        assert isinstance(self.right, Tensor) and isinstance(self.offset, Tensor)
        x, y = normalise(z1 @ self.weight[head]), normalise(z2 @ self.weight[head])
        u, v, shift = x @ self.left[head], y @ self.right[head], self.offset[head]
        low, width, rows, dim = self.low, self.high - self.low, len(z1), x.shape[1]

        def pairs(inner: Tensor) -> Tensor:
            return low + width * torch.sigmoid(inner)

        tau = pairs((u * v[:rows]).sum(1) + shift)
        values = -(x * y[:rows]).sum(1) / tau + self.beta * temperature_penalty(tau, dim)
        hard = self.negatives == "hardest"

        def block(a: Tensor, p: Tensor, i: Tensor, b: Tensor, q: Tensor, j: Tensor, c: Tensor) -> Tensor:
            s, hidden = a @ b.T, i[:, None] == j
            if hard:
                top, place = s.masked_fill(hidden, -torch.inf).max(1)
                return torch.stack([top, place.to(s.dtype)], 1).detach()
            return lse((s / pairs(p @ q.T + c)).masked_fill(hidden, -torch.inf))

        apart = by_rows(block, (x, u, keys[0]), (y, v, keys[1], shift), columns=len(z2))
        if not hard:
            held = apart > -torch.inf
            return values + apart.masked_fill(~held, 0.0), held
        held, place = apart[:, 0] > -torch.inf, apart[:, 1].long()
        away = pairs((u * v.index_select(0, place)).sum(1) + shift)
        push = (x * y.index_select(0, place)).sum(1) / away - self.beta * temperature_penalty(away, dim)
        return values + push.masked_fill(~held, 0.0), held

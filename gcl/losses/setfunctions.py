"""Objectives of sets: submodular functions of the rows of a label."""

from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional.numerics import normalise
from gcl.losses.functional.soft import lse_by_class
from gcl.losses.functional.streaming import by_rows

__all__ = ["SCoRe"]


class SCoRe(Objective):
    r"""Submodular representation learning: information of the sets of rows of a label under a set function f.

    S = cosines, A_k the rows of label k, T all rows.

    ``facility``: Σ_k 1/|A_k| Σ_{i ∉ A_k} max_{j ∈ A_k} s_ij (``soft`` > 0: soft maximum at that temperature);
    ``cut``: Σ_k [ Σ_{i ∈ A_k, j ∉ A_k} s_ij - λ Σ_{i, j ∈ A_k} s_ij ]; ``logdet``: Σ_k logdet(S_k + λ I).
    ``correlation`` takes the total correlation: for the cut λ times the similarity across labels, for logdet the same
    sum less logdet(S_T + λ I), never negative and 0 where no row resembles another label's.

    A single value, a sum over labels; small inside, small across. The authors' code differs from these definitions (row
    of the soft maximum, log ratios, signs). Facility and cut in O(N²) and less, logdet in O(N³).
    Majee et al., SCoRe (ICML 2024).

    Args:
        function: ``facility``, ``cut`` or ``logdet``.
        lam: λ > 0.
        correlation: total correlation in place of total information.
        soft: temperature of a soft maximum, 0 for the maximum.
    """

    kind = "labelled"
    reference = "Majee et al., ICML 2024"
    reduces = (
        "a quantity linear in the similarities with function=cut",
        "0 with function=logdet, correlation=True, where labels share no direction",
    )
    slots = {
        "similarity": "Cosine()",
        "positives": "rows of the label, as a set",
        "negatives": "all other rows",
        "kernel": "SetFunction: facility location, graph cut or log-determinant",
    }

    def __init__(
        self,
        function: Literal["facility", "cut", "logdet"] = "facility",
        lam: float = 0.5,
        correlation: bool = False,
        soft: float = 0.0,
    ) -> None:
        super().__init__()
        if function not in ("facility", "cut", "logdet"):
            raise ValueError(f"function must be facility, cut or logdet, got {function!r}.")
        if lam <= 0 or soft < 0:
            raise ValueError(f"lam must be positive and soft at least 0, got {lam}, {soft}.")
        if correlation and function == "facility":
            raise ValueError("correlation needs function=cut or logdet; the facility form is already the reduced one.")
        self.function, self.lam, self.correlation, self.soft = function, lam, correlation, soft

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """The value of the batch, [1]."""
        x = normalise(z)
        _, place, size = torch.unique(labels, return_inverse=True, return_counts=True)
        if self.function == "facility":
            return self._facility(x, place, size)[None], None
        if self.function == "cut":
            return self._cut(x, place, len(size))[None], None
        return self._logdet(x, place, len(size))[None], None

    def _facility(self, x: Tensor, place: Tensor, size: Tensor) -> Tensor:
        """Every row's largest cosine in each set that it is not of, over the size of the set."""
        soft = self.soft

        def block(a: Tensor, label: Tensor, c: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
            s = a @ c.T
            if not soft:
                outside = torch.where(labels == label[:, None], 0.0, weight[labels])
                return (s * largest_of_class(s, labels, len(weight)) * outside).sum(1)
            every = torch.ones_like(s, dtype=torch.bool)
            near, _ = lse_by_class(s / soft, every, labels, len(weight))
            outside = torch.where(torch.arange(len(weight), device=s.device) == label[:, None], 0.0, weight)
            return (soft * near * outside).sum(1)

        return by_rows(block, (x, place), (x, place, 1 / size.to(x.dtype)), columns=len(x)).sum()

    def _cut(self, x: Tensor, place: Tensor, count: int) -> Tensor:
        """Sums of cosines between sets are inner products of sums of rows."""
        sums = torch.zeros(count, x.shape[1], dtype=x.dtype, device=x.device).index_add(0, place, x)
        own, everything = sums.square().sum(), sums.sum(0).square().sum()
        across = everything - own
        return self.lam * across if self.correlation else across - self.lam * own

    def _logdet(self, x: Tensor, place: Tensor, count: int) -> Tensor:
        total = sum(
            (self._volume(x.index_select(0, (place == label).nonzero()[:, 0])) for label in range(count)),
            (x * 0.0).sum(),
        )
        return total - self._volume(x) if self.correlation else total

    def _volume(self, x: Tensor) -> Tensor:
        gram = x @ x.T + self.lam * torch.eye(len(x), dtype=x.dtype, device=x.device)
        return 2 * torch.linalg.cholesky(gram).diagonal().log().sum()


@torch.no_grad()
def largest_of_class(s: Tensor, labels: Tensor, classes: int) -> Tensor:
    """1 at the largest entry of every class of a row, shared evenly by equal ones, 0 elsewhere, [R, n]."""
    where = labels.expand(len(s), -1)
    least = s.new_full((len(s), classes), -torch.inf)
    equal = (s == least.scatter_reduce(1, where, s, "amax").gather(1, where)).to(s.dtype)
    return equal / torch.zeros_like(least).index_add(1, labels, equal).gather(1, where)

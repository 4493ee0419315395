"""Energy objectives: attraction and repulsion as separate terms."""

from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional.energies import alignment, log_mean_potential
from gcl.losses.functional.numerics import normalise

__all__ = ["AlignUniform"]


class AlignUniform(Objective):
    r"""Alignment and uniformity: mean_i ||x_i - y_i||^a + gamma (U(x) + U(y)) / 2, x, y the unit rows of z1, z2.

    U(x) = log mean_{i ≠ j} exp(-t ||x_i - x_j||²), in [-4t, 0], 0 at a collapsed cloud; a batch of one row has U = 0.
    No negatives; repeated rows of one thing bias U upward, so hand in each id once (DirectAU's code does not).
    For many candidates InfoNCE tends to align / (2τ) + U at t = 1 / (2τ).
    Wang & Isola (ICML 2020); DirectAU: Wang et al. (KDD 2022).

    Args:
        gamma: weight of uniformity.
        power: a, exponent of the distance of a positive pair.
        t: sharpness of the potential.
    """

    kind = "pair"
    reference = "Wang & Isola, ICML 2020"
    aliases = ("DirectAU",)
    slots = {
        "similarity": "SquareEuclidean(unit=True)",
        "positives": "aligned rows",
        "negatives": "all pairs of each side",
        "kernel": "Energy: mean attraction, log-mean-exp repulsion over all pairs",
        "views": "each side, averaged",
    }

    def __init__(self, gamma: float = 1.0, power: float = 2.0, t: float = 2.0) -> None:
        super().__init__()
        if gamma < 0 or power <= 0 or t <= 0:
            raise ValueError(f"gamma must be at least 0, power and t positive, got {gamma}, {power}, {t}.")
        self.gamma, self.power, self.t = gamma, power, t

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Distance of every pair plus the two uniformities, which are of the batch, [B]."""
        x, y = normalise(z1), normalise(z2)
        spread = (log_mean_potential(x, self.t) + log_mean_potential(y, self.t)) / 2
        return alignment(x, y, self.power) + self.gamma * spread, None

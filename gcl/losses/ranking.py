"""Objectives of scores: what was chosen stands above what was not."""

from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.functional.numerics import softplus

__all__ = ["BPR"]


class BPR(Objective):
    r"""Bayesian personalised ranking: mean over rows and negatives of softplus(s_j - s_i) = -log sigmoid(s_i - s_j).

    ``positive`` [B] scores s_i, ``negative`` [B, m] scores s_j; any real numbers, usually dot products. The gradient of
    a pair is -sigmoid(s_j - s_i) and never saturates at a wrong order, unlike -log(eps + sigmoid). Equal scores: log 2.
    With m = 1 it is InfoNCE with one negative and temperature 1. Rendle et al., BPR (UAI 2009).
    """

    kind = "ranking"
    reference = "Rendle et al., UAI 2009"
    slots = {
        "similarity": "given scores",
        "positives": "chosen",
        "negatives": "sampled, own row",
        "kernel": "PairRank softplus, mean",
    }

    def compute(self, positive: Tensor, negative: Tensor) -> Rows:
        """Mean over its negatives of every row [B]; a row without negatives is 0."""
        return softplus(negative - positive[:, None]).sum(1) / max(negative.shape[1], 1), None

"""Metric learning on labelled rows: triplets, circles, thresholds."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect
from gcl.losses.functional import metric as F
from gcl.losses.functional.numerics import normalise, square_distances
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["SCOREQ", "Circle", "MultiSimilarity", "Triplet"]

Distance = Literal["euclidean", "square", "cosine"]


def distances(x: Tensor, y: Tensor, kind: Distance) -> Tensor:
    """[R, N]: Euclidean, its square, or 1 - <x, y>; finite gradients at zero."""
    if kind == "cosine":
        return 1 - x @ y.T
    square = square_distances(x, y)
    return square if kind == "square" else square.clamp_min(1e-12).sqrt()


def masks(i: Tensor, label: Tensor, j: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Positives (other rows of the label) and negatives of a block of rows, [R, N] bool."""
    equal = label[:, None] == labels
    return equal & (i[:, None] != j), ~equal


class Triplet(Objective):
    r"""Triplets of a label: mean of max(0, D_ap - D_an + m), or of softplus(D_ap - D_an + m) with ``soft``.

    ``all``: every triplet, in O(N² log N); ``hard``: the farthest positive with the closest negative of an anchor;
    ``semi_hard``: every positive with the closest negative beyond it, else the farthest; ``distance``: every positive
    with a negative drawn by its distance, evenly over distances rather than over rows (its expectation is taken, in
    place of the draw; cosines only). An anchor's value is the mean over its triplets, or with ``active`` over those
    above zero; anchors without one do not count. ``all`` and ``distance`` are hinges.
    Schroff et al., FaceNet (CVPR 2015); Hermans et al. (2017); Wu et al., Sampling Matters (ICCV 2017).

    Args:
        margin: m.
        distance: ``euclidean`` or ``square`` of rows as they are, or ``cosine`` 1 - cos.
        mining: ``all``, ``hard``, ``semi_hard`` or ``distance``.
        soft: softplus in place of the hinge.
        active: average over triplets above zero.
    """

    kind = "labelled"
    reference = "Schroff et al., CVPR 2015"
    reduces = ("EnergyHinge's hinge both ways with mining=hard on two stacked views, own-view rows never the hardest",)
    slots = {
        "similarity": "negative distance",
        "positives": "rows of the label",
        "negatives": "rows of other labels, all, hardest or semi-hard",
        "margin": "m on distances",
        "kernel": "PairRank(phi='hinge')",
    }

    def __init__(
        self,
        margin: float = 0.2,
        distance: Distance = "cosine",
        mining: Literal["all", "hard", "semi_hard", "distance"] = "all",
        soft: bool = False,
        active: bool = False,
    ) -> None:
        super().__init__()
        if distance not in ("euclidean", "square", "cosine"):
            raise ValueError(f"distance must be euclidean, square or cosine, got {distance!r}.")
        if mining not in ("all", "hard", "semi_hard", "distance"):
            raise ValueError(f"mining must be all, hard, semi_hard or distance, got {mining!r}.")
        if mining in ("all", "distance") and soft:
            raise ValueError(f"mining={mining} is a hinge; take mining=hard or semi_hard with soft=True.")
        if mining == "distance" and distance != "cosine":
            raise ValueError(f"mining=distance is for distance=cosine, got {distance!r}.")
        self.distance: Distance = distance
        self.margin, self.mining, self.soft, self.active = margin, mining, soft, active

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Value of every anchor [N]."""
        x = normalise(z) if self.distance == "cosine" else z
        kind, margin, mining, soft, active = self.distance, self.margin, self.mining, self.soft, self.active
        own = torch.arange(len(z), device=z.device)

        def block(a: Tensor, i: Tensor, label: Tensor, c: Tensor, j: Tensor, others: Tensor) -> Tensor:
            positive, negative = masks(i, label, j, others)
            d = distances(a, c, kind)
            if mining == "all":
                total, number = F.all_triplets(d, positive, negative, margin, active)
            elif mining == "distance":
                total, number = F.weighted_triplets(d, positive, negative, margin, active, a.shape[1])
            else:
                mine = F.hardest_triplets if mining == "hard" else F.semi_hard_triplets
                total, number = mine(d, positive, negative, margin, active, soft)
            return torch.stack([total, number.to(total.dtype)], 1)

        out = by_rows(block, (x, own, labels), (x, own, labels), columns=len(z))
        number = out[:, 1].detach()
        return out[:, 0] / number.clamp_min(1), number > 0


class Circle(Objective):
    r"""Circle loss: positives and negatives of an anchor weighted by how far each is from where it should be.

    L = mean_i softplus(lse_n(g a_n (s_n - m)) + lse_p(-g a_p (s_p - 1 + m))), a_p = max(0, 1 + m - s_p), a_n = max(0,
    s_n + m) without gradient, s cosines. With m = ½, where all cosines are ½, every a is 1: with one positive a row
    its value and gradient are those of InfoNCE with τ = 1 / g. Rows without a positive or a negative do not count.
    Sun et al., Circle Loss (CVPR 2020).

    Args:
        margin: m.
        scale: g > 0.
    """

    kind = "labelled"
    detached = True
    reference = "Sun et al., CVPR 2020"
    reduces = ("InfoNCE of τ = 1 / g with margin=0.5 where all cosines are 1/2, one positive a row",)
    slots = {
        "similarity": "Cosine()",
        "positives": "rows of the label",
        "negatives": "rows of other labels",
        "weighting": "distance from the optimum, self-paced",
        "margin": "m on both sides",
        "kernel": "PairRank(phi='softplus', pool='lse')",
    }

    def __init__(self, margin: float = 0.25, scale: float = 256.0) -> None:
        super().__init__()
        self.margin, self.scale = margin, positive_temperature(scale, "scale")

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Loss of every row [N]."""
        x, own, margin, scale = normalise(z), torch.arange(len(z), device=z.device), self.margin, self.scale

        def block(a: Tensor, i: Tensor, label: Tensor, c: Tensor, j: Tensor, others: Tensor) -> Tensor:
            positive, negative = masks(i, label, j, others)
            value = F.circle(a @ c.T, positive, negative, margin, scale)
            return torch.stack([value, (positive.any(1) & negative.any(1)).to(value.dtype)], 1)

        out = by_rows(block, (x, own, labels), (x, own, labels), columns=len(z))
        return out[:, 0], out[:, 1].detach() > 0


class MultiSimilarity(Objective):
    r"""Soft thresholds on cosines, one a level of a hierarchy of labels.

    L = mean_i Σ_l [ (1/α) log(1 + Σ_{p ∈ P_l} e^{-α (s_p - t_l)}) + (1/β) log(1 + Σ_{n ∈ N_l} e^{β (s_n - t_l)}) ], P_l
    the other rows with the label of level l, N_l all without it. Level 0 are ``labels``; coarser levels are given as
    ``levels=`` [L - 1, N]. One level is the multi-similarity loss. Wang et al. (CVPR 2019); HiPrBERT (2023).

    Args:
        thresholds: t, one a level, falling with distance in the tree.
        alpha: α > 0.
        beta: β > 0.
    """

    kind = "labelled"
    reference = "Wang et al., CVPR 2019"
    aliases = ("HiPrBERT",)
    reduces = ("the single-level loss of Wang et al. with one threshold",)
    slots = {
        "similarity": "Cosine()",
        "positives": "rows of the label, by level",
        "negatives": "rows without it",
        "margin": "threshold of the level",
        "kernel": "softplus of log-sum-exp of each side",
    }

    def __init__(self, thresholds: Sequence[float] = (0.5,), alpha: float = 2.0, beta: float = 50.0) -> None:
        super().__init__()
        self.thresholds = tuple(thresholds)
        self.alpha, self.beta = positive_temperature(alpha, "alpha"), positive_temperature(beta, "beta")

    def compute(self, z: Tensor, labels: Tensor, levels: Tensor | None = None) -> Rows:
        """Loss of every row [N]."""
        tree = [labels, *(levels if levels is not None else [])]
        if len(tree) != len(self.thresholds):
            raise ValueError(f"thresholds must be one a level, {len(tree)}, got {len(self.thresholds)}.")
        for level in tree[1:]:
            expect("levels", level, (len(z),), "one label a row of z, in every level")
        x, own = normalise(z), torch.arange(len(z), device=z.device)
        stack, limits, alpha, beta = torch.stack(tree, 1), self.thresholds, self.alpha, self.beta

        def block(a: Tensor, i: Tensor, label: Tensor, c: Tensor, j: Tensor, others: Tensor) -> Tensor:
            s, total = a @ c.T, torch.zeros_like(a[:, 0])
            for level, limit in enumerate(limits):
                positive, negative = masks(i, label[:, level], j, others[:, level])
                total = total + F.multi_similarity(s, positive, negative, limit, alpha, beta)
            return total

        return by_rows(block, (x, own, stack), (x, own, stack), columns=len(z)), None


class SCOREQ(Objective):
    r"""Triplets of real targets with a margin that follows the targets.

    For p, n with |t_a - t_p| < |t_a - t_n|: max(0, D_ap - D_an + (|t_a - t_n| - |t_a - t_p|) / (t_max - t_min)), D the
    distance of unit rows, averaged over the triplets of an anchor. Labels are the targets. O(N³) values, made in tiles.
    The scaling of the margin is our reading: training code could not be reached. Ragano et al., SCOREQ (NeurIPS 2024).
    """

    kind = "labelled"
    reference = "Ragano et al., NeurIPS 2024"
    reduces = ("Triplet of unit rows with distance=euclidean and margin=1 where targets take two values",)
    slots = {
        "similarity": "negative Euclidean distance of unit rows",
        "positives": "nearer in target",
        "negatives": "farther in target",
        "margin": "difference of target distances",
        "kernel": "PairRank(phi='hinge')",
    }

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Value of every anchor [N]."""
        x, target, own = normalise(z), labels.to(z.dtype), torch.arange(len(z), device=z.device)
        span = (target.max() - target.min()).clamp_min(torch.finfo(z.dtype).tiny) if len(z) else target.sum()

        def block(a: Tensor, i: Tensor, t: Tensor, c: Tensor, j: Tensor, others: Tensor, width: Tensor) -> Tensor:
            gaps, other = (t[:, None] - others).abs(), i[:, None] != j
            total, number = F.target_triplets(distances(a, c, "euclidean"), gaps, other, width)
            return torch.stack([total, number.to(total.dtype)], 1)

        out = by_rows(block, (x, own, target), (x, own, target, span), columns=len(z) ** 2, least=1)
        number = out[:, 1].detach()
        return out[:, 0] / number.clamp_min(1), number > 0

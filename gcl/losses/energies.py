"""Energy objectives: attraction and repulsion as separate terms."""

from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect
from gcl.losses.functional import energies as F
from gcl.losses.functional.negatives import identities
from gcl.losses.functional.numerics import lse, normalise, square_distances
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["CACR", "AlignUniform", "DecoupledUniformity", "Dispersive"]


class AlignUniform(Objective):
    r"""Alignment and uniformity: mean_i ||x_i - y_i||^a + gamma (U(x) + U(y)) / 2, x, y the unit rows of z1, z2.

    U(x) = log mean_{i ≠ j} exp(-t ||x_i - x_j||²), in [-4t, 0], 0 at a collapsed cloud and for a batch of one thing. No
    negatives. Repeated rows of one thing bias U upward: with ids their pairs are left out (DirectAU's code keeps them).
    For many candidates, evenly spread, InfoNCE less the log of their number tends to align / (2τ) + U at t = 1 / (2τ).
    Wang & Isola (ICML 2020); DirectAU: Wang et al. (KDD 2022).

    Args:
        gamma: weight of uniformity.
        power: a, exponent of the distance of a positive pair.
        t: sharpness of the potential.
    """

    kind = "pair"
    reference = "Wang & Isola, ICML 2020"
    aliases = ("DirectAU",)
    reduces = (
        "InfoNCE less log M for many even candidates: align / (2τ) + uniformity at t = 1 / (2τ)",
        "alignment alone with gamma=0",
    )
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
        spread = (F.log_mean_potential(x, self.t, ids) + F.log_mean_potential(y, self.t, ids)) / 2
        return F.alignment(x, y, self.power) + self.gamma * spread, None


class CACR(Objective):
    r"""Contrastive attraction and contrastive repulsion, each weighted by its own softmax of distances.

    View 0 is the query x, the other K views its positives, those of other things its negatives; c = squared distance of
    unit rows. L = mean [ Σ_k softmax_k(t⁺ c_k) c_k - Σ_j softmax_j(-t⁻ c_j) c_j ]: far positives and close negatives
    count more. Weights carry no gradient unless ``detach=False`` (the authors' small-scale code). t⁺ = t⁻ = 0: mean
    attraction less mean repulsion. Things without negatives do not count.

    ``cost="rbf"``: the repulsion is log mean_i Σ_j softmax_j(-t⁻ c_ij) exp(-s c_ij), over the whole batch. ``tau_plus``
    is the chance that a negative is of the query's class: the expected cost E of negatives becomes that of true ones,
    (E - τ₊ c⁺) / (1 - τ₊), c⁺ the mean cost of positives, so that positives attract more. (The authors' code has the
    other sign, which drives positives apart.) Zheng et al., CACR (TMLR 2023).

    Args:
        attract: t⁺ >= 0.
        repel: t⁻ >= 0.
        detach: weights are constants.
        cost: of the repulsion, ``square`` or ``rbf``.
        sharpness: s > 0, of ``rbf``.
        tau_plus: τ₊ in [0, 1), of ``square``.
    """

    kind = "multiview"
    reference = "Zheng et al., TMLR 2023"
    reduces = ("mean attraction less mean repulsion with attract=repel=0",)
    slots = {
        "similarity": "SquareEuclidean(unit=True)",
        "positives": "other views of the thing",
        "negatives": "other views of other things",
        "weighting": "softmax of distances, of either sign",
        "kernel": "Energy, softmax-weighted means",
        "views": "star around view 0",
    }

    def __init__(
        self,
        attract: float = 1.0,
        repel: float = 2.0,
        detach: bool = True,
        cost: Literal["square", "rbf"] = "square",
        sharpness: float = 2.0,
        tau_plus: float = 0.0,
    ) -> None:
        super().__init__()
        if min(attract, repel) < 0:
            raise ValueError(f"attract and repel must be at least 0, got {attract}, {repel}.")
        if cost not in ("square", "rbf"):
            raise ValueError(f"cost must be square or rbf, got {cost!r}.")
        if not 0 <= tau_plus < 1 or (tau_plus and cost == "rbf"):
            raise ValueError(f"tau_plus must be in [0, 1), and 0 with cost='rbf', got {tau_plus}.")
        self.attract, self.repel, self.detach = attract, repel, detach
        self.sharpness = positive_temperature(sharpness, "sharpness") if cost == "rbf" else None
        self.tau_plus = tau_plus
        self.detached = detach

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        z = normalise(views)
        cost = (z[0] - z[1:]).square().sum(-1)
        share = (self.attract * (cost.detach() if self.detach else cost)).softmax(0)
        own, _ = identities(ids, z.shape[1], z.shape[1], z.device)
        rest = z[1:].flatten(0, 1)
        keys = (own, own.repeat(len(z) - 1))
        away = F.weighted_repulsion(z[0], rest, keys, self.repel, self.detach, self.sharpness)
        valid = away > -torch.inf
        near = (share * cost).sum(0)
        if self.sharpness is not None:
            total = lse(away) - valid.sum().clamp_min(1).to(away.dtype).log()
            return near + torch.where(valid.any(), total, 0.0), valid
        away = away.masked_fill(~valid, 0.0)
        return near + (away + self.tau_plus * cost.mean(0)) / (1 - self.tau_plus), valid


class DecoupledUniformity(Objective):
    r"""Uniformity of centroids: log mean_{i ≠ j} exp(-t ||μ_i - μ_j||²), μ_i the mean of the unit rows of a thing.

    No alignment term: views that disagree shorten their centroid, which raises the loss. With ``prior=`` [B, p]
    features centroids are smoothed, μ~ = A μ, A = (K + λ I)^-1 K without gradient, K their ``kernel``. λ = 0 is taken
    as it stands. One view would be plain uniformity. A single value for the batch. Cost O(B² d + B³ with a prior).
    Dufumier et al., Integrating Prior Knowledge in Contrastive Learning with Kernel (ICML 2023).

    Args:
        t: sharpness.
        ridge: λ >= 0.
        kernel: ``rbf`` exp(-||.||² / (2 p)), or ``cosine``.
    """

    kind = "multiview"
    detached = True
    reference = "Dufumier et al., ICML 2023"
    reduces = ("the uniformity of AlignUniform where the views are equal and there is no prior",)
    slots = {
        "similarity": "SquareEuclidean()",
        "positives": "implicit in centroids",
        "negatives": "centroids of other things",
        "weighting": "kernel smoothing of centroids",
        "kernel": "Energy: log-mean-exp repulsion alone",
        "views": "centroid of the views",
    }

    def __init__(self, t: float = 2.0, ridge: float = 0.01, kernel: Literal["rbf", "cosine"] = "rbf") -> None:
        super().__init__()
        if t <= 0 or ridge < 0:
            raise ValueError(f"t must be positive and ridge at least 0, got {t}, {ridge}.")
        if kernel not in ("rbf", "cosine"):
            raise ValueError(f"kernel must be rbf or cosine, got {kernel!r}.")
        self.t, self.ridge, self.kernel = t, ridge, kernel

    def compute(self, views: Tensor, ids: Tensor | None = None, prior: Tensor | None = None) -> Rows:
        """The value of the batch, [1]."""
        centre = normalise(views).mean(0)
        if prior is not None:
            expect("prior", prior, (views.shape[1], "p"), "one row of features a thing")
            centre = self._smoother(prior.detach().to(centre.dtype)) @ centre
        return F.log_mean_potential(centre, self.t, ids)[None], None

    def _smoother(self, prior: Tensor) -> Tensor:
        """A [B, B]."""
        if self.kernel == "cosine":
            unit = normalise(prior)
            gram = unit @ unit.T
        else:
            gram = torch.exp(-square_distances(prior, prior) / (2 * prior.shape[1]))
        return torch.linalg.solve(gram + self.ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), gram)


class Dispersive(Objective):
    r"""Repulsion without positives, to be added to any other loss; the mean over the two given views.

    ``l2``: log mean exp(-||h_i - h_j||² / τ); ``cosine``: log mean exp(cos / τ); ``hinge``: mean max(0, ε - ||.||²)²;
    ``covariance``: Σ_{m ≠ n} Cov_mn² of unit rows. Rows are as given, not normalised, but for the last and the cosine.
    All B² pairs count, a row with itself too, unless ``self_pairs=False``; without them and on unit rows ``l2`` is
    uniformity at t = 1 / τ. The authors' code divides distances by the width: ``per_dimension=True`` with τ = 1. For
    hidden features of one pass hand them in twice. A single value. Wang & He, Diffuse and Disperse (2025).

    Args:
        form: ``l2``, ``cosine``, ``hinge`` or ``covariance``.
        temperature: τ > 0.
        reach: ε of the hinge.
        self_pairs: count rows with themselves.
        per_dimension: divide squared distances by the width.
    """

    kind = "pair"
    extra = True
    reference = "Wang & He, 2025"
    reduces = ("the uniformity of AlignUniform at t = 1 / τ with form=l2, self_pairs=False, on unit rows",)
    slots = {
        "similarity": "squared distance, cosine or covariance",
        "positives": "none",
        "negatives": "all pairs of a side",
        "kernel": "Energy: repulsion alone",
        "views": "each side, averaged",
    }

    def __init__(
        self,
        form: Literal["l2", "cosine", "hinge", "covariance"] = "l2",
        temperature: float = 0.5,
        reach: float = 1.0,
        self_pairs: bool = True,
        per_dimension: bool = False,
    ) -> None:
        super().__init__()
        if form not in ("l2", "cosine", "hinge", "covariance"):
            raise ValueError(f"form must be l2, cosine, hinge or covariance, got {form!r}.")
        self.form, self.temperature, self.reach = form, positive_temperature(temperature), reach
        self.self_pairs, self.per_dimension = self_pairs, per_dimension

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """The value of the batch, [1]."""
        if z1 is z2:
            return self.disperse(z1)[None], None
        return (self.disperse(z1) + self.disperse(z2))[None] / 2, None

    def disperse(self, h: Tensor) -> Tensor:
        """The term of features [n, d], a scalar."""
        if self.form == "cosine":
            return F.log_mean_cosine(normalise(h), self.temperature, self_pairs=self.self_pairs)
        if self.form == "covariance":
            unit = normalise(h)
            unit = unit - unit.mean(0)
            spread = unit.T @ unit / max(len(h) - 1, 1)
            return spread.square().sum() - spread.diagonal().square().sum()
        h = h / h.shape[1] ** 0.5 if self.per_dimension else h
        if self.form == "hinge":
            return F.hinge_dispersion(h, self.reach, self_pairs=self.self_pairs)
        return F.log_mean_potential(h, 1 / self.temperature, self_pairs=self.self_pairs)

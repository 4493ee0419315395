"""Objectives whose temperature follows the batch, the sample or the pair."""

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.checks import BUILT, expect_places
from gcl.losses.contrast import PairPipeline
from gcl.losses.functional.global_contrast import Side, descend, side, surrogate
from gcl.losses.functional.numerics import normalise
from gcl.losses.slots.kernels import Reweighted
from gcl.losses.slots.temperatures import AlignmentAdaptive, positive_temperature

__all__ = ["MACL", "ISogCLR", "SogCLR", "TempNet"]


class MACL(PairPipeline):
    r"""Model-aware temperature and reweighting on :class:`NTXent`'s layout.

    τ = τ₀ (1 + α (A - A₀)), A the mean positive cosine of the batch; L = mean_i -V_i log P_i, V_i = 1 / (1 - P_i), A
    and V without gradient. The gradient on every positive is exactly -1 / τ. α = 0 without V is :class:`NTXent`. Rows
    without negatives do not count. Huang et al., Model-Aware Contrastive Learning (ICML 2023); α and A₀ are tuned per
    task there.

    Args:
        temperature: τ₀ > 0.
        alpha: α.
        base: A₀.
    """

    detached = True
    reference = "Huang et al., ICML 2023"
    reduces = ("NTXent with alpha=0, its rows weighted by 1 / (1 - P)",)

    def __init__(self, temperature: float = 0.1, alpha: float = 0.5, base: float = 0.0) -> None:
        super().__init__(
            temperature=AlignmentAdaptive(temperature, alpha, base), kernel=Reweighted(), negatives="both", forward=0.5
        )


class SogCLR(Stateful, Objective):
    r"""Global contrastive objective with one running estimate a thing: large-batch gradients from small batches.

    F = mean_i [ τ log u_i - s_i+ ], u_i the running mean of g_i = mean over negatives of exp(s_ij / τ), both views'
    rows being anchors with negatives of both views. On a visit u <- (1 - γ) u + γ g, on the first u = g. The gradient
    is that of mean_i [ mean_j w_ij s_ij - s_i+ ], w_ij = exp(s_ij / τ) / u_i constant; the value is F itself, where
    the authors print the surrogate. Kept as log u, so nothing overflows; one mean of both views is stored (older code
    stores the sum). Without ids u = g: τ times the decoupled loss, up to log of the number of negatives.
    Yuan et al., Provable Stochastic Optimization for Global Contrastive Learning (ICML 2022).

    Args:
        temperature: τ > 0.
        gamma: γ in (0, 1].
    """

    kind = "pair"
    detached = True
    remembers = True
    reference = "Yuan et al., ICML 2022"
    reduces = ("τ times DCL less its log of the number of negatives, with gamma=1 or without ids",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "rows of both views with another id",
        "weighting": "exp(s / τ) over the thing's running mean",
        "kernel": "LogRatio(denominator='negatives'), surrogate gradient",
        "views": "both directions",
    }
    log_u: Tensor | None

    def __init__(self, temperature: float = 0.1, gamma: float = 0.9) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma must be in (0, 1], got {gamma}.")
        self.temperature, self.gamma = positive_temperature(temperature), gamma
        self.register_buffer("log_u", None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """log u of every id, -inf before the first visit."""
        self.log_u = torch.full((num_ids,), -torch.inf)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """F of every row [B], the mean of both views' anchors."""
        a, b = normalise(z1), normalise(z2)
        tau = torch.full_like(a[:, 0], self.temperature)
        sides = [side(a, b, tau, ids), side(b, a, tau, ids)]
        old = _visited(self.log_u, ids, a)
        news = [s.update(old, self.gamma) for s in sides]
        if self.training:
            _store(self.log_u, ids, news)
        values = [surrogate(s, u) for s, u in zip(sides, news, strict=True)]
        return (values[0] + values[1]) / 2, sides[0].valid


class ISogCLR(Stateful, Objective):
    r"""SogCLR with a temperature for every thing, moved by distributionally robust optimisation.

    F_i = τ_i log E_j[ exp(h_ij / τ_i) ] + τ_i ρ, h_ij = s_ij - s_i+. Beside u as in :class:`SogCLR` a table holds τ,
    moved in training by τ <- clip(τ - η m), m <- (1 - β) m + β ∂F/∂τ, ∂F/∂τ = log u + ρ - mean_j(w_ij h_ij / τ).
    Things with many similar negatives get a larger τ. ρ is the radius of the uncertainty. Without ids τ stays at its
    start.
    Qiu et al., Not All Semantics are Created Equal (ICML 2023).

    Args:
        temperature: τ at the start.
        gamma: γ in (0, 1].
        rho: ρ >= 0; 0.3 for one modality, 6 for two.
        rate: η.
        momentum: β in (0, 1].
        low: least τ; 0.005 for two modalities.
        high: largest τ; 0.05 for two modalities.
    """

    kind = "pair"
    detached = True
    remembers = True
    reference = "Qiu et al., ICML 2023"
    aliases = ("iSogCLR",)
    reduces = ("SogCLR plus τ ρ with rate=0 and gamma=1",)
    slots = {**SogCLR.slots, "temperature": "a table, one a thing"}
    log_u: Tensor | None
    tau: Tensor | None
    velocity: Tensor | None

    def __init__(
        self,
        temperature: float = 0.1,
        gamma: float = 0.9,
        rho: float = 0.3,
        rate: float = 0.01,
        momentum: float = 0.9,
        low: float = 0.05,
        high: float = 0.7,
    ) -> None:
        super().__init__()
        if not 0 < low <= temperature <= high:
            raise ValueError(f"0 < low <= temperature <= high must hold, got {low}, {temperature}, {high}.")
        if not (0 < gamma <= 1 and 0 < momentum <= 1):
            raise ValueError(f"gamma and momentum must be in (0, 1], got {gamma}, {momentum}.")
        self.temperature, self.gamma, self.rho = temperature, gamma, rho
        self.rate, self.momentum, self.low, self.high = rate, momentum, low, high
        for name in ("log_u", "tau", "velocity"):
            self.register_buffer(name, None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """Tables of every id."""
        self.log_u = torch.full((num_ids,), -torch.inf)
        self.tau, self.velocity = torch.full((num_ids,), self.temperature), torch.zeros(num_ids)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """F of every row [B], the mean of both views' anchors."""
        a, b = normalise(z1), normalise(z2)
        old = _visited(self.log_u, ids, a)
        known = ids is not None and self.tau is not None
        if ids is None or self.tau is None:
            tau = torch.full_like(a[:, 0], self.temperature)
        else:
            tau = self.tau[ids].to(a.dtype)
        sides = [side(a, b, tau, ids, slope=True), side(b, a, tau, ids, slope=True)]
        news = [s.update(old, self.gamma, relative=True) for s in sides]
        values = [surrogate(s, u, relative=True) + tau * self.rho for s, u in zip(sides, news, strict=True)]
        if self.training:
            _store(self.log_u, ids, news)
            if known:
                slopes = [s.temperature_slope(u, self.rho) for s, u in zip(sides, news, strict=True)]
                descend(self.tau, self.velocity, ids, slopes, self.momentum, self.rate, (self.low, self.high))
        return (values[0] + values[1]) / 2, sides[0].valid


class TempNet(Stateful, Objective):
    r"""SogCLR with a temperature predicted from the sample, so that it extends to new things.

    x' = sigmoid(W x), p = x' R^T over M₀ unit prototypes, w = softmax(p / κ) - 1 / M₀, τ(x) = low + (high - low)
    sigmoid(<a, w sigmoid(p)> + b). The encoder gets the gradient of :class:`SogCLR` with τ fixed; the network that of
    mean_i sg(log u_i + ρ - mean_j w_ij h_ij / τ_i) τ(x_i), its features detached. Both are in one sum whose value is F.
    Defaults are for one modality; the authors' two-modality runs take low 0.01, high 0.05 and ρ from 6 to 8.
    Qiu et al., To Cool or not to Cool? (ICML 2024).

    Args:
        prototypes: M₀.
        low: least τ.
        high: largest τ.
        rho: ρ.
        gamma: γ in (0, 1].
        kappa: κ at the start; learned.
        dropout: on x'.
    """

    kind = "pair"
    detached = True
    remembers = True
    reference = "Qiu et al., ICML 2024"
    reduces = ("SogCLR plus τ ρ with a network of one value and gamma=1",)
    slots = {**SogCLR.slots, "temperature": "a network of the sample"}
    log_u: Tensor | None

    def __init__(
        self,
        prototypes: int = 256,
        low: float = 0.01,
        high: float = 0.5,
        rho: float = 0.5,
        gamma: float = 0.9,
        kappa: float = 0.01,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 < low < high:
            raise ValueError(f"0 < low < high must hold, got {low}, {high}.")
        if not 0 < gamma <= 1 or prototypes < 1 or kappa <= 0:
            given = f"{gamma}, {prototypes}, {kappa}"
            raise ValueError(f"gamma in (0, 1], prototypes >= 1, kappa > 0 must hold, got {given}.")
        self.count, self.low, self.high, self.rho, self.gamma = prototypes, low, high, rho, gamma
        self.kappa = nn.Parameter(torch.tensor(kappa))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("log_u", None)
        self.mixer: nn.Linear | None = None

    def allocate(self, num_ids: int, dim: int) -> None:
        """The network for rows of width ``dim``, and log u of every id."""
        self.log_u = torch.full((num_ids,), -torch.inf)
        self.mixer, self.head = nn.Linear(dim, dim), nn.Linear(self.count, 1)
        self.prototypes = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.count, dim)))

    def temperatures(self, z: Tensor) -> Tensor:
        """τ of every row [B], strictly between low and high."""
        if self.mixer is None:
            raise RuntimeError("TempNet has no weights yet: call objective.build(num_ids, dim) first.")
        mixed = self.dropout(torch.sigmoid(self.mixer(z.detach())))
        near = mixed @ normalise(self.prototypes).T
        weights = (near / self.kappa.clamp_min(1e-3)).softmax(1) - 1 / self.count
        return self.low + (self.high - self.low) * torch.sigmoid(self.head(weights * torch.sigmoid(near))[:, 0])

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """F of every row [B], the mean of both views' anchors."""
        a, b = normalise(z1), normalise(z2)
        old, total, news = _visited(self.log_u, ids, a), torch.zeros_like(a[:, 0]), list[Tensor]()
        for anchor, other in ((a, b), (b, a)):
            tau = self.temperatures(anchor)
            one: Side = side(anchor, other, tau.detach(), ids, slope=True)
            new = one.update(old, self.gamma, relative=True)
            pull = one.temperature_slope(new, self.rho) * (tau - tau.detach())
            total = total + (surrogate(one, new, relative=True) + tau.detach() * self.rho + pull) / 2
            news.append(new)
        if self.training:
            _store(self.log_u, ids, news)
        return total, one.valid


def _visited(table: Tensor | None, ids: Tensor | None, like: Tensor) -> Tensor | None:
    """log u of the ids, or None where nothing is kept."""
    if table is None or ids is None:
        return None
    expect_places("ids", ids, len(table), BUILT)
    return table[ids].to(like.dtype)


def _store(table: Tensor | None, ids: Tensor | None, news: list[Tensor]) -> None:
    """Write the mean of both sides' u; of rows of one id the largest."""
    if table is None or ids is None:
        return
    mean = (torch.logaddexp(*news) - torch.log(news[0].new_tensor(2.0))).to(table.dtype)
    best = torch.full_like(table, -torch.inf).scatter_reduce(0, ids, mean, "amax")
    table.copy_(torch.where(best > -torch.inf, best, table))

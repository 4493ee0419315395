"""What vectors and scores look like: functions of tensors that change nothing and return numbers.

``z`` [n, d] are raw rows; ẑ are rows divided by their L2 norm (rows of zeros stay zero). Sampling takes a ``generator``
(None: a fixed one, so that a figure does not depend on what ran before). Everything runs without gradient.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

CHUNK = 1024


# --- alignment and uniformity ---------------------------------------------------------------------------------------


@torch.no_grad()
def alignment(x: Tensor, y: Tensor, alpha: float = 2.0) -> float:
    """Mean of ‖x̂ᵢ − ŷᵢ‖^alpha over positive pairs, rows of ``x`` and ``y`` [n, d] (Wang and Isola, 2020).

    0 where every pair coincides; for alpha = 2 it is 2 − 2 mean cosine.
    """
    return float((_unit(x) - _unit(y)).norm(dim=1).pow(alpha).mean())


@torch.no_grad()
def uniformity(z: Tensor, t: float = 2.0, *, rows: int = 4096, generator: torch.Generator | None = None) -> float:
    """log of the mean of exp(−t ‖ẑᵢ − ẑⱼ‖²) over distinct pairs (Wang and Isola, 2020); lower is more uniform.

    Of more than ``rows`` rows a sample of ``rows`` is taken. Two groups set apart (users and items) look less uniform
    together than each is: report them apart. Fewer than two rows have no pair: the value is 0, as if all coincided.
    """
    unit = _unit(_sample(z, rows, generator)).float()
    n = len(unit)
    if n < 2:
        return 0.0
    total, square = torch.zeros((), dtype=torch.float64, device=z.device), (unit * unit).sum(1)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        apart = (square[part, None] + square - 2 * (unit[part] @ unit.T)).clamp(min=0)
        kernel = torch.exp(-t * apart).double()
        total += kernel.sum() - kernel.diagonal(start).sum()
    return math.log(float(total) / (n * (n - 1)))


def uniformity_floor(dim: int, t: float = 2.0) -> float:
    """Uniformity of the uniform distribution on the sphere in ``dim`` dimensions: −2t + log ₀F₁(; dim / 2; t²)."""
    term, total, j = 1.0, 1.0, 0
    while term > 1e-17 * total:
        term *= t * t / ((dim / 2 + j) * (j + 1))
        total += term
        j += 1
    return -2 * t + math.log(total)


def uniformity_gap(z: Tensor, t: float = 2.0, *, rows: int = 4096, generator: torch.Generator | None = None) -> float:
    """:func:`uniformity` minus :func:`uniformity_floor`: about 0 for uniform rows, 2t + log floor for one point."""
    return uniformity(z, t, rows=rows, generator=generator) - uniformity_floor(z.shape[1], t)


@torch.no_grad()
def tolerance(z: Tensor, labels: Tensor) -> float:
    """Mean cosine of distinct rows with equal labels [n] (Wang and Liu, 2021).

    By class sums, exactly: Σ_c (‖Σ_{i in c} ẑᵢ‖² − Σ_{i in c} ‖ẑᵢ‖²) / Σ_c n_c (n_c − 1). 0 where no two labels are
    equal.
    """
    unit = _unit(z).double()
    _, group = labels.unique(return_inverse=True)
    size = torch.bincount(group).double()
    sums = torch.zeros(len(size), z.shape[1], dtype=torch.float64, device=z.device).index_add_(0, group, unit)
    pairs = float((size * (size - 1)).sum())
    return float(sums.square().sum() - unit.square().sum()) / pairs if pairs else 0.0


# --- spectrum -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def spectrum(z: Tensor, *, centred: bool = False) -> Tensor:
    """Eigenvalues λ of zᵀz, or of its covariance (rows centred, over n), descending, [d] float64.

    The singular values of ``z`` are √λ. Computed from the d x d matrix in float64.
    """
    rows = z.double()
    if centred:
        rows = rows - rows.mean(0)
    gram = rows.T @ rows / (len(rows) if centred else 1)
    return torch.linalg.eigvalsh(gram).clamp(min=0).flip(0)


@torch.no_grad()
def effective_rank(z: Tensor, *, centred: bool = False) -> float:
    """exp of the entropy of p_k = σ_k / Σσ + 1e-7, σ the singular values (RankMe; Garrido et al., 2023).

    Between 1 and d. Needs many more rows than columns to say something about the columns. 0 for a zero matrix.
    """
    sigma = spectrum(z, centred=centred).sqrt()
    if not bool(sigma.sum() > 0):
        return 0.0
    p = sigma / sigma.sum() + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


@torch.no_grad()
def participation_ratio(z: Tensor, *, centred: bool = False) -> float:
    """(Σλ)² / Σλ² of :func:`spectrum`: how many directions share the energy, 1 to d. 0 for a zero matrix."""
    values = spectrum(z, centred=centred)
    square = float(values.square().sum())
    return float(values.sum()) ** 2 / square if square else 0.0


@torch.no_grad()
def stable_rank(z: Tensor, *, centred: bool = False) -> float:
    """‖z‖²_F / λ_max: 1 to the rank of ``z``. 0 for a zero matrix."""
    values = spectrum(z, centred=centred)
    return float(values.sum() / values[0]) if float(values[0]) else 0.0


@dataclass(frozen=True)
class PowerLaw:
    """A fitted decay λ_j ∝ j^(−alpha), and the share of variance of log λ that it explains."""

    alpha: float
    r2: float


@torch.no_grad()
def alpha_req(z: Tensor, first: int = 3, last: int | None = None) -> PowerLaw:
    """Decay of the covariance spectrum: slope of log λ_j = c − alpha log j, j in first .. last (Agrawal et al., 2022).

    ``last`` is d / 2 by default. About 1 is healthy; much above 1, few directions carry all; below 1, a noisy tail.
    Eigenvalues of 0 are left out; with fewer than two left, both numbers are 0.
    """
    values = spectrum(z, centred=True)
    chosen = values[first - 1 : max(z.shape[1] // 2 if last is None else last, first + 1)]
    j = torch.arange(first, first + len(chosen), dtype=torch.float64, device=z.device)
    kept = chosen > 1e-14 * values[0]
    if int(kept.sum()) < 2:
        return PowerLaw(0.0, 0.0)
    x, y = j[kept].log(), chosen[kept].log()
    x, y = x - x.mean(), y - y.mean()
    slope = (x * y).sum() / (x * x).sum()
    rest = (y - slope * x).square().sum()
    spread = y.square().sum()
    return PowerLaw(float(-slope), float(1 - rest / spread) if bool(spread > 0) else 1.0)


@dataclass(frozen=True)
class Collapse:
    """``mean_cosine`` of distinct rows (1: all rows point one way); ``lost`` directions, whose singular value is below
    1e-3 of the largest (centred); ``deviation``: mean standard deviation of a column of ẑ over 1/√d (0: collapsed)."""

    mean_cosine: float
    lost: int
    deviation: float


@torch.no_grad()
def collapse(z: Tensor) -> Collapse:
    """Complete and dimensional collapse; mean cosine by the row sum, (‖Σẑ‖² − Σ‖ẑᵢ‖²) / (n (n − 1)), exactly."""
    unit = _unit(z).double()
    n = len(unit)
    cosine = float(unit.sum(0).square().sum() - unit.square().sum()) / max(n * (n - 1), 1)
    sigma = spectrum(z, centred=True).sqrt()
    lost = int((sigma <= 1e-3 * sigma[0]).sum())
    deviation = float(unit.std(0, correction=0).mean()) * math.sqrt(z.shape[1])
    return Collapse(cosine, lost, deviation)


# --- popularity and exposure ----------------------------------------------------------------------------------------


@torch.no_grad()
def spearman(x: Tensor, y: Tensor) -> float:
    """Pearson correlation of the average ranks of ``x`` and ``y`` [n]; 0 where one of them is constant."""
    a, b = average_ranks(x), average_ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a.square().sum()) * float(b.square().sum()))
    return float((a * b).sum()) / scale if scale else 0.0


def popularity_correlation(z: Tensor, degree: Tensor) -> float:
    """Spearman correlation of the log degree [n] with the norm ‖zᵢ‖ (ranks of log degree are ranks of degree)."""
    return spearman(degree, z.detach().norm(dim=1))


@dataclass(frozen=True)
class Exposure:
    """How lists share the catalogue: share of items listed at all; Gini coefficient of the counts over all items
    (0 even, towards 1 one item); entropy of the shares in nats (log num_items when even)."""

    coverage: float
    gini: float
    entropy: float


@torch.no_grad()
def exposure(items: Tensor, num_items: int) -> Exposure:
    """Exposure of the catalogue in lists ``items`` [n, K]; negative entries are empty places.

    Gini = Σ_i (2i − I − 1) c_i / (I Σ c), c ascending over the whole catalogue of I items, those never listed too.
    """
    counts = torch.bincount(items[items >= 0], minlength=num_items).double().sort().values
    total = float(counts.sum())
    if not total:
        return Exposure(0.0, 0.0, 0.0)
    place = torch.arange(1, num_items + 1, dtype=torch.float64, device=items.device)
    gini = float(((2 * place - num_items - 1) * counts).sum()) / (num_items * total)
    share = counts[counts > 0] / total
    return Exposure(len(share) / num_items, gini, float(-(share * share.log()).sum()))


# --- scores ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreOverlap:
    """Histograms [bins] of scores of positives and negatives (each sums to its number), bin ``edges`` [bins + 1],
    ``overlap`` = Σ min of the two as shares (1: not told apart), ``d_prime`` = (μ⁺ − μ⁻) / √((σ⁺² + σ⁻²) / 2)."""

    positive: Tensor
    negative: Tensor
    edges: Tensor
    overlap: float
    d_prime: float


@torch.no_grad()
def score_overlap(
    positive: Tensor, negative: Tensor, *, bins: int = 200, low: float = -1.0, high: float = 1.0
) -> ScoreOverlap:
    """How far scores of positives and of negatives lie apart; scores outside [low, high] count in the outer bins.

    Histograms of chunks of scores add up. d′ is 0 where all scores are equal, and of the sign of the difference times
    infinity where each group is constant but they differ.
    """
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    hist = [torch.histc(s.flatten().double().clamp(low, high).cpu(), bins, low, high) for s in (positive, negative)]
    overlap = float(torch.minimum(hist[0] / hist[0].sum(), hist[1] / hist[1].sum()).sum())
    apart = float(positive.double().mean() - negative.double().mean())
    spread = math.sqrt(float(_variance(positive) + _variance(negative)) / 2)
    d_prime = apart / spread if spread else math.copysign(math.inf, apart) if apart else 0.0
    return ScoreOverlap(hist[0], hist[1], edges, overlap, d_prime)


@torch.no_grad()
def auc(positive: Tensor, negative: Tensor) -> float:
    """P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) over all pairs of a positive and a negative score, exactly, by average ranks."""
    n, m = positive.numel(), negative.numel()
    ranks = average_ranks(torch.cat([positive.flatten(), negative.flatten()]))
    return (float(ranks[:n].sum()) - n * (n + 1) / 2) / (n * m)


@torch.no_grad()
def average_ranks(x: Tensor) -> Tensor:
    """Ranks of ``x`` [n] from 1, float64; equal values share the mean of their ranks."""
    _, group, count = x.unique(return_inverse=True, return_counts=True)
    last = torch.cumsum(count, 0).double()
    return (last - (count - 1) / 2)[group]


# --- neighbourhoods -------------------------------------------------------------------------------------------------


@torch.no_grad()
def neighbours(z: Tensor, k: int) -> Tensor:
    """The k rows of highest cosine to each row, itself excluded, [n, k], 1 <= k < n; by chunks of rows."""
    if not 1 <= k < len(z):
        raise ValueError(f"k must be from 1 to one less than the {len(z)} rows, got {k}.")
    unit = _unit(z)
    found = []
    for start in range(0, len(z), CHUNK):
        cosine = unit[start : start + CHUNK] @ unit.T
        cosine.diagonal(start).fill_(-math.inf)
        found.append(cosine.topk(k).indices)
    return torch.cat(found)


@torch.no_grad()
def neighbourhood_preservation(a: Tensor, b: Tensor, k: int = 20) -> float:
    """Mean Jaccard index of the k nearest neighbours of every row in ``a`` [n, d] and in ``b`` [n, d'] (the same n
    things at two epochs or in two views): 1 where all neighbourhoods agree, about k / (2n) by chance."""
    total = 0.0
    for x, y in zip(neighbours(a, k).split(CHUNK), neighbours(b, k).split(CHUNK), strict=True):
        both = (x.unsqueeze(2) == y.unsqueeze(1)).sum((1, 2)).double()
        total += float((both / (2 * k - both)).sum())
    return total / len(a)


def _unit(z: Tensor) -> Tensor:
    return normalize(z.detach(), dim=1)


def _variance(x: Tensor) -> Tensor:
    return x.double().var(correction=0)


def _sample(z: Tensor, rows: int, generator: torch.Generator | None) -> Tensor:
    """At most ``rows`` rows, drawn without replacement on the generator's device."""
    if len(z) <= rows:
        return z.detach()
    source = torch.Generator().manual_seed(0) if generator is None else generator
    chosen = torch.randperm(len(z), generator=source, device=source.device)[:rows]
    return z.detach().index_select(0, chosen.to(z.device))

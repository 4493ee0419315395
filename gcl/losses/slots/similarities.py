"""Similarities: larger is closer. Each is an inner product of features, maybe followed by a function of one number."""

import math
from abc import ABC
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.errors import InputError
from gcl.losses.base import Stateful
from gcl.losses.functional.numerics import common_centre, normalise
from gcl.losses.slots.resolve import resolve

LEAST_DISTANCE = 1e-6
"""Below this distance a power of it has no gradient: that of a root is singular at zero."""


def power_of_square(square: Tensor, power: float) -> Tensor:
    """max(square, 0)^power, exact, with a gradient where the root of ``square`` is above :data:`LEAST_DISTANCE`."""
    smooth = square.clamp_min(LEAST_DISTANCE**2) ** power
    return smooth + (square.detach().clamp_min(0.0) ** power - smooth.detach())


class Similarity(Recorded, nn.Module, ABC):
    """s(a, c) = transform(<left(a), right(c)>).

    The split lets a matrix of similarities be made tile by tile. Where ``transform`` changes nothing
    (``linear = True``) log-sum-exp has a closed-form streamed gradient.
    """

    linear: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    """Whether values stay in [-1, 1], where they are cosines of angles that a margin may turn."""

    @property
    def symmetric(self) -> bool:
        """Whether anchors and candidates have the same features."""
        return type(self).right is Similarity.right

    def centred(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The rows, moved together to where features lose the fewest digits; no similarity of theirs changes."""
        return a, c

    def left(self, a: Tensor) -> Tensor:
        """Features of anchors, [B, d] -> [B, e]."""
        return a

    def right(self, c: Tensor) -> Tensor:
        """Features of candidates, [n, d] -> [n, e]."""
        return self.left(c)

    def transform(self, inner: Tensor) -> Tensor:
        """Elementwise map from inner products to similarities; closes over numbers only."""
        return inner

    def pair(self, a: Tensor, c: Tensor) -> Tensor:
        """Similarities of aligned rows, [B]."""
        return self.transform((self.left(a) * self.right(c)).sum(-1))

    def matrix(self, a: Tensor, c: Tensor) -> Tensor:
        """Similarities of all rows, [B, n]."""
        a, c = self.centred(a, c)
        return self.transform(self.left(a) @ self.right(c).T)


class Cosine(Similarity):
    """<a, c> / (||a|| ||c||); a zero row is similar to nothing."""

    bounded = True

    def left(self, a: Tensor) -> Tensor:
        """Unit rows."""
        return normalise(a)


class Dot(Similarity):
    """<a, c>."""


class SquareEuclidean(Similarity):
    """-||a - c||²; on unit rows 2 cos - 2. ``unit``: rows are normalised first."""

    def __init__(self, unit: bool = False) -> None:
        super().__init__()
        self.unit = unit

    def centred(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Less their common mean, unless they are brought to the sphere."""
        return (a, c) if self.unit else common_centre(a, c)

    def left(self, a: Tensor) -> Tensor:
        """[2a, -||a||², -1]."""
        a = normalise(a) if self.unit else a
        square = a.square().sum(-1, keepdim=True)
        return torch.cat([2 * a, -square, -torch.ones_like(square)], -1)

    def right(self, c: Tensor) -> Tensor:
        """[c, 1, ||c||²]."""
        c = normalise(c) if self.unit else c
        square = c.square().sum(-1, keepdim=True)
        return torch.cat([c, torch.ones_like(square), square], -1)

    def pair(self, a: Tensor, c: Tensor) -> Tensor:
        """Of aligned rows, by differences: exact for rows close to each other."""
        if self.unit:
            a, c = normalise(a), normalise(c)
        return self.transform(-(a - c).square().sum(-1))


class PowerKernel(SquareEuclidean):
    """-||a - c||^gamma: 2 Gaussian, 1 Laplacian, 0.5 sharper. Rows are normalised unless ``unit=False``."""

    linear = False

    def __init__(self, gamma: float = 1.0, unit: bool = True) -> None:
        super().__init__(unit)
        if not 0 < gamma <= 2:
            raise ValueError(f"gamma must be in (0, 2], got {gamma}.")
        self.gamma = gamma

    def transform(self, inner: Tensor) -> Tensor:
        """-(squared distance)^(gamma / 2)."""
        return -power_of_square(-inner, self.gamma / 2)


class Euclidean(PowerKernel):
    """-||a - c||."""

    def __init__(self, unit: bool = False) -> None:
        super().__init__(1.0, unit)


class StudentT(SquareEuclidean):
    """-df / 2 log(1 + ||a - c||² / gamma²): with temperature 1, logits of a Student-t neighbourhood (df 2: t-SNE)."""

    linear = False

    def __init__(self, df: float = 2.0, gamma: float = 1.0, unit: bool = False) -> None:
        super().__init__(unit)
        if df <= 0 or gamma <= 0:
            raise ValueError(f"df and gamma must be positive, got {df}, {gamma}.")
        self.df, self.gamma = df, gamma

    def transform(self, inner: Tensor) -> Tensor:
        """-df / 2 log(1 + squared distance / gamma²)."""
        return -self.df / 2 * torch.log1p((-inner).clamp_min(0.0) / self.gamma**2)


class Angular(Cosine):
    """-angle(a, c) / pi, in [-1, 0]."""

    linear = False

    def transform(self, inner: Tensor) -> Tensor:
        """-arccos / pi, its argument kept where the derivative is finite."""
        edge = 1 - 10 * torch.finfo(inner.dtype).eps
        return -torch.arccos(inner.clamp(-edge, edge)) / torch.pi


class Bilinear(Stateful, Similarity):
    """aᵀ W c with a learnable W [d, d], the identity at first; allocated by ``Objective.build``."""

    weight: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("weight", None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """W = I."""
        self.weight = nn.Parameter(torch.eye(dim))

    def left(self, a: Tensor) -> Tensor:
        """a W."""
        if self.weight is None:
            raise RuntimeError("Bilinear has no weights yet: call objective.build(num_ids, dim) first.")
        return a @ self.weight

    def right(self, c: Tensor) -> Tensor:
        """c."""
        return c


class Shifted(Cosine):
    """Cosine of rows that are normalised, shifted by -center and normalised again. Mean-shifted contrast (2021).

    ``center`` [d]: the mean of the unit training rows of the initial encoder, a constant.
    """

    center: Tensor

    def __init__(self, center: Any) -> None:
        super().__init__()
        self.register_buffer("center", torch.as_tensor(center, dtype=torch.get_default_dtype()))

    def left(self, a: Tensor) -> Tensor:
        """normalise(normalise(a) - center)."""
        return normalise(normalise(a) - self.center)


class Clusters(Similarity):
    """log Σ_k π(k|a) π(k|c) / Σ_c' π(k|c'), π the softmax of the rows: a candidate's chance through the row's cluster.

    With temperature 1 its softmax over all candidates is itself. Candidates are seen whole, so it is for one batch.
    """

    linear = False

    def left(self, a: Tensor) -> Tensor:
        """Cluster probabilities."""
        return a.softmax(-1)

    def right(self, c: Tensor) -> Tensor:
        """Probabilities over the candidates of every cluster."""
        chances = c.softmax(-1)
        return chances / chances.sum(0)

    def transform(self, inner: Tensor) -> Tensor:
        """log."""
        return inner.clamp_min(torch.finfo(inner.dtype).tiny).log()


class Bits(Similarity):
    """Expected share of equal bits: mean_k [ p_k q_k + (1 - p_k)(1 - q_k) ], p = sigmoid of the rows; in [0, 1].

    On saturated rows (1 + cos of the signs) / 2; at rows of zeros 1/2.
    """

    bounded = True

    def left(self, a: Tensor) -> Tensor:
        """[p, 1 - p] / sqrt k."""
        return torch.cat([torch.sigmoid(a), torch.sigmoid(-a)], -1) / a.shape[-1] ** 0.5


class MixedKernel(SquareEuclidean):
    """log(share exp(-r^gamma / tau) + (1 - share) exp(-r² / tau)), r the distance of unit rows: with temperature 1."""

    linear = False

    def __init__(self, gamma: float = 1.0, share: float = 0.5, tau: float = 0.2) -> None:
        super().__init__(unit=True)
        if not (0 < gamma <= 2 and 0 < share < 1 and tau > 0):
            raise ValueError(f"gamma in (0, 2], share in (0, 1), tau > 0 must hold, got {gamma}, {share}, {tau}.")
        self.gamma, self.share, self.tau = gamma, share, tau

    def transform(self, inner: Tensor) -> Tensor:
        """By log-sum-exp of the two."""
        sharp, wide = -power_of_square(-inner, self.gamma / 2) / self.tau, inner.clamp_max(0.0) / self.tau
        return torch.logaddexp(sharp + math.log(self.share), wide + math.log1p(-self.share))


SIMILARITIES: dict[str, Callable[..., Similarity]] = {
    "cosine": Cosine,
    "dot": Dot,
    "square_euclidean": SquareEuclidean,
    "euclidean": Euclidean,
    "power": PowerKernel,
    "student": StudentT,
    "angular": Angular,
    "bilinear": Bilinear,
    "shifted": Shifted,
    "clusters": Clusters,
    "bits": Bits,
    "mixed": MixedKernel,
}

SimilarityLike = str | Similarity | dict[str, Any]


def similarity_of(value: SimilarityLike) -> Similarity:
    """The similarity that a name, mapping or instance means."""
    return resolve("similarity", value, Similarity, SIMILARITIES)


P = TypeVar("P", bound=nn.Module)


def fitting(slot: str, part: P, similarity: Similarity) -> P:
    """The margin or weighting, if it can be taken with such similarities.

    Raises:
        InputError: if it turns angles and the similarity is no cosine.
    """
    if getattr(part, "angular", False) and not similarity.bounded:
        raise InputError(
            f"{slot} {type(part).__name__} turns the angle whose cosine the similarity is, so similarity must stay in "
            f"[-1, 1], got {type(similarity).__name__}. Take similarity='cosine', or a {slot} without angles; a "
            f"similarity of your own that stays there says bounded = True."
        )
    return part

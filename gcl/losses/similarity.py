"""Contrast in another geometry: kernels of distances, shifted spheres, bits."""

import copy
from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.contrast import Contrast
from gcl.losses.functional.negatives import identities
from gcl.losses.functional.numerics import normalise
from gcl.losses.functional.streaming import by_rows
from gcl.losses.moments import BarlowTwins
from gcl.losses.slots.similarities import MixedKernel, PowerKernel, Shifted, SimilarityLike
from gcl.losses.slots.temperatures import TemperatureLike, positive_temperature

__all__ = ["HashContrast", "KernelInfoNCE", "MCLRecRegulariser", "MeanShifted"]


class KernelInfoNCE(Objective):
    r""":class:`NTXent` with the logits -||a - b||^γ / τ of unit rows: γ = 2 Gaussian, 1 Laplacian, 0.5 sharper.

    γ = 2 is :class:`NTXent` at τ / 2. Mixtures with the Gaussian: ``loss`` λ L_γ + (1 - λ) L_2 (the authors' code),
    ``kernel`` λ K_γ + (1 - λ) K_2 inside the logarithm (their text), ``concat`` one kernel on each half of the
    coordinates, losses mixed. Heavier tails forgive false negatives.
    Tan et al., Contrastive Learning Is Spectral Clustering On Similarity Graph (ICLR 2024).

    Args:
        temperature: τ > 0, or ``learnable`` (each of two losses learns its own); with ``mix="kernel"`` a number.
        gamma: γ in (0, 2].
        mix: ``none``, ``loss``, ``kernel`` or ``concat``.
        share: λ in (0, 1).
    """

    kind = "pair"
    extra = True
    reference = "Tan et al., ICLR 2024"
    reduces = (
        "NTXent at half the temperature with gamma=2",
        "one kernel alone with share=0 or 1 and mix=loss",
    )

    def __init__(
        self,
        temperature: TemperatureLike = 0.2,
        gamma: float = 1.0,
        mix: Literal["none", "loss", "kernel", "concat"] = "none",
        share: float = 0.5,
    ) -> None:
        super().__init__()
        if mix not in ("none", "loss", "kernel", "concat"):
            raise ValueError(f"mix must be none, loss, kernel or concat, got {mix!r}.")
        if not 0 <= share <= 1:
            raise ValueError(f"share must be in [0, 1], got {share}.")
        self.mix, self.share = mix, share
        if mix == "kernel":
            if not isinstance(temperature, int | float):
                raise ValueError(
                    f"temperature must be a number with mix='kernel', which has it inside both kernels, got "
                    f"{temperature!r}. Take a number, or mix='loss'."
                )
            self.first = _layout(MixedKernel(gamma, share, temperature), 1.0)
        else:
            self.first = _layout(PowerKernel(gamma), temperature)
        # Its own temperature: a scheduled one would move twice a call.
        self.second = _layout(PowerKernel(2.0), copy.deepcopy(temperature)) if mix in ("loss", "concat") else None

    def describe(self) -> dict[str, str]:
        """The slots of the first kernel, and the mixture."""
        words = self.first.describe()
        return words if self.mix in ("none", "kernel") else {**words, "mixture": f"{self.mix}, share {self.share:g}"}

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        if self.second is None:
            return self.first.compute(z1, z2, ids)
        half = z1.shape[1] // 2 if self.mix == "concat" else 0
        left = (z1[:, :half], z2[:, :half]) if half else (z1, z2)
        sharp, _ = self.first.compute(*left, ids)
        wide, _ = self.second.compute(z1[:, half:], z2[:, half:], ids)
        return self.share * sharp + (1 - self.share) * wide, None


def _layout(similarity: SimilarityLike, temperature: TemperatureLike) -> Contrast:
    """The layout of NTXent: both views' rows are anchors, with negatives of both."""
    return Contrast(similarity=similarity, temperature=temperature, negatives="both", forward=0.5)


class MeanShifted(Stateful, Objective):
    r"""Contrast around the centre of the data: :class:`NTXent` of norm(norm(z) - c).

    c [d] is the mean of the unit training rows of the initial encoder, a constant: 0 after ``build`` (then it is
    :class:`NTXent`), set by :meth:`set_center`. ``angular`` adds the mean over both views of ||norm(z) - c||², which
    keeps rows near c. A row at the centre stays finite. Reiss & Hoshen, Mean-Shifted Contrastive Loss (AAAI 2023).

    Args:
        temperature: τ > 0.
        angular: add the distance to the centre.
    """

    kind = "pair"
    extra = True
    reference = "Reiss & Hoshen, AAAI 2023"
    reduces = ("NTXent with a centre of 0, angular=False",)

    def __init__(self, temperature: float = 0.25, angular: bool = False) -> None:
        super().__init__()
        self.angular = angular
        self.contrast = _layout(Shifted([0.0]), temperature)

    def describe(self) -> dict[str, str]:
        """The slots, and the penalty."""
        words = {**self.contrast.describe(), "similarity": "Shifted(center)"}
        return {**words, "regulariser": "distance to the centre"} if self.angular else words

    def allocate(self, num_ids: int, dim: int) -> None:
        """A centre of 0."""
        self._centre().center = torch.zeros(dim)

    def set_center(self, rows: Tensor) -> None:
        """Take the mean of the unit rows [n, d] as the centre, on the sphere where ``angular``."""
        centre = normalise(rows.detach()).mean(0)
        self._centre().center = normalise(centre) if self.angular else centre

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        values, valid = self.contrast.compute(z1, z2, ids)
        if not self.angular:
            return values, valid
        sides = [(normalise(z) - self._centre().center).square().sum(1) for z in (z1, z2[: len(z1)])]
        return values + (sides[0] + sides[1]) / 2, valid

    def _centre(self) -> Shifted:
        assert isinstance(self.contrast.similarity, Shifted)
        return self.contrast.similarity


class HashContrast(Objective):
    r"""Two-way InfoNCE of expected bit agreement, for codes of k bits.

    s_ij = mean_b [ p_ib q_jb + (1 - p_ib)(1 - q_jb) ], p = sigmoid(z): the share of bits that agree. Added are
    ``balance`` * mean_b (mean_i p_ib - ½)², ``quantise`` * mean (|tanh z| - 1)² and ``decorrelate`` * Barlow Twins of
    tanh z, averaged over views. Saturated rows: s = (1 + cos of the signs) / 2. The papers' similarity of spans and
    rule of selection could not be reached: this is the agreement they are built on.
    Structured and contrastive hashing (2022-2024).

    Args:
        temperature: τ > 0.
        balance: weight of even bits.
        quantise: weight of saturated bits.
        decorrelate: weight of independent bits.
    """

    kind = "pair"
    reference = "contrastive hashing, 2022"
    reduces = ("CLIPLoss of a fixed temperature on (1 + cos) / 2 where bits are saturated and regularisers 0",)

    def __init__(
        self, temperature: float = 0.1, balance: float = 0.1, quantise: float = 0.1, decorrelate: float = 0.0
    ) -> None:
        super().__init__()
        self.contrast = Contrast(similarity="bits", temperature=temperature, forward=0.5)
        self.balance, self.quantise, self.decorrelate = balance, quantise, decorrelate

    def describe(self) -> dict[str, str]:
        """The slots of the contrast, and the regularisers."""
        words = f"balance {self.balance:g}, quantise {self.quantise:g}, decorrelate {self.decorrelate:g}"
        return {**self.contrast.describe(), "regulariser": words}

    def regularisers(self, z1: Tensor, z2: Tensor) -> Tensor:
        """The weighted sum of the three, a scalar."""
        total = z1.new_zeros(())
        for z in (z1, z2):
            total = total + self.balance * (torch.sigmoid(z).mean(0) - 0.5).square().mean() / 2
            total = total + self.quantise * (torch.tanh(z).abs() - 1).square().mean() / 2
        if self.decorrelate:
            total = total + self.decorrelate * BarlowTwins().compute(torch.tanh(z1), torch.tanh(z2))[0].sum()
        return total

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row plus the regularisers, which are of the batch, [B]."""
        values, valid = self.contrast.compute(z1, z2, ids)
        return values + self.regularisers(z1, z2), valid


class MCLRecRegulariser(Objective):
    r"""Against views that are too easy: positives above the hardest negative are held back.

    On :class:`NTXent`'s logits, g+ = min(p_i, max_j n_ij), g- = max(p_i, max_j n_ij): mean_i max(0, p_i - g+) + mean_ij
    max(0, g- - n_ij). To be added, with a weight of 0.1, when learnable augmenters are trained; the sign is intended.
    All rows equal: 0. Rows without negatives do not count. Qin et al., MCLRec (SIGIR 2023); dot products, τ = 1.

    Args:
        temperature: τ > 0.
    """

    kind = "pair"
    reference = "Qin et al., SIGIR 2023"
    reduces = ("0 where all rows are equal",)
    slots = {
        "similarity": "Dot()",
        "positives": "aligned rows",
        "negatives": "rows of both views",
        "margin": "the hardest negative",
        "kernel": "Pointwise(phi='hinge')",
        "views": "both directions",
    }

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = positive_temperature(temperature)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Mean over both views' rows of a thing [B]."""
        own, _ = identities(ids, len(z1), len(z1), z1.device)
        key, total = own.repeat(2), torch.zeros_like(z1[:, 0])
        for anchor, other in ((z1, z2), (z2, z1)):
            positive = (anchor * other).sum(1) / self.temperature
            rows, columns = (anchor / self.temperature, own), (torch.cat([z1, z2]), key)
            out = by_rows(_hardest_and_mean, rows, columns, columns=len(key))
            held = out[:, 0] > -torch.inf
            hardest, mean = out[:, 0].masked_fill(~held, 0.0), out[:, 1]
            gap = (positive - hardest).clamp_min(0.0) + torch.maximum(positive, hardest) - mean
            total = total + gap.masked_fill(~held, 0.0) / 2
        return total, held


def _hardest_and_mean(a: Tensor, i: Tensor, c: Tensor, j: Tensor) -> Tensor:
    """Largest and mean inner product with rows of another id, [R, 2]."""
    s, hidden = a @ c.T, i[:, None] == j
    mean = s.masked_fill(hidden, 0.0).sum(1) / (~hidden).sum(1).clamp_min(1)
    return torch.stack([s.masked_fill(hidden, -torch.inf).amax(1), mean], 1)

"""Objectives that hold every pair against a bound."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows
from gcl.losses.contrast import Contrast, PairPipeline
from gcl.losses.functional.negatives import Entries, negative_partition
from gcl.losses.functional.numerics import normalise, softplus
from gcl.losses.slots.kernels import PairRank, Pointwise
from gcl.losses.slots.similarities import SimilarityLike
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["JSD", "EnergyHinge", "MarginContrastive", "SigLIP"]


def _summed_softplus(logits: Tensor, goal: Tensor) -> Tensor:
    return softplus(logits).sum(1)


class SigLIP(Objective):
    r"""Pairwise sigmoid: -(1/B) Σ_ij log sigmoid(y_ij (k s_ij + b)), y = +1 for aligned rows, -1 for others.

    k = exp(t) and b are learned, from k = 10 and b = -10, so that a batch of mostly negatives starts near its prior. No
    row couples with another: batches of any size are streamed, and further rows of z2 only add terms.
    Zhai et al., Sigmoid Loss for Language Image Pre-Training (ICCV 2023).

    Args:
        scale: k at the start.
        bias: b at the start.
        learn: whether k and b are parameters.
    """

    kind = "pair"
    extra = True
    reference = "Zhai et al., ICCV 2023"
    reduces = ("JSD with bce=True of k s + b, negatives summed",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows",
        "negatives": "rows of the other view",
        "temperature": "1 / k, learned",
        "margin": "bias b, learned",
        "kernel": "Pointwise(phi='softplus'), summed over negatives",
    }

    def __init__(self, scale: float = 10.0, bias: float = -10.0, learn: bool = True) -> None:
        super().__init__()
        start = torch.tensor(math.log(positive_temperature(scale, "scale")))
        self.log_scale = nn.Parameter(start, requires_grad=learn)
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=learn)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Sum over the row's pairs, [B]."""
        x, y, rows = normalise(z1), normalise(z2), len(z1)
        scale = self.log_scale.exp()
        own = None if ids is None else ids[:rows]
        positive = (x * y[:rows]).sum(1) * scale + self.bias
        shift = self.bias.expand(len(z2))
        entries = Entries(reduce=_summed_softplus)
        away = negative_partition(x, y, scale, own, ids, bias=shift, entries=entries)
        return softplus(-positive) + away, None


class MarginContrastive(PairPipeline):
    r"""Margin contrastive loss: positives are pulled together, negatives pushed beyond a margin.

    ``distance``: mean_i D_ii² + mean_{i ≠ j} max(0, m - D_ij)², D the Euclidean distance, rows not normalised (Hadsell
    et al., CVPR 2006); ``cosine``: max(0, m⁺ - s_ii) + mean_j max(0, s_ij - m⁻). Duplicates as negatives cost m².

    Args:
        form: ``distance`` or ``cosine``.
        margin: m, or m⁻.
        positive: m⁺ of the cosine form.
    """

    reference = "Hadsell et al., CVPR 2006"
    reduces = ("the squared distance of positives where negatives lie beyond the margin",)

    def __init__(
        self, form: Literal["distance", "cosine"] = "distance", margin: float = 1.0, positive: float = 1.0
    ) -> None:
        if form not in ("distance", "cosine"):
            raise ValueError(f"form must be distance or cosine, got {form!r}.")
        if form == "distance":
            kernel = Pointwise("square", above=0.0, below=-margin, mean=True)
        else:
            kernel = Pointwise("hinge", above=positive, below=margin, mean=True)
        similarity = "euclidean" if form == "distance" else "cosine"
        super().__init__(similarity=similarity, temperature=1.0, kernel=kernel)


class JSD(PairPipeline):
    r"""Jensen-Shannon contrast: mean_i softplus(-s_ii) + mean_ij softplus(s_ij) - 2 log 2, j another id.

    All scores 0: 0. ``bce=True`` leaves the constant out. No row couples with another. InfoGraph's node-graph form is
    :class:`Discriminator` of given scores. Hjelm et al., Deep InfoMax (ICLR 2019); Sun et al., InfoGraph (ICLR 2020).

    Args:
        similarity: ``dot`` by default; ``bilinear`` is DGI's.
        bce: leave out - 2 log 2.
    """

    reference = "Hjelm et al., ICLR 2019"
    aliases = ("InfoGraph",)
    reduces = ("Discriminator of the scores of two views",)

    def __init__(self, similarity: SimilarityLike = "dot", bce: bool = False) -> None:
        kernel = Pointwise("softplus", mean=True, constant=0.0 if bce else -2 * math.log(2))
        super().__init__(similarity=similarity, temperature=1.0, kernel=kernel)


class EnergyHinge(Objective):
    r"""InfoNCE and a hinge on the hardest negative: L = InfoNCE + w mean_i max(0, m - s_i+ + max_j s_ij).

    Cosines in the hinge are not divided by τ. w = 0 is :class:`InfoNCE`. Where all rows are equal the hinge is m.
    Jiang et al., PromCSE (EMNLP Findings 2022).

    Args:
        temperature: τ > 0.
        margin: m.
        weight: w >= 0.
    """

    kind = "pair"
    extra = True
    reference = "Jiang et al., EMNLP Findings 2022"
    aliases = ("PromCSE",)
    reduces = ("InfoNCE with weight=0",)

    def __init__(self, temperature: float = 0.05, margin: float = 0.2, weight: float = 10.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must be at least 0, got {weight}.")
        self.contrast = Contrast(temperature=temperature)
        self.hinge = Contrast(temperature=1.0, kernel=PairRank("hinge", margin, "hardest"))
        self.weight = weight

    def describe(self) -> dict[str, str]:
        """The slots of the contrast, and the hinge."""
        return {**self.contrast.describe(), "regulariser": f"{self.weight:g} * {self.hinge.describe()['kernel']}"}

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]; a row without negatives has no hinge."""
        values, _ = self.contrast.compute(z1, z2, ids)
        edge, held = self.hinge.compute(z1, z2, ids)
        return values + self.weight * (edge if held is None else edge.masked_fill(~held, 0.0)), None

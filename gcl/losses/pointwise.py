"""Objectives that hold every pair against a bound."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.checks import expect, expect_places, expect_within
from gcl.losses.contrast import Contrast, PairPipeline
from gcl.losses.functional.negatives import Entries, negative_partition
from gcl.losses.functional.numerics import normalise, softplus
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.kernels import PairRank, Pointwise
from gcl.losses.slots.similarities import SimilarityLike
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["JSD", "EnergyHinge", "MarginContrastive", "SigLIP", "TagBCE"]


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


class TagBCE(Stateful, Objective):
    r"""Multi-label tags: mean over T tags of the binary cross-entropy of <z_i, c_t> + b_t.

    ``tags=`` [N, T], 0 or 1 each, says which tags a row has; without it a row has the one of its label. c [T, d] and b
    are learned; b starts at -log(T - 1), so that at first one tag a row is expected. No row couples with another.
    Mehta et al., CatLIP (2024).

    Args:
        tags: T; labels are 0 .. T - 1.
        weight: factor on the terms of tags that a row has.
    """

    kind = "labelled"
    reference = "Mehta et al., 2024"
    aliases = ("CatLIP",)
    reduces = ("SigLIP / T on unit rows with tag vectors k z2, even biases b, and tag i of row i",)
    slots = {
        "similarity": "Dot() with tags, and a bias of each",
        "positives": "tags of the row",
        "negatives": "other tags",
        "kernel": "Pointwise(phi='softplus')",
    }

    def __init__(self, tags: int = 64, weight: float = 1.0) -> None:
        super().__init__()
        if tags < 1 or not 0 < weight < math.inf:
            raise ValueError(f"tags must be at least 1 and weight positive and finite, got {tags} and {weight}.")
        self.tags, self.weight = tags, weight
        self.head: nn.Linear | None = None

    def allocate(self, num_ids: int, dim: int) -> None:
        """Tag vectors for rows of width ``dim``, and their biases."""
        self.head = nn.Linear(dim, self.tags)
        nn.init.constant_(self.head.bias, -math.log(max(self.tags - 1, 1)))

    def compute(self, z: Tensor, labels: Tensor, tags: Tensor | None = None) -> Rows:
        """Loss of every row [N]."""
        if self.head is None:
            raise RuntimeError("TagBCE has no tags yet: call objective.build(num_ids, dim) first.")
        if tags is None:
            expect_places("labels", labels, self.tags, "the tags that the objective has")
            given = labels[:, None]
        else:
            expect("tags", tags, (len(z), self.tags), "the tags of every row")
            given = tags.to(z.dtype)
            expect_within("tags", given, 0, 1, "whether a row has a tag")
        weight = self.weight

        def block(x: Tensor, y: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
            logits = torch.addmm(bias, x, vectors.T)
            places = torch.arange(len(bias), device=y.device)
            has = y if y.is_floating_point() else (y == places).to(x.dtype)
            return (has * weight * softplus(-logits) + (1 - has) * softplus(logits)).mean(1)

        return by_rows(block, (z, given), (self.head.weight, self.head.bias), columns=self.tags), None

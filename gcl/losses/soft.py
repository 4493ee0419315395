"""Objectives with soft targets: a row's positives are a distribution."""

from functools import partial

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows, spell
from gcl.losses.checks import expect, expect_within
from gcl.losses.functional.divergence import DIVERGENCES, Divergence, divergence_rows, mixed_divergence
from gcl.losses.functional.given import given_rows
from gcl.losses.functional.negatives import negative_partition
from gcl.losses.functional.numerics import normalise, softplus
from gcl.losses.functional.soft import soft_contrast
from gcl.losses.slots.relations import Teacher
from gcl.losses.slots.similarities import SimilarityLike, similarity_of
from gcl.losses.slots.temperatures import TemperatureLike, even_temperature_of, temperature_of

__all__ = ["CLAIF", "CWCL", "ICon"]


class CWCL(Objective):
    r"""Continuously weighted contrast: soft targets from a frozen side, both directions added.

    z1 -> z2: mean_i -Σ_j q_ij log softmax_j(<z1_i, z2_j> / τ), q_ij ∝ w_ij = (cos(t_i, t_j) + 1) / 2, t the rows of
    ``teacher=`` [M, e] or, without it, z2: the frozen modality. Plus :class:`InfoNCE` z2 -> z1. Targets carry no
    gradient. Never below the entropy of the targets. w = I gives twice :class:`CLIPLoss`.
    Srinivasa et al., CWCL (NeurIPS 2023); the two-way sum is from a later paper's restatement.

    Args:
        temperature: τ > 0, or ``learnable``.
        reverse: add the direction z2 -> z1.
    """

    kind = "pair"
    extra = True
    detached = True
    reference = "Srinivasa et al., NeurIPS 2023"
    reduces = (
        "twice CLIPLoss of a fixed temperature where teacher rows are opposite: weights of 0 off the diagonal",
        "ICon with divergence=cross_entropy and the same targets, with reverse=False",
    )
    slots = {
        "similarity": "Cosine()",
        "positives": "all rows, weighted by similarity of the frozen side",
        "negatives": "rows of the other view",
        "kernel": "SoftTarget, cross-entropy; LogRatio in reverse",
        "views": "both directions, added",
    }

    def __init__(self, temperature: TemperatureLike = 0.07, reverse: bool = True) -> None:
        super().__init__()
        self.temperature, self.reverse = temperature_of(temperature), reverse

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, teacher: Tensor | None = None) -> Rows:
        """Loss of every row [B]; equal ids weigh as the positive does."""
        x, y, relation = normalise(z1), normalise(z2), Teacher()
        frozen = relation.key(z2 if teacher is None else teacher, len(z2), z2)
        rows, key = len(z1), torch.arange(len(z2), device=z2.device) if ids is None else ids
        inverse = 1 / self.temperature((x * y[:rows]).sum(1))

        def nearness(t: Tensor, i: Tensor, others: Tensor, j: Tensor) -> Tensor:
            return torch.where(i[:, None] == j, 1.0, relation.weigh(t, others))

        values, _ = soft_contrast(x, y, inverse, nearness, ((frozen[:rows], key[:rows]), (frozen, key)), own=False)
        if not self.reverse:
            return values, None
        own = None if ids is None else ids[:rows]
        apart = negative_partition(y[:rows], x, inverse, own, own)
        return values + softplus(apart - (x * y[:rows]).sum(1) * inverse), None


class CLAIF(Objective):
    r"""Graded pairs: the target of row i puts g_i on its partner and (1 - g_i) / (M - 1) on every other column.

    L = mean_i -Σ_j q_ij log softmax_j(<z1_i, z2_j> / τ), g given as ``scores=`` [B] in [0, 1], by a teacher; without
    it g = 1 and the loss is :class:`InfoNCE`. With one column the target is that column.
    Cheng et al., Improving Contrastive Learning of Sentence Embeddings from AI Feedback (Findings of ACL 2023).

    Args:
        temperature: τ > 0, or ``learnable``.
    """

    kind = "pair"
    extra = True
    reference = "Cheng et al., ACL Findings 2023"
    reduces = ("InfoNCE with scores of 1",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows by grade, the rest evenly",
        "negatives": "rows of the other view",
        "kernel": "SoftTarget, cross-entropy",
    }

    def __init__(self, temperature: TemperatureLike = 0.05) -> None:
        super().__init__()
        self.temperature = temperature_of(temperature)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, scores: Tensor | None = None) -> Rows:
        """Loss of every row [B]; columns of the row's own id but its partner are left out."""
        if scores is not None:
            expect("scores", scores, (len(z1),), "one grade a row of z1")
            expect_within("scores", scores, 0, 1, "the share of the target on the partner")
        x, y = normalise(z1), normalise(z2)
        rows, columns = len(z1), len(z2)
        score = (x * y[:rows]).sum(1)
        inverse = 1 / self.temperature(score)
        grade = torch.ones_like(score) if scores is None else scores.to(x.dtype)
        own = None if ids is None else ids[:rows]
        positive = score * inverse
        share = softplus(negative_partition(x, y, inverse, own, ids) - positive)
        if scores is None or columns < 2:
            return share, None
        if ids is None:
            others, count = x @ y.sum(0) * inverse - positive, torch.full_like(grade, columns - 1)
        else:
            _, place, size = torch.unique(ids, return_inverse=True, return_counts=True)
            sums = torch.zeros(len(size), y.shape[1], dtype=y.dtype, device=y.device).index_add(0, place, y)
            others = (x * (y.sum(0) - sums.index_select(0, place[:rows]))).sum(1) * inverse
            count = (columns - size[place[:rows]]).to(grade.dtype)
        mean = others / count.clamp_min(1)
        return share + torch.where(count > 0, (1 - grade) * (positive - mean), 0.0), None


class ICon(Objective):
    r"""Information contrast: mean_i D(p(.|i) || q(.|i)) between a given and a learned neighbour distribution.

    q(j|i) = softmax_j(s(z1_i, z2_j) / τ): ``cosine``, Gaussian (``square_euclidean``, τ = 2σ²), Student-t (``student``,
    τ = 1) or through clusters (``clusters``, τ = 1). p is given as ``targets=`` [B, M], dense or sparse, rows of any
    positive scale (edges of a graph, random walks, kNN, labels, a teacher's softmax, exp(-distance / κ)) and carries no
    gradient; without it p is one-hot on the partner and the loss is :class:`InfoNCE`. Streamed; sparse targets are made
    dense a tile at a time. Debiasing mixes p (and, with ``mix_learned``, q) with the uniform: (1 - α) p + α / M.

    p uniform over a label is :class:`SupCon` out; p a kernel, :class:`WSP`; p a teacher, distillation; Gaussian p and q
    are SNE, Student-t q t-SNE. Alshammari et al., I-Con (ICLR 2025), whose code calls the mean of both KL ``jsd``.

    Args:
        temperature: τ > 0, or ``learnable``.
        similarity: of the learned distribution.
        alpha: α in [0, 1].
        divergence: ``kl`` (p || q), ``reverse``, ``jeffreys`` (mean of both), ``js``, or ``cross_entropy`` (kl plus the
            entropy of p).
        own: rows are their own columns: a row is in neither of its distributions. Then ``targets=`` must be given.
        mix_learned: mix q as well.
    """

    kind = "pair"
    extra = True
    detached = True
    reference = "Alshammari et al., ICLR 2025"
    reduces = (
        "InfoNCE without targets",
        "SupCon (out) with own=True, divergence=cross_entropy and targets uniform over a label",
        "WSP with own=True, divergence=cross_entropy and kernel targets",
    )

    def __init__(
        self,
        temperature: TemperatureLike = 0.2,
        similarity: SimilarityLike = "cosine",
        alpha: float = 0.0,
        divergence: Divergence = "kl",
        own: bool = False,
        mix_learned: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {alpha}.")
        if divergence not in DIVERGENCES:
            raise ValueError(f"divergence must be one of {', '.join(DIVERGENCES)}, got {divergence!r}.")
        self.temperature, self.similarity = even_temperature_of(temperature), similarity_of(similarity)
        self.alpha, self.own, self.mix_learned = alpha, own, mix_learned
        self.divergence: Divergence = divergence

    def describe(self) -> dict[str, str]:
        """The slots as they are filled."""
        return {
            "similarity": spell(self.similarity),
            "positives": "the given distribution",
            "negatives": "all columns",
            "weighting": f"mixed with the uniform, alpha={self.alpha:g}",
            "temperature": spell(self.temperature),
            "kernel": f"SoftTarget, {self.divergence}",
        }

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, targets: Tensor | None = None) -> Rows:
        """Divergence of every row [B]; rows of ``targets`` without weight do not count."""
        z1, z2 = self.similarity.centred(z1, z2)
        left, right = self.similarity.left(z1), self.similarity.right(z2)
        rows, columns = len(z1), len(z2)
        given = given_rows(targets, (rows, columns), z1, self.own)
        key = torch.arange(columns, device=z1.device) if ids is None else ids
        distance = partial(mixed_divergence, kind=self.divergence, alpha=self.alpha, mix_learned=self.mix_learned)
        values = divergence_rows(
            left, right, 1 / self.temperature(z1.new_empty(0)), given, (key[:rows], key), distance,
            transform=None if self.similarity.linear else self.similarity.transform,
            own=self.own, hide_equal=ids is not None,
        )  # fmt: skip
        return values, given.valid

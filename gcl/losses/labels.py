"""Objectives of labelled rows: rows with equal or near labels attract."""

from typing import Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows, spell
from gcl.losses.checks import expect_places
from gcl.losses.functional.numerics import lse, normalise
from gcl.losses.functional.soft import label_contrast, lse_by_class, soft_contrast
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.relations import Labels, Nearness, product
from gcl.losses.slots.similarities import SimilarityLike, similarity_of
from gcl.losses.slots.temperatures import TemperatureLike, even_temperature_of, positive_temperature

__all__ = ["GML", "WSP", "SupCon"]


class SupCon(Objective):
    r"""Supervised contrast: all other rows of the label are positives, all other rows stand in the denominator.

    ``out``: mean_i -1/|P(i)| Σ_{p ∈ P(i)} log(exp(s_ip / τ) / Σ_{a ≠ i} exp(s_ia / τ)); ``in``: -log of the mean of
    the shares. in <= out, equal where all positives of a row score the same. Rows without a positive do not count. No
    factor τ / 0.07, which the authors' code has. The loss is at least log |P(i)| for ``out``, so zero is no target.

    With the row number of two stacked views as label it is :class:`NTXent`; :class:`WSP` weighs the positives;
    :class:`ICon` has it with a uniform target. Khosla et al., Supervised Contrastive Learning (NeurIPS 2020).

    Args:
        temperature: τ > 0, or ``learnable``.
        variant: ``out`` or ``in``.
        similarity: ``cosine`` by default.
    """

    kind = "labelled"
    reference = "Khosla et al., NeurIPS 2020"
    reduces = (
        "NTXent on two stacked views, the row number as label",
        "InfoNCE over all other rows with one positive a row",
        "ICon with own=True, divergence=cross_entropy and targets uniform over the label (variant=out)",
    )

    def __init__(
        self,
        temperature: TemperatureLike = 0.07,
        variant: Literal["out", "in"] = "out",
        similarity: SimilarityLike = "cosine",
    ) -> None:
        super().__init__()
        if variant not in ("out", "in"):
            raise ValueError(f"variant must be out or in, got {variant!r}.")
        self.temperature, self.similarity = even_temperature_of(temperature), similarity_of(similarity)
        self.variant = variant
        if not self.similarity.linear and variant == "in":
            raise ValueError("variant in needs a similarity that is an inner product, got one that is transformed.")

    def describe(self) -> dict[str, str]:
        """The slots as they are filled."""
        return {
            "similarity": spell(self.similarity),
            "positives": "other rows of the label",
            "negatives": "rows of other labels",
            "temperature": spell(self.temperature),
            "kernel": f"LogRatio(denominator='all', positives='{'mean' if self.variant == 'out' else 'average'}')",
        }

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Loss of every row [N]."""
        z, _ = self.similarity.centred(z, z)
        left = self.similarity.left(z)
        right = left if self.similarity.symmetric else self.similarity.right(z)
        inverse = 1 / self.temperature(z.new_empty(0))
        if self.similarity.linear:
            return label_contrast(left, right, inverse, labels, self.variant == "in")
        return soft_contrast(
            left, right, inverse, _equal, ((labels,), (labels,)), own=True, transform=self.similarity.transform
        )


def _equal(row: Tensor, column: Tensor) -> Tensor:
    return row[:, None] == column


class WSP(Objective):
    r"""Weakly supervised positives: :class:`SupCon` whose positives weigh by nearness of a second attribute.

    L = mean_i -Σ_k (W_ik / Σ_l W_il) log(exp(s_ik / τ) / Σ_{a ≠ i} exp(s_ia / τ)), W_ik = k(d_i, d_k) [y_i = y_k], d
    given as ``positions=`` [N] (times, depths, hop distances); without it k = 1 and the loss is :class:`SupCon` out.
    ``use_labels=False`` drops the label: y-aware InfoNCE (Dufumier et al., MICCAI 2021). Weights are normalised by row
    (the authors' code normalises by column) and the mean is over anchors with weight.
    Sarfati et al., Weakly-Supervised Positional Contrastive Learning (MICCAI 2023).

    Args:
        temperature: τ > 0.
        kernel: ``gaussian`` exp(-δ² / (2 σ²)), ``laplacian`` exp(-|δ| / σ).
        sigma: σ > 0.
        use_labels: only rows of equal label are positives.
    """

    kind = "labelled"
    reference = "Sarfati et al., MICCAI 2023"
    reduces = (
        "SupCon with variant=out without positions",
        "NTXent on two stacked views of distinct positions as sigma -> 0",
    )
    slots = {
        "similarity": "Cosine()",
        "positives": "rows of the label, weighted by a kernel of the positions",
        "negatives": "all other rows",
        "kernel": "SoftTarget, cross-entropy",
    }

    def __init__(
        self,
        temperature: float = 0.1,
        kernel: Literal["gaussian", "laplacian"] = "gaussian",
        sigma: float = 1.0,
        use_labels: bool = True,
    ) -> None:
        super().__init__()
        self.temperature, self.use_labels = positive_temperature(temperature), use_labels
        self.nearness = Nearness(kernel, sigma)

    def compute(self, z: Tensor, labels: Tensor, positions: Tensor | None = None) -> Rows:
        """Loss of every row [N]."""
        x = normalise(z)
        place = torch.zeros_like(z[:, 0]) if positions is None else self.nearness.key(positions, len(z), z)
        parts, keys = ([Labels()], [labels]) if self.use_labels else ([], [])
        keys = [*keys, place]
        return soft_contrast(
            x, x, z.new_tensor(1 / self.temperature), product([*parts, self.nearness]), (keys, keys), own=True
        )


class GML(Objective):
    r"""Class scores from keys, adjusted by the class prior: contrast for long-tailed labels.

    g_iy = log mean_{k ≠ i: y_k = y} exp(s_ik / τ), L = mean_i CE(g_i + log π, y_i). The mean inside a class, where
    :class:`SupCon` has a sum, removes the implicit prior of class frequencies. Without ``prior`` π is uniform and falls
    out. Classes without another row in the batch stand out of the softmax; rows whose own class does do not count.
    Keys carry gradient; put a :class:`CrossBatchMemory` around it for more keys.
    Suh & Seo, Long-Tailed Recognition by Mutual Information Maximization (ICML 2023).

    Args:
        temperature: τ > 0, or ``learnable``; the authors learn it from 1.
        prior: π, a positive number for every label 0 .. C - 1.
    """

    kind = "labelled"
    reference = "Suh & Seo, ICML 2023"
    reduces = ("InfoNCE over class prototypes with one key a label",)
    slots = {
        "similarity": "Cosine()",
        "positives": "rows of the label, log-mean-exp",
        "negatives": "rows of other labels, log-mean-exp a label",
        "weighting": "log prior of the class",
        "kernel": "LogRatio(denominator='all') over class scores",
    }

    prior: Tensor | None

    def __init__(self, temperature: TemperatureLike = 0.1, prior: list[float] | None = None) -> None:
        super().__init__()
        if prior is not None and min(prior) <= 0:
            raise ValueError(f"prior must be positive for every label, got {min(prior)}.")
        self.temperature = even_temperature_of(temperature)
        self.register_buffer("prior", None if prior is None else torch.tensor(prior))

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Loss of every row [N]."""
        x = normalise(z)
        if self.prior is not None:
            expect_places("labels", labels, len(self.prior), "the labels that prior has a number for")
        classes, place, size = torch.unique(labels, return_inverse=True, return_counts=True)
        prior = z.new_zeros(len(classes)) if self.prior is None else self.prior[classes].to(z.dtype).log()
        inverse = (1 / self.temperature(z.new_empty(0))).expand(len(z))
        own = torch.arange(len(z), device=z.device)

        def block(
            a: Tensor, beta: Tensor, label: Tensor, at: Tensor, c: Tensor, all_labels: Tensor, bias: Tensor
        ) -> Tensor:
            logits = (a @ c.T) * beta[:, None]
            kept = at[:, None] != torch.arange(c.shape[0], device=c.device)
            scores, counts = lse_by_class(logits, kept, all_labels, bias.shape[0])
            mine = label[:, None] == torch.arange(bias.shape[0], device=c.device)
            adjusted = (scores - counts.clamp_min(1).log() + bias).masked_fill(counts == 0, -torch.inf)
            top = torch.where(mine & (counts > 0), adjusted, 0.0).sum(1)
            return torch.where((counts > 0).any(1), lse(adjusted), 0.0) - top

        values = by_rows(block, (x, inverse, place, own), (x, place, prior), columns=len(z))
        return values, size[place] > 1

"""Contrast in subspaces that a pair of classes chooses."""

from typing import Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.checks import expect_places
from gcl.losses.functional.mixing import pick, uniform
from gcl.losses.functional.numerics import normalise
from gcl.losses.functional.soft import label_contrast
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["GatedContrast"]


class GatedContrast(Stateful, Objective):
    r"""Arbitrary positives through gates: rows of two classes attract in the coordinates that the two share.

    g_ab = sigmoid(W (e_a * e_b) + c) in (0, 1)^d, symmetric, of learned class embeddings e; cosines of g * z. Every
    class pairs with itself and ``mixed`` random other classes of the batch; in the space of (a, b) rows of both classes
    are each other's positives, rows of other classes negatives, as in :class:`SupCon` out; the mean is over all rows of
    all pairs. With gates of 1 and ``mixed=0`` it is :class:`SupCon`. Labels are 0 .. classes - 1. Only the abstract was
    reachable; the form of the gate is our reading. ``gate="hard"`` opens or shuts every coordinate: 1 where its logit,
    in training with logistic noise, is above 0, with the gradient of the sigmoid (straight-through Gumbel-sigmoid,
    Maddison et al., ICLR 2017). Wu et al., Rethinking Positive Pairs (SimLAP, 2024).

    Args:
        classes: number of labels.
        mixed: random other classes for every class.
        temperature: τ > 0.
        width: width of class embeddings.
        sparsity: weight of the mean gate, which closes coordinates.
        gate: ``soft`` or ``hard``.
    """

    kind = "labelled"
    reference = "Rethinking Positive Pairs in Contrastive Learning, 2024"
    aliases = ("SimLAP", "Hydra")
    reduces = ("SupCon with gates of 1 and mixed=0",)
    slots = {
        "similarity": "cosine of gated rows",
        "positives": "rows of a pair of classes",
        "negatives": "rows of other classes in the same gate",
        "kernel": "LogRatio(denominator='all', positives='mean')",
        "views": "pairs of classes",
    }

    def __init__(
        self,
        classes: int = 64,
        mixed: int = 1,
        temperature: float = 0.1,
        width: int = 32,
        sparsity: float = 0.0,
        gate: Literal["soft", "hard"] = "soft",
    ) -> None:
        super().__init__()
        if gate not in ("soft", "hard"):
            raise ValueError(f"gate must be soft or hard, got {gate!r}.")
        self.hard = gate == "hard"
        if classes < 1 or mixed < 0 or width < 1:
            raise ValueError(f"classes >= 1, mixed >= 0, width >= 1 must hold, got {classes}, {mixed}, {width}.")
        self.temperature, self.mixed, self.sparsity = positive_temperature(temperature), mixed, sparsity
        self.embeddings = nn.Embedding(classes, width)
        self.width = width
        self.filter: nn.Linear | None = None

    def allocate(self, num_ids: int, dim: int) -> None:
        """The filter for rows of width ``dim``."""
        self.filter = nn.Linear(self.width, dim)

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Loss of the rows of every pair of classes, one after another."""
        expect_places("labels", labels, self.embeddings.num_embeddings, "as many as classes")
        present = torch.unique(labels)
        values, valid = list[Tensor](), list[Tensor]()
        for a in present:
            others = present[present != a]
            partners = [a]
            if len(others) and self.mixed:
                partners += list(others[pick(labels, len(others), self.mixed, generator=self.generator)])
            for b in partners:
                value, held = self._pair(z, labels, a, b)
                values.append(value)
                valid.append(held)
        if not values:
            return z.sum(1), None
        return torch.cat(values), torch.cat(valid)

    def gate(self, a: Tensor, b: Tensor) -> Tensor:
        """g_ab [d]."""
        if self.filter is None:
            raise RuntimeError("GatedContrast has no filter yet: call objective.build(num_ids, dim) first.")
        logits: Tensor = self.filter(self.embeddings(a) * self.embeddings(b))
        if self.hard and self.training:
            chance = uniform(logits, len(logits), generator=self.generator).clamp(1e-6, 1 - 1e-6)
            logits = logits + torch.logit(chance)
        soft = torch.sigmoid(logits)
        return (logits > 0).to(soft) + (soft - soft.detach()) if self.hard else soft

    def _pair(self, z: Tensor, labels: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every row [N] in the space of a pair; rows of neither class do not count."""
        gate = self.gate(a, b)
        x = normalise(gate * z)
        mine = (labels == a) | (labels == b)
        own = torch.where(mine, -1, torch.arange(len(z), device=z.device))
        values, valid = label_contrast(x, x, z.new_tensor(1 / self.temperature), own, inside=False)
        return values + self.sparsity * gate.mean(), valid & mine

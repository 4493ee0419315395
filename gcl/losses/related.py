"""A contrast whose positives are a relation of your choice."""

from typing import Literal

import torch
from torch import Tensor

from gcl.errors import unknown
from gcl.losses.base import Objective, Rows, in_order, spell
from gcl.losses.functional.soft import Share, soft_contrast
from gcl.losses.slots.relations import Relation, RelationLike, product, relations_of
from gcl.losses.slots.similarities import SimilarityLike, similarity_of
from gcl.losses.slots.temperatures import TemperatureLike, even_temperature_of

__all__ = ["RelationContrast"]


class RelationContrast(Objective):
    r"""Contrast against the positives of a relation: labels, nearness, a teacher, shared tags, or their product.

    With W_ij >= 0 the relation's weight and l_ij = s(z1_i, z2_j) / τ,

    ``positives="mean"``: mean_i -Σ_j (W_ij / Σ_k W_ik) (l_ij - D_ij);
    ``positives="average"``: mean_i -log Σ_j (W_ij / Σ_k W_ik) exp(l_ij - D_ij), never above it.

    D_ij is the log-sum-exp of the row over all candidates (``denominator="all"``), over those of weight 0
    (``"negatives"``), or over those and j itself (``"self"``: positives do not compete). Rows without weight, and for
    ``negatives`` those without negatives, do not count. Candidates of a row's own id that are not its positives stand
    nowhere. Streamed. What a relation reads is handed over by name, one entry a row of z2, whose first B are z1's:

        RelationContrast(["labels", {"name": "nearness", "sigma": 2.0}], own=True)(z, z, labels=y, positions=t)

    Weights given as a matrix, a graph's edges for instance, are :class:`ICon`'s ``targets=``.

    Args:
        relation: see :mod:`gcl.losses.slots.relations`; several are multiplied.
        similarity: ``cosine`` by default.
        temperature: τ > 0, ``learnable`` or ``scheduled``.
        denominator: ``all``, ``negatives`` or ``self``.
        positives: ``mean`` of logs or log of the ``average``.
        own: rows are their own candidates: a row is neither positive nor negative of itself.
    """

    kind = "pair"
    extra = True
    reference = "composed of slots"
    reduces = (
        "SupCon out with relation=labels and own=True",
        "SupCon in with relation=labels, positives=average and own=True",
        "WSP with relation=[labels, nearness] and own=True",
        "CWCL of one direction with relation=teacher",
        "InfoNCE with relation=labels without labels, where things stand once in the batch",
    )

    def __init__(
        self,
        relation: RelationLike = "labels",
        *,
        similarity: SimilarityLike = "cosine",
        temperature: TemperatureLike = 0.2,
        denominator: Literal["all", "negatives", "self"] = "all",
        positives: Literal["mean", "average"] = "mean",
        own: bool = False,
    ) -> None:
        super().__init__()
        if denominator not in ("all", "negatives", "self"):
            raise ValueError(f"denominator must be all, negatives or self, got {denominator!r}.")
        if positives not in ("mean", "average"):
            raise ValueError(f"positives must be mean or average, got {positives!r}.")
        self.relation, self.similarity = relations_of(relation), similarity_of(similarity)
        self.temperature, self.own = even_temperature_of(temperature), own
        self.denominator: Literal["all", "negatives", "self"] = denominator
        self.positives = positives
        self.detached = any(isinstance(part, Relation) and part.reads_rows for part in self.relation)

    def describe(self) -> dict[str, str]:
        """The slots as they are filled."""
        return in_order({
            "similarity": spell(self.similarity),
            "positives": " * ".join(spell(part) for part in self.relation),
            "negatives": "candidates of weight 0" if self.denominator != "all" else "all candidates",
            "temperature": spell(self.temperature),
            "kernel": f"LogRatio(denominator={self.denominator!r}, positives={self.positives!r})",
        })  # fmt: skip

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, **options: Tensor) -> Rows:
        """Loss of every row [B]."""
        parts = [part for part in self.relation if isinstance(part, Relation)]
        unknown(options, [part.option for part in parts], "RelationContrast")
        if self.own and len(z1) != len(z2):
            raise ValueError(f"z1 and z2 must be the same rows with own=True, got {len(z1)} and {len(z2)} rows.")
        place = torch.arange(len(z2), device=z2.device) if ids is None else ids
        keys = [part.key(_given(part, options, z2, place), len(z2), z2) for part in parts]
        z1, z2 = self.similarity.centred(z1, z2)
        return soft_contrast(
            self.similarity.left(z1), self.similarity.right(z2), 1 / self.temperature(z1.new_empty(0)), product(parts),
            ([key[: len(z1)] for key in keys], keys), own=self.own,
            transform=None if self.similarity.linear else self.similarity.transform,
            share=Share(self.denominator, self.positives == "average"), things=(place[: len(z1)], place),
        )  # fmt: skip


def _given(part: Relation, options: dict[str, Tensor], candidates: Tensor, things: Tensor) -> Tensor:
    """What a relation reads."""
    value = options.get(part.option)
    value = part.otherwise(candidates, things) if value is None else value
    if value is None:
        said = ", ".join(options) or "nothing"
        raise ValueError(f"{part.option} must be given, for {type(part).__name__} reads it, got {said}.")
    return value

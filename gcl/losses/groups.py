"""Objectives with a group of positives: bags, behaviours, parts, intents."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.functional.numerics import lse, lse_of, normalise, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["AnchorStar", "GroupContrast", "IntentContrast"]


class GroupContrast(Objective):
    r"""View 0 is the anchor, all other views of the thing are its group of positives, those of other things negatives.

    ``sum``: -log [ Σ_p exp(s_ip / τ) / (Σ_p exp(s_ip / τ) + Σ_n exp(s_in / τ)) ] (MIL-NCE: one good positive is
    enough); ``mean``: the mean over p of -log of each share, the denominator shared (every positive counts);
    ``pooled``: :class:`InfoNCE` of the anchor and the unit mean of its group (composition, session halves, bags);
    ``max``: the same with the coordinate-wise maximum of the group (set pooling).
    One positive: all are :class:`InfoNCE`. sum <= mean - log G, equal where all positives of a row score the same.
    Miech et al., MIL-NCE (CVPR 2020).

    Args:
        temperature: τ > 0.
        positives: ``sum``, ``mean``, ``pooled`` or ``max``.
    """

    kind = "multiview"
    reference = "Miech et al., CVPR 2020"
    aliases = ("MILNCE",)
    reduces = ("InfoNCE with two views, for every way of taking positives",)
    slots = {
        "similarity": "Cosine()",
        "positives": "the group: all other views of the thing",
        "negatives": "the groups of other things",
        "kernel": "LogRatio(denominator='all'), positives summed inside, averaged outside or pooled before",
        "views": "star around view 0",
    }

    def __init__(self, temperature: float = 0.2, positives: Literal["sum", "mean", "pooled", "max"] = "sum") -> None:
        super().__init__()
        if positives not in ("sum", "mean", "pooled", "max"):
            raise ValueError(f"positives must be sum, mean, pooled or max, got {positives!r}.")
        self.temperature, self.positives = positive_temperature(temperature), positives

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        z = normalise(views)
        anchor, group = z[0] / self.temperature, z[1:]
        if self.positives in ("pooled", "max"):
            pooled = group.mean(0, keepdim=True) if self.positives == "pooled" else group.amax(0, keepdim=True)
            group = normalise(pooled)
        apart = lse_of(*(log_partition(anchor, v, row_ids=ids, column_ids=ids)[0] for v in group))
        scores = (anchor * group).sum(-1)
        joint = lse(scores, 0)
        if self.positives == "mean":
            return softplus(apart - joint) + joint - scores.mean(0), None
        return softplus(apart - joint), None


class AnchorStar(Objective):
    r"""One anchor modality or behaviour against each other one: Σ_m ω_m InfoNCE(a, z_m), no terms between the others.

    a is the first of the tuple (the behaviour or id embedding, the target behaviour), candidates of term m are rows of
    modality m. Weights are 1 unless given. Two modalities: :class:`InfoNCE`.
    Anchor-based semantic contrast in multimodal recommendation; multi-behaviour contrast (2022-2025).

    Args:
        temperature: τ > 0.
        weights: ω, one a modality after the first.
    """

    kind = "tuple"
    reference = "multi-behaviour and multimodal contrast, 2022"
    aliases = ("MultiBehaviour",)
    reduces = ("InfoNCE with two modalities",)
    slots = {
        "similarity": "Cosine()",
        "positives": "the same thing in every other modality",
        "negatives": "other things in that modality",
        "weighting": "by modality",
        "kernel": "LogRatio(denominator='all')",
        "views": "star around the first",
    }

    def __init__(self, temperature: float = 0.2, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.temperature, self.weights = positive_temperature(temperature), weights

    def compute(self, modalities: tuple[Tensor, ...], ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        anchor, *others = (normalise(z) for z in modalities)
        weights = self.weights or [1.0] * len(others)
        if len(weights) != len(others):
            raise ValueError(f"weights must be one a modality after the first, {len(others)}, got {len(weights)}.")
        if len({z.shape[1] for z in modalities}) > 1:
            raise ValueError(f"modalities must have one width, got {', '.join(str(z.shape[1]) for z in modalities)}.")
        anchor, total = anchor / self.temperature, anchor.new_zeros(len(anchor))
        for weight, z in zip(weights, others, strict=True):
            apart, _ = log_partition(anchor, z, row_ids=ids, column_ids=ids)
            total = total + weight * softplus(apart - (anchor * z).sum(1))
        return total, None


class IntentContrast(Stateful, Objective):
    r"""InfoNCE of a row and its partner rebuilt from intents: z2_i becomes Σ_k softmax_k(<z2_i, p_k>) p_k.

    The K prototypes p [K, d] are learned; allocated by ``build``. Ren et al., DCCF (SIGIR 2023), whose code guards
    logarithms by 1e-8; here they are exact.

    Args:
        temperature: τ > 0.
        intents: K.
    """

    kind = "pair"
    extra = True
    reference = "Ren et al., SIGIR 2023"
    reduces = ("InfoNCE on the partners' mixtures of prototypes",)
    slots = {
        "similarity": "Cosine()",
        "positives": "the partner's mixture of intents",
        "negatives": "mixtures of other rows",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(self, temperature: float = 0.2, intents: int = 64) -> None:
        super().__init__()
        if intents < 1:
            raise ValueError(f"intents must be at least 1, got {intents}.")
        self.temperature, self.intents = positive_temperature(temperature), intents
        self.register_parameter("prototypes", None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """Prototypes, Xavier-uniform."""
        self.prototypes = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.intents, dim)))

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        if self.prototypes is None:
            raise RuntimeError("IntentContrast has no prototypes yet: call objective.build(num_ids, dim) first.")
        mixed = normalise((z2 @ self.prototypes.T).softmax(1) @ self.prototypes)
        x = normalise(z1) / self.temperature
        own = None if ids is None else ids[: len(z1)]
        apart, _ = log_partition(x, mixed, row_ids=own, column_ids=ids)
        return softplus(apart - (x * mixed[: len(z1)]).sum(1)), None

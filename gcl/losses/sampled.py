"""Softmax over sampled candidates, corrected for how likely each was drawn."""

import math

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.checks import BUILT, expect, expect_places
from gcl.losses.functional.sampled import sampled_softmax
from gcl.losses.slots.similarities import SimilarityLike, similarity_of
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["SampledSoftmax"]


class SampledSoftmax(Stateful, Objective):
    r"""Sampled softmax: logits s_ij / τ - log Q_j, Q_j the chance that candidate j is in the batch (logQ correction).

    Standard: mean_i -log share of the positive, all columns corrected (the positive not, with
    ``correct_positive=False``). ``refined``: the positive is no sample; mean_i sg(1 - p_i) [ lse_{j ≠ i}(s_ij / τ - log
    Q'_j) - s_ii / τ ], Q' renormalised without the positive, p_i its probability (the weight is known from the paper's
    abstract; the formula is our reading). Columns of the row's id (accidental hits) are hidden.

    ``log_q=`` [M] is taken if given; else, where ids are given and the objective is built, Q is estimated from the
    steps between an id's appearances (Yi et al., RecSys 2019); else it is uniform, which is :class:`InfoNCE` in-batch.
    A constant on all log Q changes nothing in the standard form. All items with Q = 1 is the full softmax,
    :func:`gcl.losses.functional.catalogue_softmax`. Bengio & Senécal (2008); refined: RecSys 2025.

    Args:
        temperature: τ > 0; 1 for dot products.
        similarity: ``dot`` by default.
        refined: leave the positive out of the sample.
        correct_positive: subtract log Q from the positive's logit too (standard form).
        memory: share of the newest gap in an id's running estimate, in (0, 1].
    """

    kind = "pair"
    extra = True
    detached = True
    remembers = True
    reference = "Bengio & Senécal, 2008; Yi et al., RecSys 2019"
    reduces = (
        "InfoNCE of the same similarity with even log_q",
        "catalogue_softmax with all items and log_q = 0",
    )
    slots = {
        "similarity": "as given, dot by default",
        "positives": "aligned rows",
        "negatives": "sampled rows with another id",
        "weighting": "-log Q of the candidate; refined: rows by 1 - p",
        "kernel": "LogRatio(denominator='all'); refined: LogRatio(denominator='negatives')",
    }
    last: Tensor | None
    gap: Tensor | None
    step: Tensor

    def __init__(
        self,
        temperature: float = 1.0,
        similarity: SimilarityLike = "dot",
        refined: bool = False,
        correct_positive: bool = True,
        memory: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 < memory <= 1:
            raise ValueError(f"memory must be in (0, 1], got {memory}.")
        self.temperature, self.similarity = positive_temperature(temperature), similarity_of(similarity)
        if not self.similarity.linear:
            raise ValueError("SampledSoftmax needs a similarity that is an inner product, got one that is transformed.")
        self.refined, self.correct_positive, self.memory = refined, correct_positive, memory
        self.register_buffer("last", None)
        self.register_buffer("gap", None)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def allocate(self, num_ids: int, dim: int) -> None:
        """Steps of last appearance and running gaps of every id."""
        self.last = torch.zeros(num_ids, dtype=torch.long)
        self.gap = torch.zeros(num_ids)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, log_q: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        rows = len(z1)
        if log_q is None:
            log_q = self._estimate(ids, z2)
        expect("log_q", log_q, (len(z2),), "one number a row of z2")
        log_q = log_q.detach().to(z1.dtype)
        z1, z2 = self.similarity.centred(z1, z2)
        left, right = self.similarity.left(z1) / self.temperature, self.similarity.right(z2)
        own = None if ids is None else ids[:rows]
        positive = (left * right[:rows]).sum(1)
        return sampled_softmax(
            positive, left, right, log_q, log_q[:rows], own, ids,
            refined=self.refined, correct_positive=self.correct_positive,
        ), None  # fmt: skip

    @torch.no_grad()
    def _estimate(self, ids: Tensor | None, z2: Tensor) -> Tensor:
        """log Q of every candidate from the running gaps, or uniform."""
        if ids is None or self.gap is None or self.last is None:
            return torch.full_like(z2[:, 0], -math.log(max(len(z2), 1)))
        expect_places("ids", ids, len(self.gap), BUILT)
        if self.training:
            self.step += 1
            seen = torch.unique(ids)
            gap = (self.step - self.last[seen]).to(self.gap.dtype)
            old = self.gap[seen]
            self.gap[seen] = torch.where(old > 0, (1 - self.memory) * old + self.memory * gap, gap)
            self.last[seen] = self.step
        return -self.gap[ids].clamp_min(1.0).log()

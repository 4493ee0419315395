"""Objectives of assignments: clusters, codes, prototypes."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.functional.numerics import normalise
from gcl.losses.slots.candidates import Queue
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["MutualInformation", "SwAV"]


def entropy(p: Tensor) -> Tensor:
    """-Σ p log p over the last axis, 0 log 0 = 0 with a finite slope: the softmax behind p multiplies it by 0."""
    return -(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(-1)


class MutualInformation(Objective):
    r"""Information of cluster assignments: confident rows, balanced clusters.

    z1, z2 are logits of K clusters [B, K], p their softmax. ``marginal``: -(H(mean p) - mean_i H(p_i)), the mean of
    both views; ``joint``: -I(p1; p2) of the symmetrised joint (1/B) Σ_i p1_i p2_iᵀ (IIC). Uniform p: 0; one-hot and
    balanced: -log K. A single value. Krause et al. (NeurIPS 2010); Ji et al., IIC (ICCV 2019).

    Args:
        form: ``marginal`` or ``joint``.
    """

    kind = "pair"
    reference = "Ji et al., ICCV 2019"
    aliases = ("IIC",)
    reduces = ("-log K for one-hot, balanced assignments",)
    slots = {
        "similarity": "cluster probabilities",
        "positives": "aligned rows",
        "negatives": "none",
        "kernel": "Assignment: mutual information",
    }

    def __init__(self, form: Literal["marginal", "joint"] = "marginal") -> None:
        super().__init__()
        if form not in ("marginal", "joint"):
            raise ValueError(f"form must be marginal or joint, got {form!r}.")
        self.form = form

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """The value of the batch, [1]."""
        p, q = z1.softmax(1), z2.softmax(1)
        if self.form == "marginal":
            sides = [entropy(x).mean() - entropy(x.mean(0)) for x in (p, q)]
            return (sides[0] + sides[1])[None] / 2, None
        joint = p.T @ q / max(len(p), 1)
        joint = (joint + joint.T) / 2
        return (entropy(joint.flatten()) - entropy(joint.sum(0)) - entropy(joint.sum(1)))[None], None


@torch.no_grad()
def sinkhorn(scores: Tensor, eps: float, iterations: int) -> Tensor:
    """Codes [n, K] from scores: rows of sum 1, columns near n / K; exp(scores / eps) is scaled in log space."""
    log = scores / eps
    count, width = scores.shape
    for _ in range(iterations):
        log = log - torch.logsumexp(log, 0, keepdim=True) + math.log(max(count, 1) / width)
        log = log - torch.logsumexp(log, 1, keepdim=True)
    return log.exp()


class SwAV(Stateful, Objective):
    r"""Swapped assignments: the codes of one view are predicted from another.

    Scores s_v = z_v Cᵀ of unit rows and unit prototypes C [K, d], learned; codes q_v = Sinkhorn(s_v / ε), rows of sum
    1, columns of B / K, without gradient; L = mean over ordered pairs of views v ≠ w, v among the first ``full``, of
    -Σ_k q_vk log softmax_k(s_w / τ). A queue of past rows of each full view may join before Sinkhorn, for batches
    smaller than K. Equal scores: log K. Caron et al., SwAV (NeurIPS 2020). Freezing prototypes at first is the owner's.

    Args:
        prototypes: K.
        temperature: τ > 0.
        eps: ε > 0.
        iterations: of Sinkhorn.
        full: views that give codes.
        queue: rows of the queue, 0 for none.
    """

    kind = "multiview"
    detached = True
    reference = "Caron et al., NeurIPS 2020"
    reduces = ("cross-entropy of fixed labels where codes are one-hot; log K where all scores are equal",)
    slots = {
        "similarity": "Cosine() to prototypes",
        "positives": "codes of another view",
        "negatives": "other prototypes",
        "temperature": "tau, eps",
        "kernel": "Assignment: Sinkhorn codes, cross-entropy",
        "views": "ordered pairs",
    }

    def __init__(
        self,
        prototypes: int = 100,
        temperature: float = 0.1,
        eps: float = 0.05,
        iterations: int = 3,
        full: int = 2,
        queue: int = 0,
    ) -> None:
        super().__init__()
        if prototypes < 2 or iterations < 1 or full < 1:
            raise ValueError(
                f"prototypes >= 2, iterations >= 1, full >= 1 must hold, got {prototypes}, {iterations}, {full}."
            )
        self.temperature, self.eps = positive_temperature(temperature), positive_temperature(eps, "eps")
        self.count, self.iterations, self.full = prototypes, iterations, full
        self.queues = nn.ModuleList(Queue(queue) for _ in range(full if queue else 0))
        self.register_parameter("prototypes", None)

    def allocate(self, num_ids: int, dim: int) -> None:
        """Prototypes on the sphere."""
        self.prototypes = nn.Parameter(normalise(torch.randn(self.count, dim)))

    def compute(self, views: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every thing [B]."""
        if self.prototypes is None:
            raise RuntimeError("SwAV has no prototypes yet: call objective.build(num_ids, dim) first.")
        z, centres = normalise(views), normalise(self.prototypes)
        scores = z @ centres.T
        logs = (scores / self.temperature).log_softmax(-1)
        total, pairs = torch.zeros_like(scores[0, :, 0]), 0
        for v in range(min(self.full, len(z))):
            codes = self._codes(v, z[v], scores[v], centres)
            for w in range(len(z)):
                if w != v:
                    total, pairs = total - (codes * logs[w]).sum(1), pairs + 1
        return total / pairs, None

    @torch.no_grad()
    def _codes(self, view: int, z: Tensor, scores: Tensor, centres: Tensor) -> Tensor:
        """Codes [B, K] of one view, with its queue."""
        if not self.queues:
            return sinkhorn(scores, self.eps, self.iterations)
        queue = self.queues[view]
        assert isinstance(queue, Queue)
        held, _ = queue.stored()
        codes = sinkhorn(torch.cat([scores, held.to(z.dtype) @ centres.T]), self.eps, self.iterations)[: len(z)]
        if self.training:
            queue.push(z)
        return codes

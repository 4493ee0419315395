"""Objectives whose candidates outlive the batch: queues of keys, of labelled rows, of neighbours."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.contrast import PairPipeline
from gcl.losses.functional.memory import nearest, queue_partition
from gcl.losses.functional.numerics import lse_of, normalise, softplus
from gcl.losses.functional.partition import log_partition
from gcl.losses.scan import ObjectiveLike, objective_of
from gcl.losses.slots.candidates import BalancedQueue, Queue
from gcl.losses.slots.temperatures import TemperatureLike, positive_temperature, temperature_of

__all__ = ["CKD", "NNCLR", "CrossBatchMemory", "MoCo"]


class MoCo(PairPipeline):
    r"""InfoNCE against a queue of past keys.

    L = mean_i -log [ e(z1_i, z2_i) / (e(z1_i, z2_i) + Σ_{c in queue} e(z1_i, c)) ], e(a, c) = exp(cos / τ). z2 are
    keys, usually from a momentum encoder, which its owner keeps. In training they are queued after the loss is taken,
    without gradient. Queue entries of the row's id are hidden. The queue starts empty: random rows would be false
    negatives. An empty queue without ``in_batch`` gives 0.
    He et al., Momentum Contrast (CVPR 2020).

    Args:
        temperature: τ > 0; 0.07 in the first version, 0.2 in the second.
        size: rows of the queue.
        in_batch: other rows of z2 are candidates too.
        age: pushes after which a queued row is no longer a candidate; None: never.
    """

    reference = "He et al., CVPR 2020"
    reduces = (
        "0 with an empty queue and in_batch=False",
        "InfoNCE with an empty queue and in_batch=True",
    )

    def __init__(
        self, temperature: TemperatureLike = 0.2, size: int = 4096, in_batch: bool = False, age: int | None = None
    ) -> None:
        super().__init__(
            temperature=temperature, negatives="cross" if in_batch else "none", candidates=Queue(size, age)
        )


class CKD(Objective):
    r"""Contrastive distillation: a student row finds its teacher row among the batch's and a queue of teacher rows.

    mean_i [ log Σ_c exp(κ <s_i, c>) - κ <s_i, t_i> ], s = unit z1, t = unit z2 detached, c over t and the queue;
    κ = exp(a) learned from a = 1, as in the authors' run script (its parser's default of 20 would give e^20).
    With an empty queue :class:`InfoNCE` on detached candidates. Gao et al., DistilCSE (2021).

    Args:
        temperature: 1 / κ: ``learnable`` from e^-1, or a number.
        size: rows of the queue.
        mse: weight of ||s - t||² / d beside it.
    """

    kind = "pair"
    extra = True
    detached = True
    reference = "Gao et al., 2021"
    aliases = ("DistilCSE",)
    reduces = ("InfoNCE on detached candidates with an empty queue",)
    slots = {
        "similarity": "Cosine()",
        "positives": "the teacher's row",
        "negatives": "the teacher's batch and queue",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(self, temperature: TemperatureLike = "learnable", size: int = 4096, mse: float = 0.0) -> None:
        super().__init__()
        learned = {"name": "learnable", "value": math.exp(-1)}
        self.temperature = temperature_of(learned if temperature == "learnable" else temperature)
        self.queue, self.mse = Queue(size), mse

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        s, t, rows = normalise(z1), normalise(z2).detach(), len(z1)
        x = s / self.temperature((s * t[:rows]).sum(1))[..., None]
        own = None if ids is None else ids[:rows]
        parts = [log_partition(x, t, row_ids=own, column_ids=ids)[0], queue_partition(x, *self.queue.stored(), own)]
        values = softplus(lse_of(*parts) - (x * t[:rows]).sum(1))
        if self.training:
            self.queue.push(t[:rows], own)
        return values + self.mse * (s - t[:rows]).square().mean(1), None


class NNCLR(Objective):
    r"""Neighbours as positives: InfoNCE of n(z1_i) against z2, n(z) the queue's row closest to z, and the other way.

    L = ½ InfoNCE(n(z1) -> z2) + ½ InfoNCE(n(z2) -> z1). Neighbours carry no gradient; where the queue is empty a row is
    its own neighbour and the loss is :class:`CLIPLoss` of a fixed temperature. In training z1 is queued after the loss.
    Dwibedi et al., With a Little Help from My Friends (ICCV 2021).

    Args:
        temperature: τ > 0.
        size: rows of the queue.
    """

    kind = "pair"
    detached = True
    reference = "Dwibedi et al., ICCV 2021"
    reduces = ("CLIPLoss of a fixed temperature while the queue is empty",)
    slots = {
        "similarity": "Cosine()",
        "positives": "partner of the nearest row in the queue",
        "negatives": "rows of the other view",
        "kernel": "LogRatio(denominator='all')",
        "views": "both directions",
    }

    def __init__(self, temperature: float = 0.1, size: int = 16384) -> None:
        super().__init__()
        self.temperature, self.queue = positive_temperature(temperature), Queue(size)

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        a, b = normalise(z1), normalise(z2)
        held, _ = self.queue.stored()
        total = torch.zeros_like(a[:, 0])
        for anchor, other in ((a, b), (b, a)):
            friend = held.index_select(0, nearest(anchor, held)).to(a.dtype) if len(held) else anchor
            x = friend / self.temperature
            apart, _ = log_partition(x, other, row_ids=ids, column_ids=ids)
            total = total + softplus(apart - (x * other).sum(1)) / 2
        if self.training:
            self.queue.push(a, ids)
        return total, None


class CrossBatchMemory(Objective):
    r"""Any labelled objective on the batch together with past labelled rows; only the batch's rows are anchors.

    The rows come from the same encoder a few steps ago, without gradient; they are queued after the loss. An empty
    queue changes nothing. Wang et al., Cross-Batch Memory (CVPR 2020).

    With ``prior`` every label has a queue of its own (:class:`gcl.losses.slots.BalancedQueue`), so that past rows of
    rare labels stay: Suh & Seo's around :class:`GML`.

    Args:
        objective: of kind labelled, with one value a row; a name, mapping or instance.
        size: rows of the queue.
        prior: share of every label 0 .. C - 1 in the queue, or None for the last rows of any label.
    """

    kind = "labelled"
    reference = "Wang et al., CVPR 2020"
    aliases = ("XBM",)
    reduces = ("its objective while the queue is empty",)

    def __init__(
        self, objective: ObjectiveLike = "SupCon", size: int = 4096, prior: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.objective = objective_of(objective)
        if self.objective.kind != "labelled":
            raise ValueError(f"objective must be of kind labelled, got one of kind {self.objective.kind}.")
        self.queue = Queue(size) if prior is None else BalancedQueue(size, prior)
        self.detached = self.objective.detached

    def describe(self) -> dict[str, str]:
        """The slots of the objective, and the queue."""
        inner = self.objective.describe()
        return {**inner, "negatives": f"{inner.get('negatives', 'other rows')}, and a queue of {self.queue.size}"}

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Loss of the batch's rows [N]."""
        if labels.is_floating_point():
            raise ValueError(f"CrossBatchMemory keeps labels as whole numbers, got {labels.dtype}.")
        held, past = self.queue.stored()
        values, valid = self.objective.compute(torch.cat([z, held.to(z.dtype)]), torch.cat([labels, past]))
        if len(values) != len(z) + len(held):
            name = type(self.objective).__name__
            raise ValueError(f"CrossBatchMemory needs an objective with one value a row, {name} gives {len(values)}.")
        if self.training:
            self.queue.push(z, labels)
        return values[: len(z)], None if valid is None else valid[: len(z)]

"""The pipeline of pair objectives: candidates, similarity, margin, temperature, weighting, kernel, directions."""

from typing import Any, Literal

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows, in_order, spell
from gcl.losses.checks import expect
from gcl.losses.functional.negatives import Entries, negative_partition, partner_counts
from gcl.losses.functional.numerics import lse_of
from gcl.losses.functional.partition import log_partition
from gcl.losses.functional.within import within_partition
from gcl.losses.slots.candidates import CandidatesLike, candidates_of
from gcl.losses.slots.kernels import KernelLike, Summary, kernel_of
from gcl.losses.slots.margins import MarginLike, margin_of
from gcl.losses.slots.similarities import SimilarityLike, fitting, similarity_of
from gcl.losses.slots.temperatures import TemperatureLike, temperature_of
from gcl.losses.slots.weightings import WeightingLike, weighting_of

Negatives = Literal["cross", "within", "both", "none"]
Source = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Features of anchors, features of candidates, ids of candidates, what is added to the logits of candidates."""


class PairPipeline(Objective):
    r"""Base of pair objectives that are a choice of slots.

    Row i of z1 has the positive logit p_i = margin(s(z1_i, z2_i)) / τ_i and negative logits s(z1_i, c) / τ_i (+ log
    w_ic), c among rows with another id of z2 (``negatives="cross"``), of z1 (``"within"``), of both, or of none of the
    batch (``"none"``). Rows of z2 beyond B and those of the ``candidates`` join in all but ``"within"``. The kernel
    makes the row's loss from p_i and the log-sum-exp of the negatives. The other direction takes z2's first B rows as
    anchors, with the transposed scores, for which the further rows stand in their own view; a row's loss is
    forward * (z1 -> z2) + (1 - forward) * (z2 -> z1).

    ``log_q=`` [M] are log probabilities with which the things of z2's rows come into a batch. They are subtracted from
    the logits of all candidates, positives too, so that what a batch often holds counts less (Yi et al., RecSys 2019).
    Even ones change nothing where positives and negatives stand in one sum.

    Cost O(B M d) time; beyond the dense budget O((B + M) d) memory. Both directions share one pass over the scores
    where the temperature is a scalar.
    """

    kind = "pair"
    extra = True

    def __init__(
        self,
        *,
        similarity: SimilarityLike = "cosine",
        margin: MarginLike = None,
        temperature: TemperatureLike = 0.2,
        weighting: WeightingLike = None,
        kernel: KernelLike = "all",
        negatives: Negatives = "cross",
        candidates: CandidatesLike = None,
        forward: float = 1.0,
    ) -> None:
        super().__init__()
        if negatives not in ("cross", "within", "both", "none"):
            raise ValueError(f"negatives must be cross, within, both or none, got {negatives!r}.")
        if negatives == "within" and candidates is not None:
            raise ValueError("candidates must not be given with negatives='within', which has no place for them.")
        if not 0 <= forward <= 1:
            raise ValueError(f"forward must be a weight in [0, 1], got {forward}.")
        self.similarity = similarity_of(similarity)
        self.margin = fitting("margin", margin_of(margin), self.similarity)
        self.temperature = temperature_of(temperature)
        self.weighting = fitting("weighting", weighting_of(weighting), self.similarity)
        self.kernel = kernel_of(kernel)
        self.negatives: Negatives = negatives
        self.candidates = candidates_of(candidates)
        self.forward_weight = forward

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, log_q: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        there, back = self.forward_weight, 1 - self.forward_weight
        count = z1.shape[0]
        bias = None if log_q is None else _bias(log_q, z2)
        score = self.similarity.pair(z1, z2[:count])
        if self.candidates is not None:
            keys, own = z2[:count], None if ids is None else ids[:count]
            z2, ids = self._joined_by_candidates(z2, ids, keys, log_q)
            if self.training:
                self.candidates.observe(keys, own)
        self.weighting.observe(score)
        tau = self.temperature(score)
        logit = self._positive(score, z1, tau, bias)
        numbers = self._numbers(ids, count, len(z2), z1.device)
        first, second = self._negatives(z1, z2, ids, bias, score, logit, 1 / tau, numbers)
        values, valid = self._kernel(score, logit, tau, first, numbers[0])
        if not back:
            return values, valid
        logit = self._positive(score, z2[:count], tau, bias)
        other, other_valid = self._kernel(score, logit, tau, second, numbers[1])
        if not there:
            return other, other_valid
        if valid is not None and other_valid is not None:
            valid = valid & other_valid
        return there * values + back * other, valid

    def describe(self) -> dict[str, str]:
        """The slots as they are filled."""
        slots = {"similarity": self.similarity, "margin": self.margin, "temperature": self.temperature}
        parts = {**slots, "weighting": self.weighting, "kernel": self.kernel}
        words = {name: spell(part) for name, part in parts.items()}
        views = "one direction" if self.forward_weight == 1 else f"both directions, {self.forward_weight:g} forward"
        where = {
            "cross": "rows of the other view with another id",
            "within": "rows of the own view with another id",
            "both": "rows of both views with another id",
            "none": "further rows of z2",
        }[self.negatives]
        more = "" if self.candidates is None else f", {spell(self.candidates)}"
        return in_order({**words, "positives": "aligned rows", "negatives": where + more, "views": views})

    def _joined_by_candidates(
        self, z2: Tensor, ids: Tensor | None, keys: Tensor, log_q: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """z2 and its ids with the candidates behind them."""
        assert self.candidates is not None
        if log_q is not None:
            rule = "log_q must not be given beside candidates, whose chances of being there are not known"
            raise ValueError(f"{rule}, got [{len(log_q)}] and {spell(self.candidates)}.")
        rows, held = self.candidates.draw(keys, self.generator)
        return torch.cat([z2, rows]), None if ids is None else torch.cat([ids, held])

    def _positive(self, score: Tensor, anchors: Tensor, tau: Tensor, bias: Tensor | None) -> Tensor:
        """Logit of every row's positive [B]."""
        logit = self.margin(score, torch.linalg.vector_norm(anchors, dim=1)) / tau
        return logit if bias is None else logit + bias[: len(logit)]

    def _numbers(self, ids: Tensor | None, rows: int, columns: int, device: torch.device) -> tuple[Any, Any]:
        """How many negatives every row has [B] in either direction, where a slot asks for it; else infinity."""
        if not (self.kernel.counts or self.weighting.counts):
            return torch.inf, torch.inf
        second = partner_counts(ids, rows, columns, device)
        first = partner_counts(None if ids is None else ids[:rows], rows, rows, device)
        both, far = first + second, second - first
        pairs = {"cross": (second, first), "within": (first, second), "both": (both, both), "none": (far, far)}
        return pairs[self.negatives]

    def _kernel(self, score: Tensor, logit: Tensor, tau: Tensor, negatives: Tensor, number: Tensor | float) -> Rows:
        """Loss of the rows of one direction."""
        factor = self.weighting.positives(score)
        mean = logit if factor is None else factor * logit
        values, valid = self.kernel(Summary(mean, logit, negatives, tau, 1.0, number))
        weight = self.weighting.rows(logit, negatives)
        return values if weight is None else weight * values, valid

    def _negatives(
        self,
        z1: Tensor,
        z2: Tensor,
        ids: Tensor | None,
        bias: Tensor | None,
        score: Tensor,
        logit: Tensor,
        inverse: Tensor,
        numbers: tuple[Any, Any],
    ) -> tuple[Tensor, Tensor]:
        """What the negatives of z1's rows come to, and those of z2's first rows (an empty tensor if not needed)."""
        transform = None if self.similarity.linear else self.similarity.transform
        if self.weighting.entrywise or self.kernel.entrywise:
            reduce = self.kernel.reduce if self.kernel.entrywise else None
            entries = Entries(transform, self.weighting.fixed(), reduce, score, logit)
            return self._sums(z1, z2, ids, bias, inverse, entries)
        plain = Entries(transform)
        tilts = [(f, None if bias is None else bias * f) for f in self.weighting.tilts]
        found = [self._sums(z1, z2, ids, b, inverse * f, plain) for f, b in tilts]
        there = self.weighting.tilted([sums[0] for sums in found], numbers[0])
        if self.forward_weight == 1:
            return there, found[0][1]
        return there, self.weighting.tilted([sums[1] for sums in found], numbers[1])

    def _sums(
        self, z1: Tensor, z2: Tensor, ids: Tensor | None, bias: Tensor | None, inverse: Tensor, entries: Entries
    ) -> tuple[Tensor, Tensor]:
        """Log-sum-exp over the negatives of z1's rows, and of z2's first rows (an empty tensor if not needed)."""
        s, count, back = self.similarity, z1.shape[0], self.forward_weight < 1
        z1, z2 = s.centred(z1, z2)
        left, right = s.left(z1), s.right(z2)
        first = left if s.symmetric else s.right(z1)
        second = (right if count == len(z2) else right[:count]) if s.symmetric else s.left(z2[:count])
        own, near = (None if x is None else x[:count] for x in (ids, bias))
        sources, mirrored, crossed = list[Source](), list[Source](), self.negatives in ("cross", "both")
        if crossed:
            sources.append((left, right, ids, bias))
            mirrored.append((right[:count], left, own, near))
        if self.negatives in ("within", "both"):
            sources.append((left, first, own, near))
            mirrored.append((second, right, ids, bias))
        if self.negatives == "none":
            further = torch.full_like(right[count:, 0], -1, dtype=torch.long) if ids is None else ids[count:]
            weights = None if bias is None else bias[count:]
            sources.append((left, right[count:], further, weights))
            mirrored.append((second, right[count:], further, weights))
        there, home = list[Tensor](), list[Tensor]()
        if not entries.additive:
            sources, mirrored = [_joined(sources)], [_joined(mirrored, same=s.symmetric)]
        elif s.linear and inverse.dim() == 0 and crossed and bias is None:
            row, column = log_partition(left * inverse, right, row_ids=own, column_ids=ids, columns=back)
            there.append(row)
            home.extend([] if column is None else [column[:count]])
            sources, mirrored = sources[1:], mirrored[1:]

        def partition(x: Tensor, y: Tensor, columns: Tensor | None, b: Tensor | None) -> Tensor:
            if x is y and entries.plain and inverse.dim() == 0:
                total = within_partition(x, inverse, ids=columns, bias=b)
                return total if b is None else total - b
            rows = torch.arange(count, device=x.device) if own is None and columns is not None else own
            return negative_partition(x, y, inverse, rows, columns, entries=entries, bias=b)

        there.extend(partition(*source) for source in sources)
        if back:
            home.extend(partition(*source) for source in mirrored)
        return lse_of(*there), lse_of(*home) if home else left.new_empty(0)


def _joined(sources: list[Source], same: bool = True) -> Source:
    """One source of candidates out of several, so that weights are over all of them; ``same``: they share anchors.

    Where they do not, as in the direction back under features of either side, anchors stand side by side and candidates
    are 0 beside those of others.
    """
    if len(sources) == 1:
        return sources[0]
    keys = [torch.arange(y.shape[0], device=y.device) if k is None else k for _, y, k, _ in sources]
    biases = [b for *_, b in sources if b is not None]
    left, right = sources[0][0], torch.cat([y for _, y, *_ in sources])
    if not same:
        left = torch.cat([x for x, *_ in sources], 1)
        right = torch.block_diag(*(y for _, y, *_ in sources))
    return left, right, torch.cat(keys), torch.cat(biases) if biases else None


def _bias(log_q: Tensor, candidates: Tensor) -> Tensor:
    """-log Q of every candidate [M], without gradient."""
    expect("log_q", log_q, (len(candidates),), "one number a row of z2")
    return -log_q.detach().to(candidates.dtype)


class Contrast(PairPipeline):
    """A pair objective composed of slots of your choice; each is a name, a mapping with a name, or an instance.

        Contrast(similarity="dot", temperature=0.5, kernel="negatives", negatives="both", forward=0.5)

    is decoupled contrastive learning with dot products. See :class:`PairPipeline` for what the slots do.

    Args:
        similarity: see :mod:`gcl.losses.slots.similarities`.
        margin: None, a number (taken from the cosine of positives), or see :mod:`gcl.losses.slots.margins`.
        temperature: a number, or see :mod:`gcl.losses.slots.temperatures`.
        weighting: None, or see :mod:`gcl.losses.slots.weightings`.
        kernel: see :mod:`gcl.losses.slots.kernels`.
        negatives: rows of the other view (``cross``), of the own view (``within``), of ``both``, or ``none`` of these.
        candidates: None, or see :mod:`gcl.losses.slots.candidates`.
        forward: weight of the direction z1 -> z2; 1 one direction, 0.5 both alike.
    """

    reference = "composed of slots"
    reduces = ("InfoNCE at its defaults",)

    def __init__(
        self,
        *,
        similarity: SimilarityLike = "cosine",
        margin: MarginLike = None,
        temperature: TemperatureLike = 0.2,
        weighting: WeightingLike = None,
        kernel: KernelLike = "all",
        negatives: Negatives = "cross",
        candidates: CandidatesLike = None,
        forward: float = 1.0,
    ) -> None:
        super().__init__(
            similarity=similarity, margin=margin, temperature=temperature, weighting=weighting, kernel=kernel,
            negatives=negatives, candidates=candidates, forward=forward,
        )  # fmt: skip

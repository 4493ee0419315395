"""Decorators: any objective over many views, relation by relation, or reduced otherwise."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect, expect_places, expect_within
from gcl.losses.combine import adopt, called_often
from gcl.losses.functional.numerics import mean_of, normalise
from gcl.losses.scan import ObjectiveLike, objective_of

__all__ = ["OverViews", "PerRelation", "Reduced"]


class OverViews(Objective):
    r"""A pair objective over V views of the same things: the mean over pairs of views.

    ``pairs``: ``unordered`` {l, m}, V(V - 1)/2 of them, for objectives that are symmetric; ``ordered`` (l, m);
    ``star`` (0, m): view 0 against each other; ``rest``: every view against the mean of the unit rows of the others.
    All but ``rest`` hold every pair apart; :class:`MVInfoNCE` and :class:`PolyView` join them inside one logarithm. The
    objective must not remember its calls. A single value.

    Args:
        objective: of kind pair, without memory; a name, mapping or instance.
        pairs: ``unordered``, ``ordered``, ``star`` or ``rest``.
    """

    kind = "multiview"
    reference = "mean over pairs of views"
    reduces = (
        "its objective with two views (unordered, star)",
        "Symmetric around its objective with two views (ordered)",
    )

    def __init__(
        self,
        objective: ObjectiveLike = "NTXent",
        pairs: Literal["unordered", "ordered", "star", "rest"] = "unordered",
    ) -> None:
        super().__init__()
        if pairs not in ("unordered", "ordered", "star", "rest"):
            raise ValueError(f"pairs must be unordered, ordered, star or rest, got {pairs!r}.")
        self.objective, self.pairs = called_often(objective, "pair of views"), pairs
        self.detached = self.objective.detached

    def describe(self) -> dict[str, str]:
        """The slots of the objective, over pairs of views."""
        return {**self.objective.describe(), "views": f"{self.pairs} pairs of views, averaged"}

    def compute(self, views: Tensor, ids: Tensor | None = None, **options: Any) -> Rows:
        """The mean over pairs, [1]."""
        values = [mean_of(*self.objective.compute(a, b, ids, **options)) for a, b in self._of(views)]
        return torch.stack(values).mean()[None], None

    def _of(self, views: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(views)
        if self.pairs == "rest":
            unit = normalise(views)
            yield from zip(views, (unit.sum(0) - unit) / (count - 1), strict=True)
            return
        for first in range(1 if self.pairs == "star" else count):
            for second in range(0 if self.pairs == "ordered" else first + 1, count):
                if first != second:
                    yield views[first], views[second]


class PerRelation(Objective):
    r"""A pair objective inside every relation or behaviour: Σ_r ω_r L(rows of relation r).

    ``relations=`` [B] says of which of R relations a row of z1 and its partner are (view, cart, buy; kinds of edges);
    rows of other relations are not its negatives. Further rows of z2 serve all; options of an entry a row, as
    ``log_q=``, go with their rows. ω_r is given, or the share of r among the rows of the batch, so that every row
    counts alike. Without ``relations=`` all rows are of relation 0. With ``separate`` every relation has an objective
    of its own: a table of learned temperatures, heads or queues. A single value.

    Args:
        objective: of kind pair; without memory unless ``separate``.
        relations: R.
        weights: ω, R numbers, or None.
        separate: a copy of the objective for every relation.
    """

    kind = "pair"
    reference = "multi-relational contrast"
    reduces = ("its objective with one relation",)

    def __init__(
        self,
        objective: ObjectiveLike = "InfoNCE",
        relations: int = 1,
        weights: Sequence[float] | None = None,
        separate: bool = False,
    ) -> None:
        super().__init__()
        if relations < 1:
            raise ValueError(f"relations must be at least 1, got {relations}.")
        if weights is not None and len(weights) != relations:
            raise ValueError(f"weights must be one a relation, {relations}, got {len(weights)}.")
        many = relations > 1 and not separate
        one = called_often(objective, "relation") if many else _of_kind_pair(objective)
        self.members = nn.ModuleList([one, *(copy.deepcopy(one) for _ in range(relations - 1 if separate else 0))])
        self.relations, self.weights = relations, weights
        adopt(self, [one])

    def describe(self) -> dict[str, str]:
        """The slots of the objective, in every relation."""
        shared = "one objective" if len(self.members) < self.relations else "an objective each"
        inner = self.members[0]
        assert isinstance(inner, Objective)
        return {**inner.describe(), "views": f"{self.relations} relations, {shared}"}

    def compute(
        self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, relations: Tensor | None = None, **options: Any
    ) -> Rows:
        """The weighted sum, [1]."""
        rows = len(z1)
        which = torch.zeros(rows, dtype=torch.long, device=z1.device) if relations is None else relations
        expect("relations", which, (rows,), "one relation a row of z1")
        expect_places("relations", which, self.relations, "the relations that the objective has")
        place, total = torch.arange(len(z2), device=z2.device), z1.new_zeros(())
        for r in range(self.relations):
            mine = place[:rows][which == r]
            if not len(mine):
                continue
            member, columns = self.members[r % len(self.members)], torch.cat([mine, place[rows:]])
            assert isinstance(member, Objective)
            given = None if ids is None else ids[columns]
            own = {name: _of_rows(value, rows, len(z2), mine, columns) for name, value in options.items()}
            value = mean_of(*member.compute(z1[mine], z2[columns], given, **own))
            total = total + (len(mine) / rows if self.weights is None else self.weights[r]) * value
        return total[None], None


def _of_rows(value: Any, rows: int, total: int, mine: Tensor, columns: Tensor) -> Any:
    """The entries of an option for some rows of z2, or of z1 if it has as many; anything else as it is."""
    if not isinstance(value, Tensor) or not value.dim() or len(value) not in (rows, total):
        return value
    return value[columns if len(value) == total else mine]


def _of_kind_pair(value: ObjectiveLike) -> Objective:
    objective = objective_of(value)
    if objective.kind != "pair":
        raise ValueError(f"objective must be of kind pair, got one of kind {objective.kind}.")
    return objective


class Reduced(Objective):
    r"""The rows of an objective, reduced otherwise than by their mean.

    ``sum``; ``nonzero``: the mean over rows whose value is positive, 0 where none is (hinges, Schroff et al., FaceNet,
    CVPR 2015); ``hardest``: the mean over the share q of rows of largest value (Shrivastava et al., CVPR 2016);
    ``classes``: the mean over labels of their means, of a labelled objective, so that rare labels count as much as
    frequent ones; ``weights``: Σ w_i L_i / Σ w_i, w given as ``weights=`` [B]. Rows that do not count are in none. A
    single value, and a mean wherever terms are to be weighed: ``sum`` grows with the batch.

    Args:
        objective: with one value a row; a name, mapping or instance.
        by: ``sum``, ``nonzero``, ``hardest``, ``classes`` or ``weights``.
        share: q in (0, 1], of ``hardest``.
    """

    kind = "pair"
    reference = "reductions"
    reduces = (
        "its objective where all values are positive (nonzero), with share=1 (hardest), or with even weights (weights)",
    )

    def __init__(
        self,
        objective: ObjectiveLike = "InfoNCE",
        by: Literal["sum", "nonzero", "hardest", "classes", "weights"] = "nonzero",
        share: float = 0.5,
    ) -> None:
        super().__init__()
        if by not in ("sum", "nonzero", "hardest", "classes", "weights"):
            raise ValueError(f"by must be sum, nonzero, hardest, classes or weights, got {by!r}.")
        if not 0 < share <= 1:
            raise ValueError(f"share must be in (0, 1], got {share}.")
        self.objective, self.by, self.share = objective_of(objective), by, share
        if by == "classes" and self.objective.kind != "labelled":
            raise ValueError(
                f"by='classes' needs an objective of kind labelled, got one of kind {self.objective.kind}."
            )
        adopt(self, [self.objective])

    def describe(self) -> dict[str, str]:
        """The slots of the objective, and the reduction."""
        detail = f" ({self.share:g})" if self.by == "hardest" else ""
        return {**self.objective.describe(), "reduction": self.by + detail}

    def compute(self, *inputs: Any, weights: Tensor | None = None, **options: Any) -> Rows:
        """The reduced value, [1]; ``weights`` are the objective's own unless they are what is reduced by."""
        if weights is not None and self.by != "weights":
            options["weights"] = weights
        values, valid = self.objective.compute(*inputs, **options)
        kept = torch.ones_like(values, dtype=torch.bool) if valid is None else valid
        values = values.masked_fill(~kept, 0.0)
        if self.by == "sum":
            return values.sum()[None], None
        if self.by == "nonzero":
            return mean_of(values, kept & (values > 0))[None], None
        if self.by == "hardest":
            order = values.detach().masked_fill(~kept, -torch.inf).argsort(descending=True)
            count = (self.share * kept.sum().double()).mul(1 - 1e-12).ceil()  # 0.6 * 25 is above 15
            chosen = torch.zeros_like(kept).index_put((order,), torch.arange(len(order), device=order.device) < count)
            return mean_of(values, chosen)[None], None
        labels = inputs[1] if len(inputs) > 1 else options.get("labels")
        given = self._weights(labels, weights, kept).to(values.dtype)
        return ((given * values).sum() / given.sum().clamp_min(torch.finfo(values.dtype).tiny))[None], None

    def _weights(self, labels: Any, weights: Tensor | None, kept: Tensor) -> Tensor:
        """Weight of every row [B], 0 where it does not count."""
        name = type(self.objective).__name__
        if self.by == "classes":
            if len(kept) != len(labels):
                raise ValueError(f"by='classes' needs one value a row, {name} gives {len(kept)} of {len(labels)}.")
            _, place = torch.unique(labels, return_inverse=True)
            size = torch.zeros(len(kept), dtype=torch.long, device=kept.device).index_add(0, place, kept.long())
            return kept / size[place].clamp_min(1)
        if weights is None:
            raise ValueError("weights must be given with by='weights', got None. Give one weight a row.")
        expect("weights", weights, (len(kept),), f"one weight a value of {name}")
        expect_within("weights", weights, 0, torch.inf, "weights of rows")
        return weights * kept

"""Objectives made of objectives: sums, directions, heads, Pareto weights."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful, remembering
from gcl.losses.functional.numerics import mean_of
from gcl.losses.scan import ObjectiveLike, objective_of

__all__ = ["PerHead", "Sum", "Symmetric", "UncertaintySum", "pareto_weights"]


def _members(objectives: Sequence[ObjectiveLike]) -> nn.ModuleList:
    members = [objective_of(o) for o in objectives]
    if not members:
        raise ValueError("objectives must name at least one objective, got none.")
    kinds = sorted({m.kind for m in members})
    if len(kinds) > 1:
        raise ValueError(f"objectives must be of one kind, got {', '.join(kinds)}.")
    return nn.ModuleList(members)


def _called_often(value: ObjectiveLike, once_a: str) -> Objective:
    """A pair objective that may be called several times a step: a queue or running mean would change in between."""
    objective = objective_of(value)
    if objective.kind != "pair":
        raise ValueError(f"objective must be of kind pair, got one of kind {objective.kind}.")
    kept = remembering(objective)
    if kept:
        raise ValueError(
            f"objective is called once a {once_a}, so one call must change nothing that the next one reads, got "
            f"{type(objective).__name__} (memory: {', '.join(kept)}). Build one a {once_a} and average their values."
        )
    return objective


class Sum(Objective):
    r"""Σ_k w_k L_k of objectives of one kind, each the mean over its own valid rows.

    The kind is theirs. :meth:`terms` gives every L_k undiluted, for the log. A single value.

    Args:
        objectives: names, mappings or instances.
        weights: w, 1 each unless given.
    """

    kind = "pair"
    reference = "weighted sum"
    reduces = ("its objective where there is one, of weight 1",)

    def __init__(
        self, objectives: Sequence[ObjectiveLike] = ("InfoNCE", "AlignUniform"), weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.members = _members(objectives)
        self.weights = list(weights) if weights is not None else [1.0] * len(self.members)
        if len(self.weights) != len(self.members):
            raise ValueError(f"weights must be one an objective, {len(self.members)}, got {len(self.weights)}.")
        _adopt(self, self.members)

    def describe(self) -> dict[str, str]:
        """What is added."""
        parts = [f"{w:g} * {type(m).__name__}" for w, m in zip(self.weights, self.members, strict=True)]
        return {"kernel": " + ".join(parts)}

    def terms(self, *inputs: Any, **options: Any) -> list[Tensor]:
        """Every L_k, a scalar each, without its weight."""
        return [member(*inputs, **options) for member in self.members]

    def compute(self, *inputs: Any, **options: Any) -> Rows:
        """The sum, [1]."""
        values = [mean_of(*_compute(m, inputs, options)) for m in self.members]
        return torch.stack([w * v for w, v in zip(self.weights, values, strict=True)]).sum()[None], None


class UncertaintySum(Objective):
    r"""Σ_k exp(-a_k) L_k + a_k with learned a_k, from 0: terms of larger noise weigh less.

    Kendall et al., Multi-Task Learning Using Uncertainty (CVPR 2018). The kind is that of the objectives; terms should
    not be negative, or their weight grows without bound. A single value.

    Args:
        objectives: names, mappings or instances.
    """

    kind = "pair"
    reference = "Kendall et al., CVPR 2018"
    reduces = ("Sum at the start, all a_k = 0",)

    def __init__(self, objectives: Sequence[ObjectiveLike] = ("InfoNCE", "BYOL")) -> None:
        super().__init__()
        self.members = _members(objectives)
        self.log_variances = nn.Parameter(torch.zeros(len(self.members)))
        _adopt(self, self.members)

    def describe(self) -> dict[str, str]:
        """What is added."""
        parts = [f"exp(-a_{k}) {type(m).__name__} + a_{k}" for k, m in enumerate(self.members)]
        return {"kernel": " + ".join(parts)}

    def compute(self, *inputs: Any, **options: Any) -> Rows:
        """The sum, [1]."""
        values = torch.stack([mean_of(*_compute(m, inputs, options)) for m in self.members])
        return (torch.exp(-self.log_variances) * values + self.log_variances).sum()[None], None


class Symmetric(Objective):
    r"""½ L(z1, z2) + ½ L(z2, z1) of any pair objective.

    It has no place for further rows of z2, which the second call could not hold, nor for objectives that remember their
    calls: each direction needs a queue of its own. A single value.

    Args:
        objective: of kind pair, without memory; a name, mapping or instance.
    """

    kind = "pair"
    reference = "both directions"
    reduces = ("CLIPLoss of a fixed temperature around InfoNCE",)

    def __init__(self, objective: ObjectiveLike = "InfoNCE") -> None:
        super().__init__()
        self.objective = _called_often(objective, "direction")
        _adopt(self, [self.objective])

    def describe(self) -> dict[str, str]:
        """The slots of the objective, both ways."""
        return {**self.objective.describe(), "views": "both directions"}

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, **options: Any) -> Rows:
        """The mean of both calls, [1]."""
        pair = [mean_of(*self.objective.compute(a, b, ids, **options)) for a, b in ((z1, z2), (z2, z1))]
        return (pair[0] + pair[1])[None] / 2, None


class PerHead(Stateful, Objective):
    r"""Mean over heads of a pair objective on W_c z1, W_c z2, W_c [d, d] learned.

    One head a relation, behaviour or aspect; heads are allocated by ``build``, orthogonal at first. Heads share the
    objective, so it must not remember its calls: rows of several heads would meet in one queue. A single value.

    Args:
        objective: of kind pair, without memory; a name, mapping or instance.
        heads: number of heads.
    """

    kind = "pair"
    reference = "several heads"
    reduces = ("its objective with heads=1 at the start, where that does not mind rotations",)

    def __init__(self, objective: ObjectiveLike = "InfoNCE", heads: int = 2) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"heads must be at least 1, got {heads}.")
        self.objective = _called_often(objective, "head")
        self.heads = heads
        self.register_parameter("weight", None)
        _adopt(self, [self.objective])

    def allocate(self, num_ids: int, dim: int) -> None:
        """Heads [C, d, d]."""
        self.weight = nn.Parameter(torch.stack([nn.init.orthogonal_(torch.empty(dim, dim)) for _ in range(self.heads)]))

    def describe(self) -> dict[str, str]:
        """The slots of the objective, in every head."""
        return {**self.objective.describe(), "views": f"{self.heads} heads, averaged"}

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None, **options: Any) -> Rows:
        """The mean over heads, [1]."""
        if self.weight is None:
            raise RuntimeError("PerHead has no heads yet: call objective.build(num_ids, dim) first.")
        values = [mean_of(*self.objective.compute(z1 @ w, z2 @ w, ids, **options)) for w in self.weight.unbind()]
        return torch.stack(values).mean()[None], None


def _compute(member: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Rows:
    assert isinstance(member, Objective)
    return member.compute(*inputs, **options)


def _adopt(owner: Objective, members: Sequence[nn.Module] | nn.ModuleList) -> None:
    """Take over the kind of the members, and what they cannot do."""
    found = [m for m in members if isinstance(m, Objective)]
    owner.kind = found[0].kind
    owner.extra = all(m.extra for m in found) and not isinstance(owner, Symmetric)
    owner.detached = any(m.detached for m in found)


def pareto_weights(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> tuple[float, float]:
    """The weights (λ, 1 - λ) of two losses whose joint gradient is the shortest: MGDA of two tasks.

    λ = clip(<g2 - g1, g2> / ||g1 - g2||², 0, 1), g the gradients of the shared parameters (None counts as 0). Equal
    gradients: ½ each. Sener & Koltun (NeurIPS 2018).
    """
    top, bottom = 0.0, 0.0
    for a, b in zip(first, second, strict=True):
        g1 = torch.zeros_like(b) if a is None and b is not None else a
        g2 = torch.zeros_like(a) if b is None and a is not None else b
        if g1 is None or g2 is None:
            continue
        top += float(((g2 - g1) * g2).sum())
        bottom += float((g1 - g2).square().sum())
    if bottom == 0:
        return 0.5, 0.5
    share = min(max(top / bottom, 0.0), 1.0)
    return share, 1 - share

"""Objectives made of objectives: sums, directions, heads, Pareto weights."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gcl.losses.base import Objective, Rows, Stateful, remembering
from gcl.losses.functional.numerics import mean_of
from gcl.losses.scan import ObjectiveLike, objective_of
from gcl.losses.slots.ramps import WeightLike, ramp_of

__all__ = ["ParetoSum", "PerHead", "Sum", "Symmetric", "UncertaintySum", "pareto_weights"]


def _members(objectives: Sequence[ObjectiveLike]) -> nn.ModuleList:
    members = [objective_of(o) for o in objectives]
    if not members:
        raise ValueError("objectives must name at least one objective, got none.")
    kinds = sorted({m.kind for m in members})
    if len(kinds) > 1:
        raise ValueError(f"objectives must be of one kind, got {', '.join(kinds)}.")
    return nn.ModuleList(members)


def called_often(value: ObjectiveLike, once_a: str) -> Objective:
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
        weights: w, 1 each unless given; a number, or {start, end, calls, shape} for one that moves over so many
            training calls (:class:`gcl.losses.slots.Ramp`).
    """

    kind = "pair"
    reference = "weighted sum"
    reduces = ("its objective where there is one, of weight 1",)

    def __init__(
        self,
        objectives: Sequence[ObjectiveLike] = ("InfoNCE", "AlignUniform"),
        weights: Sequence[WeightLike] | None = None,
    ) -> None:
        super().__init__()
        self.members = _members(objectives)
        given = [1.0] * len(self.members) if weights is None else list(weights)
        if len(given) != len(self.members):
            raise ValueError(f"weights must be one an objective, {len(self.members)}, got {len(given)}.")
        self.weights = nn.ModuleList(ramp_of(w) for w in given)
        adopt(self, self.members)

    def describe(self) -> dict[str, str]:
        """What is added."""
        parts = [f"{w} * {type(m).__name__}" for w, m in zip(self.weights, self.members, strict=True)]
        return {"kernel": " + ".join(parts)}

    def terms(self, *inputs: Any, **options: Any) -> list[Tensor]:
        """Every L_k, a scalar each, without its weight."""
        return [member(*inputs, **options) for member in self.members]

    def compute(self, *inputs: Any, **options: Any) -> Rows:
        """The sum, [1]."""
        values = [mean_of(*_compute(m, inputs, options)) for m in self.members]
        return torch.stack([w() * v for w, v in zip(self.weights, values, strict=True)]).sum()[None], None


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
        adopt(self, self.members)

    def describe(self) -> dict[str, str]:
        """What is added."""
        parts = [f"exp(-a_{k}) {type(m).__name__} + a_{k}" for k, m in enumerate(self.members)]
        return {"kernel": " + ".join(parts)}

    def compute(self, *inputs: Any, **options: Any) -> Rows:
        """The sum, [1]."""
        values = torch.stack([mean_of(*_compute(m, inputs, options)) for m in self.members])
        return (torch.exp(-self.log_variances) * values + self.log_variances).sum()[None], None


class ParetoSum(Objective):
    r"""Σ_k α_k L_k, α the weights whose gradient on the representations is the shortest: no objective is sacrificed.

    α is found anew every call by :func:`pareto_weights` of the gradients on the inputs, an upper bound of those on the
    encoder, and carries no gradient; a direction that lowers all objectives is followed, and where there is none the
    gradient is 0. Costs a backward pass of the objectives more. The kind is
    that of the objectives. A single value. Sener & Koltun, Multi-Task Learning as Multi-Objective Optimization
    (NeurIPS 2018).

    Args:
        objectives: names, mappings or instances.
    """

    kind = "pair"
    detached = True
    reference = "Sener & Koltun, NeurIPS 2018"
    aliases = ("Pareto", "MGDA")
    reduces = ("its objective where there is one, or where all are the same",)

    def __init__(self, objectives: Sequence[ObjectiveLike] = ("InfoNCE", "AlignUniform")) -> None:
        super().__init__()
        self.members = _members(objectives)
        adopt(self, self.members)

    def describe(self) -> dict[str, str]:
        """What is added."""
        return {"kernel": " + ".join(f"a_{k} {type(m).__name__}" for k, m in enumerate(self.members))}

    def compute(self, *inputs: Any, **options: Any) -> Rows:
        """The sum, [1]."""
        tensors = [t for x in inputs for t in (x if isinstance(x, tuple) else (x,)) if isinstance(t, Tensor)]
        leaves = [t for t in tensors if t.requires_grad]
        if not leaves or not torch.is_grad_enabled():
            value = self._apart(inputs, options, bool(leaves))
            learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
            return value if learns else value.detach(), None
        values = torch.stack([mean_of(*_compute(m, inputs, options)) for m in self.members])
        return self._weighed(values, leaves), None

    def _apart(self, inputs: tuple[Any, ...], options: dict[str, Any], asked: bool) -> Tensor:
        """The sum where inputs take no gradient: weights are of those that ask for one, or of all if none does."""
        with torch.enable_grad():
            leaves: list[Tensor] = []

            def leaf(value: Any) -> Any:
                if isinstance(value, tuple):
                    return tuple(leaf(v) for v in value)
                if not isinstance(value, Tensor) or not value.is_floating_point() or value.requires_grad < asked:
                    return value
                leaves.append(value.detach().requires_grad_())
                return leaves[-1]

            inner = tuple(leaf(x) for x in inputs)
            values = torch.stack([mean_of(*_compute(m, inner, options)) for m in self.members])
            return self._weighed(values, leaves)

    def _weighed(self, values: Tensor, leaves: Sequence[Tensor]) -> Tensor:
        """Σ α_k L_k, [1]; even weights where no objective has a gradient."""
        slopes = [torch.autograd.grad(v, leaves, retain_graph=True, allow_unused=True) for v in values]
        if all(g is None for slope in slopes for g in slope):
            return values.mean()[None]
        return (pareto_weights(*slopes).to(values.dtype) * values).sum()[None]


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
        self.objective = called_often(objective, "direction")
        adopt(self, [self.objective])

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
        self.objective = called_often(objective, "head")
        self.heads = heads
        self.register_parameter("weight", None)
        adopt(self, [self.objective])

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


def adopt(owner: Objective, members: Sequence[nn.Module] | nn.ModuleList) -> None:
    """Take over the kind of the members, and what they cannot do."""
    found = [m for m in members if isinstance(m, Objective)]
    owner.kind = found[0].kind
    owner.parts = next((m.parts for m in found if m.parts is not None), None)
    owner.extra = all(m.extra for m in found) and not isinstance(owner, Symmetric)
    owner.detached = owner.detached or any(m.detached for m in found)


def pareto_weights(*gradients: Sequence[Tensor | None], steps: int = 50) -> Tensor:
    r"""The weights α >= 0, Σ α = 1, [K] of K losses whose joint gradient Σ α_k g_k is the shortest.

    g_k are the gradients of loss k by the shared tensors (None counts as 0). Frank-Wolfe on the Gram matrix from even
    weights; exact after one step for two losses, where α_1 = clip(<g2 - g1, g2> / ||g1 - g2||², 0, 1). Gradients that
    are equal keep even weights. Désidéri, MGDA (2012); Sener & Koltun (NeurIPS 2018).
    """
    shared = list(zip(*gradients, strict=True))
    like = next(g for group in shared for g in group if g is not None)
    gram = like.new_zeros(len(gradients), len(gradients))
    # A common factor changes nothing, and squares of very small or large slopes are not numbers.
    most = torch.stack([g.abs().max().to(like) for group in shared for g in group if g is not None and g.numel()]).max()
    unit = torch.where(most > 0, most, 1.0)
    for group in shared:
        some = next((g for g in group if g is not None), None)
        if some is not None:
            flat = torch.stack([(torch.zeros_like(some) if g is None else g).flatten() for g in group]) / unit
            gram = gram + flat @ flat.T
    weights = like.new_full((len(gradients),), 1 / len(gradients))
    for _ in range(1 if len(gradients) == 2 else steps):
        slope = gram @ weights
        towards = torch.nn.functional.one_hot(slope.argmin(), len(gradients)).to(weights.dtype) - weights
        bend = towards @ gram @ towards
        step = torch.where(bend > 0, -(towards @ slope) / bend.clamp_min(torch.finfo(bend.dtype).tiny), 0.0)
        weights = weights + step.clamp(0.0, 1.0) * towards
    return weights

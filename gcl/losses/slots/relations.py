"""Relations: how much every candidate is a positive of every anchor."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.checks import expect, expect_within
from gcl.losses.functional.numerics import normalise
from gcl.losses.slots.resolve import resolve
from gcl.losses.slots.temperatures import positive_temperature


class Relation(Recorded, nn.Module, ABC):
    """Weights >= 0 of pairs of rows, from what is known of each row; 0: not a positive. Without gradient."""

    option: ClassVar[str]
    """The keyword under which what is known is handed to the objective, one entry a candidate; anchors come first."""
    reads_rows: ClassVar[bool] = False
    """Whether :meth:`otherwise` is of the candidates themselves, so that weights move with them, without gradient."""

    def otherwise(self, candidates: Tensor, things: Tensor) -> Tensor | None:
        """What is taken where nothing is given, of the candidates [M, d] and their ids [M]; None: it must be given."""
        return None

    @abstractmethod
    def key(self, value: Tensor, count: int, like: Tensor) -> Tensor:
        """What is compared [count, ...], checked, of ``like``'s type where it is a measure."""

    @abstractmethod
    def weigh(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """Weights [R, n] of a tile of anchors' keys and all candidates' keys; closes over numbers only."""


class Labels(Relation):
    """1 where ``labels=`` [M] are equal; without them, where ids are."""

    option = "labels"

    def otherwise(self, candidates: Tensor, things: Tensor) -> Tensor:
        """The ids."""
        return things

    def key(self, value: Tensor, count: int, like: Tensor) -> Tensor:
        """The labels."""
        expect("labels", value, (count,), "one label a candidate")
        return value

    def weigh(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """1 or 0."""
        return (anchors[:, None] == candidates).to(torch.get_default_dtype())


class Nearness(Relation):
    """k(δ) of the distance δ of ``positions=`` [M]: ``gaussian`` exp(-δ² / (2 σ²)), ``laplacian`` exp(-|δ| / σ)."""

    option = "positions"

    def __init__(self, kernel: Literal["gaussian", "laplacian"] = "gaussian", sigma: float = 1.0) -> None:
        super().__init__()
        if kernel not in ("gaussian", "laplacian"):
            raise ValueError(f"kernel must be gaussian or laplacian, got {kernel!r}.")
        self.kernel, self.sigma = kernel, positive_temperature(sigma, "sigma")

    def key(self, value: Tensor, count: int, like: Tensor) -> Tensor:
        """The positions."""
        expect("positions", value, (count,), "one number a row of z")
        expect_within("positions", value, -math.inf, math.inf, "where or when a row is")
        # Only differences count: of large numbers, as seconds of an epoch, a smaller type would lose them.
        if value.dtype != like.dtype:
            value = value.double() - value.min()
        return value.to(like.dtype)

    def weigh(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """In (0, 1]."""
        gap = (anchors[:, None] - candidates) / self.sigma
        return torch.exp(-gap.square() / 2 if self.kernel == "gaussian" else -gap.abs())


class Teacher(Relation):
    """(cos + 1) / 2 of the rows of ``teacher=`` [M, e], a frozen modality or model; without it, of the candidates."""

    option = "teacher"
    reads_rows = True

    def otherwise(self, candidates: Tensor, things: Tensor) -> Tensor:
        """The candidates."""
        return candidates

    def key(self, value: Tensor, count: int, like: Tensor) -> Tensor:
        """Unit rows."""
        expect("teacher", value, (count, "e"), "one row a row of z2")
        return normalise(value.detach() if value.is_floating_point() else value.to(like.dtype))

    def weigh(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """In [0, 1]."""
        return ((anchors @ candidates.T + 1) / 2).clamp_min(0.0)


class Overlap(Relation):
    """Jaccard overlap |a ∩ b| / |a ∪ b| of ``tags=`` [M, T], 0 or 1 each: several labels a row, 0 where none shared."""

    option = "tags"

    def key(self, value: Tensor, count: int, like: Tensor) -> Tensor:
        """The tags as numbers."""
        expect("tags", value, (count, "T"), "the tags of every candidate")
        tags = value.to(like.dtype)
        expect_within("tags", tags, 0, 1, "which of T tags a row has")
        return tags

    def weigh(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """In [0, 1]."""
        common = anchors @ candidates.T
        union = anchors.sum(1)[:, None] + candidates.sum(1) - common
        return common / union.clamp_min(torch.finfo(common.dtype).tiny)


RELATIONS: dict[str, Callable[..., Relation]] = {
    "labels": Labels,
    "nearness": Nearness,
    "teacher": Teacher,
    "overlap": Overlap,
}

RelationLike = str | Relation | dict[str, Any] | Sequence[str | Relation | dict[str, Any]]


def relations_of(value: RelationLike) -> nn.ModuleList:
    """The relations that a name, mapping, instance, or list of these mean; a list is their product."""
    several = list(value) if isinstance(value, list | tuple) else [value]
    found = [resolve("relation", one, Relation, RELATIONS) for one in several]
    read = [part.option for part in found]
    if not found or len(set(read)) < len(read):
        said = ", ".join(read) or "none"
        raise ValueError(f"relation must be one or several that read different things, got {said}.")
    return nn.ModuleList(found)


def product(relations: Sequence[Relation]) -> Callable[..., Tensor]:
    """The product of the weights, of the keys of all relations for a tile and then for all candidates."""
    parts, count = list(relations), len(relations)

    def weights(*keys: Tensor) -> Tensor:
        return math.prod([r.weigh(keys[i], keys[count + i]) for i, r in enumerate(parts)], start=torch.ones(()))

    return weights

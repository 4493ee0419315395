"""Weightings: factors on negatives, as logarithms added to their logits, and factors on positives and on rows."""

from abc import ABC
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.slots.resolve import resolve


class Weighting(Recorded, nn.Module, ABC):
    """Factors on the terms of a row."""

    entrywise: ClassVar[bool] = False
    """Whether :meth:`negatives` does anything: then tiles of logits are made and weighted."""

    def negatives(self, logits: Tensor, similarities: Tensor) -> Tensor:
        """Logits [R, n] with the log-weights added; a hidden entry is -inf. Row by row, closes over numbers only."""
        return logits

    def positives(self, similarities: Tensor) -> Tensor | None:
        """Factor on the positive logit of every row [B], or None for 1."""
        return None

    def rows(self, positive: Tensor, negatives: Tensor) -> Tensor | None:
        """Factor on every row [B], of its positive logit and the log-sum-exp of its negatives, or None for 1."""
        return None


class Uniform(Weighting):
    """Every entry counts 1."""


WEIGHTINGS: dict[str, Callable[..., Weighting]] = {"uniform": Uniform}

WeightingLike = None | str | Weighting | dict[str, Any]


def weighting_of(value: WeightingLike) -> Weighting:
    """The weighting that None, a name, mapping or instance means."""
    return Uniform() if value is None else resolve("weighting", value, Weighting, WEIGHTINGS)

"""Weights of terms: a number, or one that moves with training."""

import copy
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.slots.resolve import made


class Ramp(Recorded, nn.Module):
    """From ``start`` to ``end`` over ``calls`` training calls, then ``end``: evenly, or ``cosine`` with a soft landing.

    calls = 0 is ``end`` at once, a constant.
    """

    done: Tensor

    def __init__(self, start: float, end: float, calls: int, shape: Literal["linear", "cosine"] = "linear") -> None:
        super().__init__()
        if calls < 0:
            raise ValueError(f"calls must be at least 0, got {calls}.")
        for name, value in (("start", start), ("end", end)):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name} of a weight must be a finite number, got {value!r}.")
        if shape not in ("linear", "cosine"):
            raise ValueError(f"shape must be linear or cosine, got {shape!r}.")
        self.start, self.end, self.calls, self.shape = start, end, calls, shape
        self.remembers = calls > 0
        self.register_buffer("done", torch.zeros((), dtype=torch.long), persistent=self.remembers)

    def forward(self) -> Tensor | float:
        """The weight of now."""
        if not self.calls:
            return self.end
        share = (self.done / self.calls).clamp_max(1.0)
        share = share if self.shape == "linear" else (1 - torch.cos(math.pi * share)) / 2
        if self.training:
            self.done += 1
        return self.start + (self.end - self.start) * share

    def __str__(self) -> str:
        """The weight in words."""
        return f"{self.end:g}" if not self.calls else f"({self.start:g} to {self.end:g} over {self.calls} calls)"


WeightLike = float | Ramp | dict[str, Any]


def ramp_of(value: WeightLike) -> Ramp:
    """The weight that a number, mapping or instance means; an instance as a copy: in two places it would move twice."""
    if isinstance(value, Ramp):
        return copy.deepcopy(value)
    if isinstance(value, dict):
        return made("weight", Ramp, value)
    if not isinstance(value, int | float):
        raise ValueError(f"weights must be numbers, mappings of start, end, calls and shape, or Ramps, got {value!r}.")
    return Ramp(value, value, 0)

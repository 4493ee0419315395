"""Margins: what is taken from the similarity of a positive pair before it is compared."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.slots.resolve import resolve


class Margin(Recorded, nn.Module, ABC):
    """Maps positive similarities [P] to shifted ones [P]."""

    @abstractmethod
    def forward(self, s: Tensor) -> Tensor:
        """Shifted similarities."""


class NoMargin(Margin):
    """s."""

    def forward(self, s: Tensor) -> Tensor:
        """s."""
        return s


class AdditiveShift(Margin):
    """s - m (CosFace); a negative m relaxes the boundary."""

    def __init__(self, m: float = 0.1) -> None:
        super().__init__()
        self.m = m

    def forward(self, s: Tensor) -> Tensor:
        """s - m."""
        return s - self.m


class AngularShift(Margin):
    """cos(arccos(s) + m) (ArcFace); below cos(pi - m) the line s - m sin(pi - m), so that it stays monotone."""

    def __init__(self, m: float = 0.1) -> None:
        super().__init__()
        if not 0 <= m < math.pi:
            raise ValueError(f"m must be an angle in [0, pi), got {m}.")
        self.m = m

    def forward(self, s: Tensor) -> Tensor:
        """cos(m) s - sin(m) sqrt(1 - s²), guarded."""
        sine = (1 - s.square()).clamp_min(10 * torch.finfo(s.dtype).eps).sqrt()
        turned = math.cos(self.m) * s - math.sin(self.m) * sine
        return torch.where(s > math.cos(math.pi - self.m), turned, s - self.m * math.sin(math.pi - self.m))


MARGINS: dict[str, Callable[..., Margin]] = {"none": NoMargin, "additive": AdditiveShift, "angular": AngularShift}

MarginLike = None | float | str | Margin | dict[str, Any]


def margin_of(value: MarginLike) -> Margin:
    """The margin that None, a number (additive), name, mapping or instance means."""
    if value is None:
        return NoMargin()
    if isinstance(value, int | float):
        return AdditiveShift(float(value))
    return resolve("margin", value, Margin, MARGINS)  # type: ignore[type-abstract]

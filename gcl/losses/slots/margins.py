"""Margins: what is taken from the similarity of a positive pair before it is compared."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.slots.resolve import resolve


class Margin(Recorded, nn.Module, ABC):
    """Maps positive similarities s [P], of anchors of length ``norm`` [P], to shifted ones [P]."""

    angular: ClassVar[bool] = False
    """Whether s is read as the cosine of an angle, so that it must be in [-1, 1]."""

    @abstractmethod
    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """Shifted similarities."""


class NoMargin(Margin):
    """s."""

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """s."""
        return s


class AdditiveShift(Margin):
    """s - m (CosFace); a negative m relaxes the boundary."""

    def __init__(self, m: float = 0.1) -> None:
        super().__init__()
        self.m = m

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """s - m."""
        return s - self.m


class SimoShift(Margin):
    """s - τ log(α / K): with K negatives the loss behaves as if there were α. Learning with fewer negatives (SIMO)."""

    def __init__(self, alpha: float, negatives: int, temperature: float) -> None:
        super().__init__()
        if not (alpha > 0 and negatives > 0 and temperature > 0):
            given = f"{alpha}, {negatives}, {temperature}"
            raise ValueError(f"alpha, negatives and temperature must be positive, got {given}.")
        self.m = temperature * math.log(alpha / negatives)

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """s - τ log(α / K)."""
        return s - self.m


def turn(s: Tensor, m: Tensor | float) -> Tensor:
    """cos(arccos(s) + m), m in [0, pi); below cos(pi - m) the line s - m sin(m), so that it stays monotone."""
    angle = torch.as_tensor(m, dtype=s.dtype, device=s.device)
    sine = (1 - s.square()).clamp_min(10 * torch.finfo(s.dtype).eps).sqrt()
    turned = torch.cos(angle) * s - torch.sin(angle) * sine
    return torch.where(s > -torch.cos(angle), turned, s - angle * torch.sin(angle))


class AngularShift(Margin):
    """cos(arccos(s) + m) (ArcFace), continued by a line where the angle would pass pi."""

    angular = True

    def __init__(self, m: float = 0.1) -> None:
        super().__init__()
        if not 0 <= m < math.pi:
            raise ValueError(f"m must be an angle in [0, pi), got {m}.")
        self.m = m

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """cos(arccos(s) + m)."""
        return turn(s, self.m) if self.m else s


class MultipliedAngle(Margin):
    """(-1)^k cos(m θ) - 2k on θ in [kπ/m, (k+1)π/m] (SphereFace), m a whole number; m = 1 leaves s."""

    angular = True

    def __init__(self, m: int = 2) -> None:
        super().__init__()
        if m < 1 or int(m) != m:
            raise ValueError(f"m must be a whole number of at least 1, got {m}.")
        self.m = int(m)

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """Piecewise cos(m θ), falling in θ."""
        edge = 1 - 10 * torch.finfo(s.dtype).eps
        angle = torch.arccos(s.clamp(-edge, edge))
        k = (angle * (self.m / math.pi)).floor().detach()
        return (1 - 2 * (k % 2)) * torch.cos(self.m * angle) - 2 * k


class NormShift(Margin):
    """Angular margin growing with the anchor's length, from ``low`` at ``short`` to ``high`` at ``long`` (MagFace)."""

    angular = True

    def __init__(self, low: float = 0.05, high: float = 0.3, short: float = 0.5, long: float = 2.0) -> None:
        super().__init__()
        if not (0 <= low <= high < math.pi and 0 < short < long):
            raise ValueError(
                f"0 <= low <= high < pi and 0 < short < long must hold, got {low}, {high}, {short}, {long}."
            )
        self.low, self.high, self.short, self.long = low, high, short, long

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """cos(arccos(s) + m(norm))."""
        share = (norm.clamp(self.short, self.long) - self.short) / (self.long - self.short)
        return turn(s, self.low + (self.high - self.low) * share)


class BatchNormShift(Margin):
    """cos(θ - m q) - m q - m, q the anchor's length standardised over the batch, q h clipped to [-1, 1] (AdaFace).

    Lengths carry no gradient. Short anchors get an additive margin, long ones an angular one.
    """

    angular = True

    def __init__(self, m: float = 0.1, h: float = 0.333) -> None:
        super().__init__()
        if not 0 <= m < math.pi / 2:
            raise ValueError(f"m must be an angle in [0, pi / 2), got {m}.")
        self.m, self.h = m, h

    def forward(self, s: Tensor, norm: Tensor) -> Tensor:
        """cos(arccos(s) - m q) - m q - m."""
        norm = norm.detach()
        q = (norm - norm.mean()) / (norm.std(unbiased=False) + torch.finfo(norm.dtype).eps)
        q = (q * self.h).clamp(-1, 1)
        edge = 1 - 10 * torch.finfo(s.dtype).eps
        angle = (torch.arccos(s.clamp(-edge, edge)) - self.m * q).clamp(0, math.pi)
        return torch.cos(angle) - self.m * q - self.m


MARGINS: dict[str, Callable[..., Margin]] = {
    "none": NoMargin,
    "additive": AdditiveShift,
    "simo": SimoShift,
    "angular": AngularShift,
    "multiplied": MultipliedAngle,
    "norm": NormShift,
    "batch_norm": BatchNormShift,
}

MarginLike = None | float | str | Margin | dict[str, Any]


def margin_of(value: MarginLike) -> Margin:
    """The margin that None, a number (additive), name, mapping or instance means."""
    if value is None:
        return NoMargin()
    if isinstance(value, int | float):
        return AdditiveShift(float(value))
    return resolve("margin", value, Margin, MARGINS)

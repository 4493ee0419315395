"""Temperatures: what similarities are divided by."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.slots.resolve import resolve


def positive_temperature(value: float, name: str = "temperature") -> float:
    """The value, if it can be a temperature."""
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"{name} must be a positive number, got {value}.")
    return float(value)


class Temperature(Recorded, nn.Module, ABC):
    """Maps positive similarities [B] to a temperature: a scalar, or one a row [B]."""

    @abstractmethod
    def forward(self, s: Tensor) -> Tensor:
        """Temperature of the rows."""


class Fixed(Temperature):
    """A number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = positive_temperature(value)

    def forward(self, s: Tensor) -> Tensor:
        """The number."""
        return s.new_tensor(self.value)


class Learnable(Temperature):
    """exp(-a), a learned; 1 / temperature never exceeds ``ceiling`` (CLIP: 100)."""

    def __init__(self, value: float = 0.07, ceiling: float = 100.0) -> None:
        super().__init__()
        self.ceiling = ceiling
        self.log_scale = nn.Parameter(torch.tensor(-math.log(positive_temperature(value))))

    def forward(self, s: Tensor) -> Tensor:
        """exp(-min(a, log ceiling))."""
        return torch.exp(-self.log_scale.clamp_max(math.log(self.ceiling)))


TEMPERATURES: dict[str, Callable[..., Temperature]] = {"fixed": Fixed, "learnable": Learnable}

TemperatureLike = float | str | Temperature | dict[str, Any]


def temperature_of(value: TemperatureLike) -> Temperature:
    """The temperature that a number, name, mapping or instance means."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Fixed(value)
    return resolve("temperature", value, Temperature, TEMPERATURES)  # type: ignore[type-abstract]

"""Temperatures: what similarities are divided by."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

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

    needs_positives: ClassVar[bool] = True
    """Whether the values of the similarities count, or only their type and device; then none need be given."""
    remembers: ClassVar[bool] = False
    """Whether a training call changes the next one."""

    @abstractmethod
    def forward(self, s: Tensor) -> Tensor:
        """Temperature of the rows."""


class Fixed(Temperature):
    """A number."""

    needs_positives = False

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = positive_temperature(value)

    def forward(self, s: Tensor) -> Tensor:
        """The number."""
        return s.new_tensor(self.value)


class Learnable(Temperature):
    """exp(-a), a learned; 1 / temperature never exceeds ``ceiling`` (CLIP: 100).

    At the ceiling a gradient that points down still passes, so that the temperature can leave it.
    """

    needs_positives = False

    def __init__(self, value: float = 0.07, ceiling: float = 100.0) -> None:
        super().__init__()
        self.ceiling = ceiling
        self.log_scale = nn.Parameter(torch.tensor(-math.log(positive_temperature(value))))

    def forward(self, s: Tensor) -> Tensor:
        """exp(-min(a, log ceiling))."""
        top, excess = math.log(self.ceiling), self.log_scale.detach() - math.log(self.ceiling)
        kept = self.log_scale - excess.clamp_min(0.0)
        if kept.requires_grad:
            held = self.log_scale.detach() >= top
            kept.register_hook(lambda slope: torch.where(held & (slope < 0), 0.0, slope))
        return torch.exp(-kept)


class Scheduled(Temperature):
    """A cosine wave from ``high`` to ``low`` and back every ``period`` training calls."""

    needs_positives = False
    remembers = True
    calls: Tensor

    def __init__(self, low: float = 0.05, high: float = 0.5, period: int = 1000) -> None:
        super().__init__()
        self.low, self.high = positive_temperature(low, "low"), positive_temperature(high, "high")
        if period < 1:
            raise ValueError(f"period must be at least 1, got {period}.")
        self.period = period
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, s: Tensor) -> Tensor:
        """low + (high - low) (1 + cos(2 pi t / period)) / 2."""
        wave = torch.cos(2 * math.pi * self.calls.to(s.dtype) / self.period)
        if self.training:
            self.calls += 1
        return self.low + (self.high - self.low) * (1 + wave) / 2


class AlignmentAdaptive(Temperature):
    """τ₀ (1 + α (A - A₀)), A the mean positive similarity of the batch without gradient; never below τ₀ / 100."""

    def __init__(self, value: float = 0.1, alpha: float = 0.5, base: float = 0.0) -> None:
        super().__init__()
        self.value, self.alpha, self.base = positive_temperature(value), alpha, base

    def forward(self, s: Tensor) -> Tensor:
        """A scalar."""
        return (self.value * (1 + self.alpha * (s.detach().mean() - self.base))).clamp_min(self.value / 100)


TEMPERATURES: dict[str, Callable[..., Temperature]] = {
    "fixed": Fixed,
    "learnable": Learnable,
    "scheduled": Scheduled,
    "alignment": AlignmentAdaptive,
}

TemperatureLike = float | str | Temperature | dict[str, Any]


def temperature_of(value: TemperatureLike) -> Temperature:
    """The temperature that a number, name, mapping or instance means."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Fixed(value)
    return resolve("temperature", value, Temperature, TEMPERATURES)


def even_temperature_of(value: TemperatureLike) -> Temperature:
    """:func:`temperature_of` for objectives whose rows have no single positive: one that asks for none."""
    temperature = temperature_of(value)
    if temperature.needs_positives:
        raise ValueError(
            "temperature must not depend on the similarity of positives, for rows have no single positive here, "
            f"got {type(temperature).__name__}. Take a number, learnable or scheduled."
        )
    return temperature

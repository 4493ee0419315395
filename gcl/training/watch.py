"""What the steps of an epoch returned: sums on the device, and the first step where a value was not finite."""

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn


class NonFiniteLoss(ArithmeticError):
    """A term of the loss, or its gradient, became NaN or infinite."""


class Watch:
    """Adds up named values step by step without waiting for the device.

    ``sums`` [n] float64 over the steps of the epoch. The first step with a value that is not finite is kept on the
    device with all its values, and found by :meth:`check`.
    """

    def __init__(self, device: torch.device, constants: dict[str, float]) -> None:
        self.device, self.constants = device, constants
        self.names: list[str] = []
        self.sums = torch.zeros(0, dtype=torch.float64, device=device)
        self.steps = 0

    def reset(self, names: Sequence[str] = (), sums: Tensor | None = None, steps: int = 0) -> None:
        """Begin an epoch, or go on inside one."""
        self.names, self.steps = list(names), steps
        empty = torch.zeros(len(self.names), dtype=torch.float64, device=self.device)
        self.sums = empty if sums is None else sums.to(self.device)
        self._bad = torch.full((), -1, dtype=torch.int64, device=self.device)
        self._values = torch.zeros_like(self.sums)

    def add(self, names: list[str], values: Sequence[Tensor], step: int) -> None:
        """Add the scalars of one step of training.

        Raises:
            ValueError: other names than in the first step of the epoch.
        """
        if not self.steps:
            self.reset(names)
        elif names != self.names:
            raise ValueError(
                f"losses must return the same terms in every step of an epoch, got {names} after {self.names}; "
                "return a zero for a term that is absent."
            )
        now = torch.stack([v.detach().double() for v in values])
        self.sums += now
        self.steps += 1
        first = (self._bad < 0) & ~torch.isfinite(now).all()
        self._bad = torch.where(first, step, self._bad)
        self._values = torch.where(first, now, self._values)

    def check(self) -> None:
        """Wait for the device and see whether all was finite.

        Raises:
            NonFiniteLoss: naming step, term, all values of that step, and temperatures.
        """
        if not self.steps or (step := int(self._bad)) < 0:
            return
        values = dict(zip(self.names, self._values.tolist(), strict=True)) | self.constants
        bad = next(name for name in self.names if not -float("inf") < values[name] < float("inf"))
        told = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise NonFiniteLoss(
            f"Step {step}: {bad} is {values[bad]:g} ({told}). Lower train.lr, raise the temperature, or use precision "
            "32; the last checkpoint is from before."
        )

    def means(self) -> dict[str, float]:
        """Mean of every value over the steps of the epoch."""
        return dict(zip(self.names, (self.sums / max(self.steps, 1)).tolist(), strict=True))


def temperatures(model: nn.Module) -> tuple[dict[str, float], dict[str, Callable[[], Tensor]]]:
    """Temperatures in a model by the name of their module: those that are numbers, and how to read those that change.

    A part with parameters or buffers changes. A temperature that depends on the similarity is read at similarity 0;
    reading moves no schedule.
    """
    fixed: dict[str, float] = {}
    learned: dict[str, Callable[[], Tensor]] = {}
    for name, module in model.named_modules():
        part = getattr(module, "temperature", None)
        label = f"temperature/{name}" if name else "temperature"
        if isinstance(part, (int, float)):
            fixed[label] = float(part)
        elif isinstance(part, Tensor) and part.numel() == 1:
            learned[label] = part.detach
        elif isinstance(part, nn.Module):
            read = _reader(part)
            if any(True for _ in chain(part.parameters(), part.buffers())):
                learned[label] = read
            else:
                fixed[label] = float(read())
    return fixed, learned


def _reader(part: nn.Module) -> Callable[[], Tensor]:
    where = next((p.device for p in chain(part.parameters(), part.buffers())), torch.device("cpu"))
    origin = torch.zeros(1, device=where)

    def read() -> Tensor:
        modes = [(module, module.training) for module in part.modules()]
        part.eval()
        try:
            with torch.no_grad():
                return part(origin).mean()
        finally:
            for module, mode in modes:
                module.training = mode

    return read

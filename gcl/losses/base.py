"""What every objective is: a kind, which fixes how it is called, and a scalar that is a mean over valid rows."""

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.losses.checks import check, empty, expect_numbers
from gcl.losses.functional.numerics import mean_of

Kind = Literal["pair", "multiview", "labelled", "ranking", "tuple", "sets"]
Rows = tuple[Tensor, Tensor | None]
"""Unreduced values [n], and which of them count [n] bool; None: all."""
ORDER = ("similarity", "positives", "negatives", "weighting", "temperature", "margin", "kernel", "views")


class Stateful(ABC):
    """Mixin of parts whose state depends on the number of things or on their width."""

    @abstractmethod
    def allocate(self, num_ids: int, dim: int) -> None:
        """Make buffers and parameters for ``num_ids`` things of width ``dim``."""


def remembering(part: nn.Module) -> list[str]:
    """Names of the modules in ``part`` that a training call changes for the next one: those with ``remembers`` set."""
    return sorted({type(m).__name__ for m in part.modules() if getattr(m, "remembers", False)})


class Objective(Recorded, nn.Module, ABC):
    """Base of all objectives.

    ``kind`` fixes the call:

    ========== ============================================ =======================================================
    kind       call                                         meaning
    ========== ============================================ =======================================================
    pair       ``(z1 [B, d], z2 [M, d], ids [M] = None)``   row i of z2 is the positive of row i of z1; rows of z2
                                                            beyond B are further negatives; equal ids are the same
                                                            thing and are never each other's negatives
    multiview  ``(views [V, B, d], ids [B] = None)``        V views of the same B things
    labelled   ``(z [B, d], labels [B])``                   rows with equal labels are positives
    ranking    ``(positive [B], negative [B, m])``          scores of what was chosen and of what was not
    tuple      ``(tuple of [B, d])``                        the same B things in several modalities
    sets       ``(x [n, d], y [m, d])``                     two samples, no pairing
    ========== ============================================ =======================================================

    Calling returns a scalar, the mean over valid rows, or zero attached to the graph where no row is valid or the batch
    has none; :meth:`rows` returns the unreduced values. Half-precision inputs are lifted to float32 and autocast is
    off inside. A subclass is final and implements :meth:`compute`.
    """

    kind: Kind
    reference: ClassVar[str] = ""
    """Paper and year."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names under which it is found."""
    reduces: ClassVar[tuple[str, ...]] = ()
    """What it comes down to and where: each a sibling or a known quantity, and the condition."""
    extra: bool = False
    """Of kind pair: whether z2 may have more rows than z1."""
    parts: int | None = None
    """Of kind tuple: how many tensors it takes; None: two or more."""
    remembers: bool = False
    """Whether a training call leaves what the next call sees in its own buffers; parts, as a queue, say so themselves.

    Then it is to be called once a step.
    """
    detached: bool = False
    """Whether parts of the formula carry no gradient: then the gradient is not that of the value."""
    generator: torch.Generator | None = None
    """Source of randomness of the objectives that draw; None: torch's default."""
    slots: ClassVar[dict[str, str]] = {}
    """The parts it is made of where they are not objects: similarity, positives, negatives, kernel ..."""

    def __init__(self) -> None:
        super().__init__()
        expect_numbers(self.arguments)

    def build(self, num_ids: int, dim: int) -> Self:
        """A copy with its state allocated for ``num_ids`` things of width ``dim``; called once by the owner.

        A copy, because an objective may be a default argument: two owners must not share what one of them trains.
        """
        built = copy.deepcopy(self)
        for part in built.modules():
            if isinstance(part, Stateful):
                part.allocate(num_ids, dim)
        return built

    @abstractmethod
    def compute(self, *inputs: Any, **options: Any) -> Rows:
        """Unreduced values and which of them are valid; inputs are checked and at least float32."""

    def rows(self, *inputs: Any, **options: Any) -> Tensor:
        """Unreduced loss values: one a valid row, or a single one where the loss is of the batch as a whole."""
        values, valid = self._run(inputs, options)
        return values if valid is None else values.masked_select(valid)

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Mean of :meth:`rows`."""
        return mean_of(*self._run(inputs, options))

    def describe(self) -> dict[str, str]:
        """The parts the objective is made of, slot by slot."""
        words = dict(self.slots)
        tau = getattr(self, "temperature", None)
        if tau is not None and "temperature" not in words:
            words["temperature"] = spell(tau) if isinstance(tau, Recorded) else f"Fixed(value={tau!r})"
        return in_order(words)

    def _run(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Rows:
        check(type(self).__name__, self.kind, self.extra, inputs, options)
        if self.parts is not None and len(inputs[0]) != self.parts:
            raise ValueError(f"{type(self).__name__} takes a tuple of {self.parts} tensors, got {len(inputs[0])}.")
        lifted = [_lift(value) for value in inputs]
        first = lifted[0][0] if isinstance(lifted[0], tuple) else lifted[0]
        if empty(self.kind, lifted):
            return _none_of(first, lifted, self), None
        with torch.autocast(first.device.type, enabled=False):
            return self.compute(*lifted, **{name: _lift(value) for name, value in options.items()})


def _none_of(like: Tensor, inputs: list[Any], objective: nn.Module) -> Tensor:
    """No values, [0], on the graph of inputs and parameters: moments and maxima of no rows are not defined."""
    tensors = [t for value in inputs for t in (value if isinstance(value, tuple) else (value,))]
    held = [t for t in [*tensors, *objective.parameters()] if isinstance(t, Tensor) and t.is_floating_point()]
    return torch.cat([t.flatten()[:0].to(like) for t in held])


def spell(part: Any) -> str:
    """A part as ``Name(argument=value, ...)``."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in part.arguments.items())
    return f"{type(part).__name__}({arguments})"


def in_order(slots: dict[str, str]) -> dict[str, str]:
    """The slots in the order in which a row passes through them."""
    return {name: slots[name] for name in ORDER if name in slots} | slots


def _lift(value: Any) -> Any:
    """Half-precision tensors as float32; everything else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, list | tuple):
        return tuple(_lift(v) for v in value)
    return value

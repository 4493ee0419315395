"""A modality: what is known of items as vectors. Several by name, each made when it is first asked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

BLOCK = 4096
"""Rows that are checked at once."""


@dataclass(frozen=True, eq=False)
class Modality:
    """Features of items: ``values`` [num_items, dim] float, ``present`` [num_items] bool (False: row is unknown)."""

    values: Tensor
    present: Tensor

    def __post_init__(self) -> None:
        if self.values.dim() != 2 or not self.values.is_floating_point():
            raise ValueError(
                f"values must be a float matrix [num_items, dim], got {self.values.dtype} {tuple(self.values.shape)}."
            )
        if self.present.shape != self.values.shape[:1] or self.present.dtype != torch.bool:
            raise ValueError(
                f"present must be a bool vector of length {self.values.shape[0]}, "
                f"got {self.present.dtype} {tuple(self.present.shape)}."
            )
        for start in range(0, len(self.values), BLOCK):
            rows = slice(start, start + BLOCK)
            bad = (~torch.isfinite(self.values[rows]).all(1) & self.present[rows]).nonzero()
            if bad.numel():
                row = start + int(bad[0])
                raise ValueError(
                    f"values must be finite where present, but row {row} is not; mark it absent or mend it."
                )

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.values.shape[1]

    def to(self, device: torch.device | str) -> Self:
        """The same features on another device."""
        return type(self)(self.values.to(device), self.present.to(device))


class Modalities(Mapping[str, Modality]):
    """Modalities by name; one that is given as a function is made when it is first asked for, and kept.

    So that a model that reads no features pays nothing for them: names and their number cost nothing.
    """

    def __init__(self, entries: Mapping[str, Modality | Callable[[], Modality]]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Modality:
        found = self._entries[name]
        if not isinstance(found, Modality):
            found = self._entries[name] = found()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def made(self) -> dict[str, Modality]:
        """Those that are there already."""
        return {name: entry for name, entry in self._entries.items() if isinstance(entry, Modality)}

    def to(self, device: torch.device | str) -> "Modalities":
        """The same on another device, moved when they are asked for."""
        return Modalities({name: partial(self._moved, name, device) for name in self})

    def _moved(self, name: str, device: torch.device | str) -> Modality:
        return self[name].to(device)

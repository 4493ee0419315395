"""How a figure was made: what has to be equal before two figures may be compared."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from gcl.errors import InputError, nearest

Exclude = Literal["seen", "train", "none"]
Part = Literal["valid", "test"]
EXCLUDE: tuple[Exclude, ...] = get_args(Exclude)
PARTS: tuple[Part, ...] = get_args(Part)
COLD = "cold"
"""Candidates: the items without train rows alone."""


@dataclass(frozen=True)
class Protocol:
    """The conditions of an evaluation.

    ``split_hash`` of the data, the ``part`` ranked for, cut-offs ``k`` (ascending), what was left out (``exclude``),
    ``candidates`` ("full", "cold", or "uni100" and the like, then with the ``seed`` of their draw, else 0),
    ``min_train`` rows a user needs to be counted, and how many users were ``counted``.
    """

    split_hash: str
    part: str
    k: tuple[int, ...]
    exclude: str
    candidates: str
    min_train: int
    counted: int
    seed: int = 0

    @property
    def id(self) -> str:
        """12 hexadecimal digits, equal for equal conditions."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def suffix(self) -> str:
        """What metric names end with: nothing for full ranking, ``/uni100`` for sampled candidates."""
        return "" if self.candidates == "full" else f"/{self.candidates}"

    def describe(self) -> str:
        """One line for people."""
        left_out = {
            "seen": "train items left out" if self.part == "valid" else "train and valid items left out",
            "train": "train items left out",
            "none": "nothing left out",
        }[self.exclude]
        if self.candidates == "full":
            ranking = f"full ranking, {left_out}"
        elif self.candidates == COLD:
            ranking = f"ranking among items without train rows, {left_out}"
        else:
            ranking = f"ranking among test items and {number_of(self.candidates)} sampled items, seed {self.seed}"
        who = f"{self.counted:,} users" + (f" with at least {self.min_train} train items" if self.min_train else "")
        return f"{self.part}: {ranking}; {who}; k {', '.join(map(str, self.k))}; split {self.split_hash}"

    def difference(self, other: "Protocol") -> str:
        """The fields that differ, with both values; empty for equal protocols."""
        names = [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
        return "; ".join(f"{n} is {getattr(self, n)!r} and {getattr(other, n)!r}" for n in names)

    def to_dict(self) -> dict[str, Any]:
        """The fields and the id, ready for JSON."""
        return {**asdict(self), "k": list(self.k), "id": self.id}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The protocol that :meth:`to_dict` wrote."""
        kept = {name: value for name, value in values.items() if name != "id"}
        return cls(**{**kept, "k": tuple(kept["k"])})


def check_cutoffs(k: int | Sequence[int], num_items: int) -> tuple[int, ...]:
    """``k`` as an ascending tuple without repeats; every entry must lie in 1 .. catalogue."""
    values = [k] if isinstance(k, int) else list(k)
    wrong = [x for x in values if isinstance(x, bool) or not isinstance(x, int) or not 1 <= x <= num_items]
    if wrong or not values:
        raise InputError(
            f"k must hold whole numbers from 1 to {num_items}, the size of the catalogue, got {wrong or k}; "
            "for instance k=[10, 20]."
        )
    return tuple(sorted(set(values)))


def check_choice(argument: str, value: str, valid: Sequence[str]) -> None:
    """An error that names the nearest valid value."""
    if value not in valid:
        raise InputError(f"{argument} must be one of a few names, got {value!r}. {nearest(str(value), valid)}")


def number_of(candidates: str) -> int | None:
    """None for "full" and "cold", N for "uniN"."""
    if candidates in ("full", COLD):
        return None
    match = re.fullmatch(r"uni([1-9]\d*)", str(candidates))
    if match is None:
        raise InputError(
            f"candidates must be 'full', 'cold', or 'uniN', N items drawn uniformly for each user, got {candidates!r}; "
            "for instance 'uni100'."
        )
    return int(match[1])

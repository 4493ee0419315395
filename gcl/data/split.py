"""A split: three disjoint parts of one set of interactions, and how they were made."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import torch

from gcl.data.interactions import Interactions, TrainInteractions

ASIDE = "10 % of train"
"""What ``made`` says of a valid part that was taken out of train."""


@dataclass(frozen=True, eq=False)
class Split:
    """Train, valid and test over the same users and items; ``made`` says how (kind, ratios, order, seed).

    The makers are :func:`gcl.data.ratio`, :func:`gcl.data.leave_one_out`, :func:`gcl.data.by_time` and
    :func:`gcl.data.given`. A pair that stands in two parts is an error.
    """

    train: TrainInteractions
    valid: Interactions
    test: Interactions
    made: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.train, TrainInteractions):
            raise TypeError(f"train must be TrainInteractions, got {type(self.train).__name__}.")
        sizes = {(p.num_users, p.num_items) for p in (self.train, self.valid, self.test)}
        if len(sizes) > 1:
            raise ValueError(f"train, valid and test must share one set of users and items, got sizes {sorted(sizes)}.")
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
            shared = int(parts[a].contains(parts[b].user, parts[b].item).sum())
            if shared:
                raise ValueError(
                    f"{a} and {b} must be disjoint, but {shared} pairs stand in both; remove them from one."
                )

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits over sizes and the pairs of each part: equal for equal content, in any row order."""
        digest = hashlib.sha256(f"{self.train.num_users},{self.train.num_items}".encode())
        for name, part in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            digest.update(name.encode())
            digest.update(part.keys.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def set_aside(self) -> bool:
        """Whether valid was taken out of the train part of a published split that had none."""
        return self.made.get("valid") == ASIDE

    @cached_property
    def seen(self) -> Interactions:
        """Train and valid together: what is known of users when test is ranked."""
        return self.train.union(self.valid)

    def refit(self) -> Self:
        """The split whose train part is train and valid together, valid being empty; test is untouched."""
        nothing = self.valid.select(torch.zeros(0, dtype=torch.int64, device=self.valid.user.device))
        rows = self.seen
        train = TrainInteractions(rows.user, rows.item, rows.num_users, rows.num_items, rows.time, rows.value)
        return type(self)(train, nothing, self.test, {**self.made, "refit": True})

    def to(self, device: torch.device | str) -> Self:
        """The same split on another device."""
        return type(self)(self.train.to(device), self.valid.to(device), self.test.to(device), self.made)

"""A data set: a split, the ids that people know, and what is known of items and users."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gcl.data.interactions import Interactions, TrainInteractions
from gcl.data.split import Split


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
        rows = torch.isfinite(self.values).all(1) | ~self.present
        if not bool(rows.all()):
            bad = int((~rows).nonzero()[0])
            raise ValueError(f"values must be finite where present, but row {bad} is not; mark it absent or mend it.")

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.values.shape[1]

    def to(self, device: torch.device | str) -> Self:
        """The same features on another device."""
        return type(self)(self.values.to(device), self.present.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a recommender is built from and evaluated on.

    ``user_ids`` [num_users], ``item_ids`` [num_items]: external ids as text, at the internal id's position.
    ``item_columns``, ``user_columns``: one numpy array a column, aligned with the ids; text, numbers or lists.
    ``ordered``: whether time orders the interactions of a user. ``card``: the mapping read from the card, or empty.
    """

    name: str
    split: Split
    user_ids: np.ndarray
    item_ids: np.ndarray
    item_columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    user_columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, size, ids, columns in (
            ("user", self.num_users, self.user_ids, self.user_columns),
            ("item", self.num_items, self.item_ids, self.item_columns),
        ):
            for name, column in {f"{kind}_ids": ids, **columns}.items():
                if len(column) != size:
                    raise ValueError(f"{name} must have one entry a {kind}, {size}, got {len(column)}.")
        for name, modality in self.modalities.items():
            if modality.values.shape[0] != self.num_items:
                raise ValueError(
                    f"modality {name!r} must have one row an item, {self.num_items}, got {modality.values.shape[0]}."
                )

    @property
    def num_users(self) -> int:
        """Number of users, those without train rows included."""
        return self.split.train.num_users

    @property
    def num_items(self) -> int:
        """Size of the catalogue, items without train rows included."""
        return self.split.train.num_items

    @property
    def train(self) -> TrainInteractions:
        """The training part."""
        return self.split.train

    @property
    def valid(self) -> Interactions:
        """The part that selection reads."""
        return self.split.valid

    @property
    def test(self) -> Interactions:
        """The part that is reported and never selected on."""
        return self.split.test

    @property
    def ordered(self) -> bool:
        """Whether interactions carry time."""
        return self.split.train.time is not None

    def refit(self) -> Self:
        """The same data set, trained on train and valid together."""
        return replace(self, split=self.split.refit())

    def to(self, device: torch.device | str) -> Self:
        """The same data set with its tensors on another device."""
        modalities = {name: m.to(device) for name, m in self.modalities.items()}
        return replace(self, split=self.split.to(device), modalities=modalities)

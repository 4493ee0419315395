"""A data set: a split, the ids that people know, and what is known of items and users."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch

from gcl.data.interactions import Interactions, TrainInteractions
from gcl.data.modality import Modalities, Modality
from gcl.data.split import Split


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a recommender is built from and evaluated on.

    ``user_ids`` [num_users], ``item_ids`` [num_items]: external ids as text, at the internal id's position.
    ``item_columns``, ``user_columns``: one numpy array a column, aligned with the ids; text, numbers or lists.
    ``modalities``: features of items by name; those made of columns are made when they are first asked for.
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
        there = self.modalities.made() if isinstance(self.modalities, Modalities) else self.modalities
        for name, modality in there.items():
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
        known = self.modalities
        modalities = (known if isinstance(known, Modalities) else Modalities(known)).to(device)
        return replace(self, split=self.split.to(device), modalities=modalities)

"""Popularity: the baseline that knows nothing of the user."""

import torch
from torch import Tensor

from gcl.data import Dataset, Query
from gcl.recommenders.base import Phase, Recommender


class Popularity(Recommender):
    """Score of an item = number of its train interactions, the same for everybody."""

    answers = frozenset({"users", "histories"})
    reference = "the popularity baseline"
    degree: Tensor

    def __init__(self, data: Dataset) -> None:
        super().__init__(data)
        self.register_buffer("degree", torch.zeros(data.num_items))

    def phases(self) -> list[Phase]:
        """None: counting is all."""
        return []

    def fit_closed(self, data: Dataset) -> None:
        """Count the train interactions of every item."""
        self.degree.copy_(data.train.by_item.counts)

    def scores(self, query: Query) -> Tensor:
        """Train degree of every item, [B, num_items]."""
        return self.degree.expand(len(query), -1)

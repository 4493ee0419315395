"""A scorer that is a matrix, and data sets made of lists."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from gcl.data import Dataset, Interactions, Query, Split, TrainInteractions

Lists = Sequence[Sequence[int]]


class Table:
    """Scores are the rows of a matrix, and are handed out without a copy where the users are all of them in order."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.sizes: list[int] = []

    def scores(self, query: Query) -> Tensor:
        self.sizes.append(len(query))
        if torch.equal(query.users, torch.arange(len(self.matrix))):
            return self.matrix
        return self.matrix[query.users]


def interactions(lists: Lists, num_items: int, kind: type[Interactions] = Interactions) -> Interactions:
    user = torch.tensor([u for u, items in enumerate(lists) for _ in items], dtype=torch.int64)
    item = torch.tensor([i for items in lists for i in items], dtype=torch.int64)
    return kind(user, item, len(lists), num_items)


def build(train: Lists, valid: Lists, test: Lists, num_items: int) -> Dataset:
    parts = (interactions(valid, num_items), interactions(test, num_items))
    split = Split(interactions(train, num_items, TrainInteractions), *parts)
    return Dataset("made", split, np.arange(len(train)).astype(str), np.arange(num_items).astype(str))


def random_data(num_users: int, num_items: int, seed: int) -> Dataset:
    """Disjoint random parts; some users lack a part."""
    draws = np.random.default_rng(seed)
    lists: list[list[list[int]]] = [[], [], []]
    for _ in range(num_users):
        order = draws.permutation(num_items).tolist()
        sizes = draws.integers(0, max(2, num_items // 4), 3)
        for part, size in zip(lists, sizes, strict=True):
            part.append([order.pop() for _ in range(size)])
    lists[2][0] = lists[2][0] or [next(i for i in range(num_items) if i not in lists[0][0] + lists[1][0])]
    return build(*lists, num_items)


@pytest.fixture(scope="session")
def table() -> type[Table]:
    return Table


@pytest.fixture(scope="session")
def make_data() -> Callable[..., Dataset]:
    return build


@pytest.fixture(scope="session")
def make_random() -> Callable[[int, int, int], Dataset]:
    return random_data

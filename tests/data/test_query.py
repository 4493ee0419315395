"""Queries: what is known of users before a part is ranked."""

import numpy as np
import pytest
import torch

from gcl.data import Dataset, Interactions, Split, TrainInteractions, query
from gcl.errors import InputError


@pytest.fixture
def data():
    train = TrainInteractions(torch.tensor([0, 0, 2, 0]), torch.tensor([4, 1, 3, 2]), 4, 6, torch.tensor([5, 1, 2, 9]))
    valid = Interactions(torch.tensor([0, 1]), torch.tensor([0, 5]), 4, 6, torch.tensor([7, 3]))
    test = Interactions(torch.tensor([0]), torch.tensor([3]), 4, 6, torch.tensor([10]))
    return Dataset("made", Split(train, valid, test), np.arange(4).astype(str), np.arange(6).astype(str))


def test_history_is_train_for_valid(data):
    asked = query(data, torch.tensor([2, 0, 3]), "valid")
    assert asked.users.tolist() == [2, 0, 3]
    assert asked.history.tolist() == [[3, 0, 0], [1, 4, 2], [0, 0, 0]]
    assert asked.length.tolist() == [1, 3, 0]


def test_history_is_train_and_valid_for_test_in_order_of_time(data):
    asked = query(data, torch.arange(4), "test")
    assert asked.history.tolist() == [[1, 4, 0, 2], [5, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]]
    assert asked.length.tolist() == [4, 1, 1, 0]


def test_users_without_history_get_a_padded_row(data):
    asked = query(data, torch.tensor([3]), "valid")
    assert asked.history.shape == (1, 1) and asked.length.tolist() == [0]
    assert len(query(data, torch.zeros(0, dtype=torch.int64), "valid")) == 0


def test_wrong_questions_are_errors(data):
    with pytest.raises(InputError, match="part must be 'valid' or 'test', got 'train'"):
        query(data, torch.tensor([0]), "train")
    with pytest.raises(InputError, match=r"users must lie in \[0, 4\), got 0 .. 4"):
        query(data, torch.tensor([0, 4]), "valid")

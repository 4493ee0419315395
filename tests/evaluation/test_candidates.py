"""Sampled candidates: exact, distinct, uniform, repeatable."""

import pytest
import torch

from gcl.evaluation.candidates import draw


@pytest.mark.parametrize("number", [1, 5, 12, 40])
def test_never_a_positive_distinct_and_complete(make_random, number):
    data = make_random(40, 30, 3)
    users = torch.arange(40).flip(0)
    rows = draw(data, users, number, 0)
    for place, user in enumerate(users.tolist()):
        items = rows.indices[rows.indptr[place] : rows.indptr[place + 1]].tolist()
        known = {
            i for part in (data.train, data.valid, data.test) for i in part.item[part.user == user].tolist()
        }  # fmt: skip
        assert not known & set(items)
        assert len(items) == len(set(items)) == min(number, 30 - len(known))
        assert items == sorted(items)


def test_seed_decides(make_random):
    data = make_random(20, 50, 1)
    users = torch.arange(20)
    first = draw(data, users, 5, 0).indices
    assert torch.equal(first, draw(data, users, 5, 0).indices)
    assert not torch.equal(first, draw(data, users, 5, 1).indices)


def test_every_set_is_equally_likely(make_data):
    data = make_data([[1, 4]] * 9000, [[]] * 9000, [[6]] * 9000, 7)
    rows = draw(data, torch.arange(9000), 2, 5).indices.view(-1, 2)
    sets, counts = rows.unique(dim=0, return_counts=True)
    assert sets.tolist() == [[0, 2], [0, 3], [0, 5], [2, 3], [2, 5], [3, 5]]
    expected = 9000 / 6
    assert float(((counts - expected) ** 2 / expected).sum()) < 20.5, "chi square with 5 degrees of freedom, p < 0.001"

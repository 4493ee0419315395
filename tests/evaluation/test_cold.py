"""Ranking among items without train rows."""

import pytest
import torch

from gcl.errors import InputError
from gcl.evaluation import evaluate


class Scores:
    def __init__(self, rows):
        self.rows = torch.tensor(rows)

    def scores(self, query):
        return self.rows[query.users]


def test_cold_candidates_are_ranked_alone(make_data):
    # items 3, 4, 5 have no train row; user 1 has no cold item in test
    data = make_data([[0, 1], [2, 0], [1]], [[3], [], []], [[4, 2], [1], [5, 0]], 6)
    scorer = Scores([[9.0, 9, 9, 8, 1, 2], [1.0, 9, 9, 9, 9, 9], [9.0, 9, 9, 3, 2, 1]])
    made = evaluate(scorer, data, "test", k=[1, 2], candidates="cold")
    assert made.users.tolist() == [0, 2]
    # user 0: 3 was seen in valid, then 5, 4; user 2: 3, 4, 5
    assert made.per_user["recall@2/cold"].tolist() == [1.0, 0.0] and made.per_user["recall@1/cold"].tolist() == [0, 0]
    popular = [g for g in made.groups if g.kind == "popularity"]
    assert [bool(g.metrics) for g in popular] == [g.low == 0 for g in popular], "warm items are not to be found"
    assert len(popular) > 1
    assert "ranking among items without train rows" in made.protocol.describe()
    assert evaluate(scorer, data, "test", k=2).protocol.id != made.protocol.id
    train = evaluate(scorer, data, "test", k=2, candidates="cold", exclude="train").per_user
    assert train["recall@2/cold"].tolist() == [0.0, 0.0]


def test_a_list_of_all_cold_items_is_refused(make_data):
    data = make_data([[0, 1], [2, 0], [1]], [[3], [], []], [[4, 2], [1], [5, 0]], 6)
    with pytest.raises(InputError, match=r"k must be smaller than 3, the number of items without train rows .*, got 3"):
        evaluate(Scores(torch.rand(3, 6).tolist()), data, "test", k=[1, 3], candidates="cold")


def test_without_cold_items_there_is_nothing_to_rank(make_data):
    data = make_data([[0, 1], [2]], [[], [1]], [[2], [0]], 3)
    with pytest.raises(InputError, match=r"test of '.*' has none of them; hold some out with data\.split=cold_items"):
        evaluate(Scores([[1.0, 2, 3]] * 2), data, "test", k=1, candidates="cold")

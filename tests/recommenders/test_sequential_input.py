"""Bad and scarce input of sequential recommenders: what happens is stated, and happens."""

import numpy as np
import pytest
import torch

import gcl
from gcl.data import Query, from_arrays, loader, query
from gcl.data.plan import Plan
from gcl.errors import InputError
from gcl.evaluation import evaluate
from gcl.recommenders.sequential.gru4rec import GRU4Rec
from gcl.recommenders.sequential.sasrec import SASRec
from gcl.testing import tiny_dataset

SMALL = {"dim": 8, "inner": 16, "dropout": 0.1}
TRAIN = {"epochs": 1, "batch_size": 16, "metric": "ndcg@5"}
FAST = {"train": TRAIN, "evaluate": {"k": [5]}, "progress": False, "plain": True}


def loo(users, items, time):
    return from_arrays(np.array(users), np.array(items), np.array(time), plan=Plan(split="leave_one_out"))


def test_short_sequences_stay_in_train_and_are_not_counted():
    data = loo(["a"] * 5 + ["b"] * 2 + ["c"] + ["d"] * 3, [*range(5), 1, 2, 3, 0, 1, 4], range(11))
    assert data.train.by_user.counts.tolist() == [3, 2, 1, 1]
    model = SASRec(data, **SMALL)
    rows = torch.cat([batch.users for batch in loader(data, model.sampling, 2, torch.Generator().manual_seed(0))])
    assert sorted(rows.tolist()) == [0, 1]
    found = evaluate(model, data, "test", k=(2,))
    assert found.users.tolist() == [0, 3] and bool(torch.isfinite(found.per_user["ndcg@2"]).all())


def test_equal_times_keep_the_order_of_rows_through_split_and_training():
    data = loo(["a"] * 5 + ["b"] * 4, [4, 3, 2, 1, 0, 0, 1, 2, 3], [7] * 9)
    ids = data.item_ids.astype(int)
    model = SASRec(data, **SMALL)
    batch = next(iter(loader(data, model.sampling, 4, torch.Generator().manual_seed(0))))
    rows = {
        user: [int(ids[item]) for item in (*history[:n], last)]
        for user, history, n, last in zip(
            *(t.tolist() for t in (batch.users, batch.history, batch.length, batch.items)), strict=True
        )
    }
    assert rows == {0: [4, 3, 2], 1: [0, 1]}
    assert ids[data.valid.item].tolist() == [1, 2] and ids[data.test.item].tolist() == [0, 3]


def test_an_item_of_test_alone_can_be_ranked_and_asked_about():
    data = loo(["a"] * 4 + ["b"] * 4, [0, 1, 2, 9, 1, 0, 2, 3], range(8))
    model = GRU4Rec(data, dim=8, hidden=8)
    only = data.item_ids.tolist().index("9") if "9" in data.item_ids.tolist() else data.item_ids.tolist().index(9)
    assert data.train.by_item.counts[only] == 0
    assert evaluate(model, data, "test", k=(5,)).metrics["recall@5"] == 1
    scores = model.eval().scores(Query(history=torch.tensor([[only]]), length=torch.tensor([1])))
    assert bool(torch.isfinite(scores).all())


@pytest.mark.parametrize("width", [0, 3])
def test_an_empty_history_likes_all_items_equally(width):
    model = SASRec(tiny_dataset(), **SMALL).eval()
    scores = model.scores(Query(history=torch.zeros(2, width, dtype=torch.int64), length=torch.zeros(2, dtype=int)))
    assert scores.shape == (2, 18) and bool((scores == 0).all())


def test_a_history_longer_than_the_limit_trains_on_its_latest_items():
    data = loo(["a"] * 12 + ["b"] * 4, [*range(12), 0, 1, 2, 3], range(16))
    model = SASRec(data, **SMALL, max_length=4)
    batch = next(iter(loader(data, model.sampling, 4, torch.Generator().manual_seed(0))))
    assert batch.history.shape[1] == 4 and int(batch.length.max()) == 4
    assert bool(torch.isfinite(model.losses(batch)["next"]))
    assert query(data, torch.tensor([0]), "test").history.shape[1] == 11


def test_lengths_out_of_range_are_named():
    model = SASRec(tiny_dataset(), **SMALL).eval()
    with pytest.raises(InputError, match=r"length of a history must lie in \[0, 2\], its width, got 3 .. 3"):
        model.scores(Query(history=torch.tensor([[1, 2]]), length=torch.tensor([3])))


def test_parts_drawn_at_random_are_taken_with_a_warning(caplog):
    columns = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6), np.arange(30)
    plans = {"random": ("ratio", "random"), "time": ("ratio", "time"), "loo": ("leave_one_out", "random")}
    told = {}
    for name, (split, order) in plans.items():
        caplog.clear()
        SASRec(from_arrays(*columns, plan=Plan(split=split, order=order)), **SMALL)
        told[name] = "histories hold what came after a target" in caplog.text
    assert told == {"random": True, "time": False, "loo": False}


def test_a_set_without_time_is_refused_before_training(tmp_path):
    with pytest.raises(InputError, match="GRU4Rec needs the order of interactions, and 'tiny' has no time column"):
        gcl.fit("GRU4Rec", tiny_dataset(time=False), out=tmp_path / "run", **FAST)


def test_a_run_recommends_after_a_history(tmp_path):
    data = tiny_dataset()
    run = gcl.fit("SASRec", data, out=tmp_path / "run", **SMALL, **FAST, max_length=4)
    histories = [["i3"], ["i3", "i3", "i5"], [f"i{i}" for i in range(9)]]
    for history in histories:
        (rows,) = run.recommend(history=history, k=5).values()
        assert len(rows) == 5 and not {row.item for row in rows} & set(history)
    one, other = (next(iter(run.recommend(history=["i1", "i2", *tail], k=9).values())) for tail in (["i7"], ["i6"]))
    assert [row.score for row in one] != [row.score for row in other]
    with pytest.raises(InputError, match="Unknown item 'i99'"):
        run.recommend(history=["i99"], k=3)

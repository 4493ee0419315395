"""The same model, settings and split come to the same quality in gcl's loop and in RecBole's trainer."""

import pytest

import gcl
from gcl import recbole


@pytest.mark.slow
@pytest.mark.data
def test_both_trainers_reach_one_quality(gcl_data, tmp_path):
    train = {"epochs": 6, "lr": 0.02, "batch_size": 2048, "metric": "ndcg@20"}
    ours = gcl.fit("LightGCN", "ml-100k", dim=16, layers=1, train=train, plain=True, progress=False, out=tmp_path / "a")
    settings = {"model": {"dim": 16, "layers": 1}, "train": train}
    theirs = recbole.fit("gcl:LightGCN", "ml-100k", settings=settings, plain=True, out=tmp_path / "b")
    assert theirs.result["split_hash"] == ours.result["split_hash"]
    for metric in ("recall@20", "ndcg@20"):
        one, two = (run.result["metrics"]["test"][metric] for run in (ours, theirs))
        assert one > 0.15 and two == pytest.approx(one, abs=0.02)

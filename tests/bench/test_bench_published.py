"""Published figures stand beside ours only under their own protocol."""

from dataclasses import replace

import pytest

from gcl.bench import parse
from gcl.bench.plan import plan
from gcl.bench.published import check, gaps, metrics, remark
from gcl.bench.tables import figure
from gcl.errors import InputError
from gcl.evaluation import Protocol

OURS = {"recall@20": figure([0.24, 0.26]), "ndcg@20": figure([0.18])}
PROTOCOL = Protocol("0" * 16, "test", (10, 20), "train", "full", 0, 1860)


def told(tmp_path, protocol=PROTOCOL, cut=False, settings=None, name="LightGCN", **entry):
    tree = {
        "datasets": "lastfm-adagcl",
        "settings": {"evaluate.exclude": "train", **(settings or {})},
        "models": {name: entry},
    }
    made = plan(parse(tree, "b"), tmp_path, "b")
    return gaps(made.rows[0], made.finals(made.rows[0], {})[0], protocol, OURS, cut)


def test_gap(tmp_path):
    first, second = told(tmp_path)
    assert (first.method, first.metric, first.published) == ("LightGCN", "recall@20", 0.2349)
    assert first.gap == pytest.approx(0.25 - 0.2349)
    assert second.metric == "ndcg@20"
    assert "table 2" in remark("lastfm-adagcl")
    assert metrics("lastfm-adagcl") == ["recall@20", "ndcg@20"]
    assert (metrics("ml-100k"), metrics("no/card.csv"), remark("ml-100k")) == ([], [], "")


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": replace(PROTOCOL, exclude="seen")},
        {"protocol": replace(PROTOCOL, candidates="uni100")},
        {"protocol": replace(PROTOCOL, min_train=5)},
        {"cut": True},
        {"settings": {"data.min_user": 5}},
        {"settings": {"data.split": "ratio"}},
        {"name": "SimGCL"},
        {"name": "SGL", "settings": {"objective": "DCL"}},
        {"name": "BPR", "engine": "recbole"},
    ],
)
def test_no_gap_where_something_differs(tmp_path, changes):
    assert told(tmp_path, **changes) == ()


def test_an_entry_may_name_the_published_row(tmp_path):
    assert {g.method for g in told(tmp_path, name="SGL/DCL", model="SGL", published="SGL")} == {"SGL"}
    assert told(tmp_path, name="SGL", objectives=["DCL"]) == ()
    assert {g.method for g in told(tmp_path, name="SGL")} == {"SGL"}


def test_a_published_row_that_no_card_has(tmp_path):
    tree = {"datasets": "lastfm-adagcl", "models": {"LightGCN": {"published": "LightGNC"}}}
    text = (
        r"b: models.LightGCN.published: there are no figures of 'LightGNC' for lastfm-adagcl. Did you mean 'LightGCN'"
    )
    with pytest.raises(InputError, match=text):
        check(parse(tree, "b"), "b")
    tree["models"]["LightGCN"]["published"] = "SGL"
    check(parse(tree, "b"), "b")

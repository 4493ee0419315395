"""Tables of items: their columns, and items that nobody has used."""

import logging

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gcl.data import Plan, from_dataframe, load, read_items
from gcl.errors import InputError

ROWS = "user,sku\n" + "".join(f"u{u},{i}\n" for u in range(4) for i in (2, 10, 30) if (u + i) % 5 and (u, i) != (1, 10))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "items.csv").write_text('sku,title,price,code\n10,"Tea, green",2.5,07\n2,Cup,,8\n7,Pot,3,x\n\n')
    return tmp_path


def test_a_table_gives_columns(folder):
    data = load(folder / "rows.csv", items=folder / "items.csv", modalities={"text": {"columns": ["title", "price"]}})
    assert data.item_ids.tolist() == ["2", "10", "30"]
    assert data.item_columns["title"].tolist() == ["Cup", "Tea, green", ""]
    assert data.item_columns["price"].tolist()[1] == 2.5 and np.isnan(data.item_columns["price"][[0, 2]]).all()
    assert data.item_columns["code"].tolist() == ["8", "07", ""]
    assert data.modalities["text"].present.tolist() == [True, True, False]


def test_unseen_items_are_in_the_catalogue_and_filtered_ones_are_not(folder, caplog):
    plain = load(folder / "rows.csv", items=folder / "items.csv")
    with caplog.at_level(logging.INFO, "gcl.data"):
        data = load(folder / "rows.csv", items=folder / "items.csv", unseen=True)
    assert "1 items of the table of items have no row" in caplog.text
    assert data.item_ids.tolist() == ["2", "7", "10", "30"] and data.num_items == plain.num_items + 1
    for part in ("train", "valid", "test"):
        mine, theirs = getattr(data, part), getattr(plain, part)
        assert data.item_ids[mine.item].tolist() == plain.item_ids[theirs.item].tolist()
        assert mine.user.tolist() == theirs.user.tolist()
    assert int(data.train.by_item.counts[1]) == 0 and data.item_columns["title"][1] == "Pot"
    assert data.split.hash != plain.split.hash
    fewer = load(folder / "rows.csv", items=folder / "items.csv", unseen=True, min_item=3, ratios=(1, 0, 0))
    assert fewer.item_ids.tolist() == ["2", "7", "30"], "what was filtered out stays out"


def test_features_of_unseen_items(folder):
    np.save(folder / "look.npy", np.arange(31.0)[:, None] + 1)
    data = load(folder / "rows.csv", items=folder / "items.csv", unseen=True, modalities={"look": folder / "look.npy"})
    assert data.modalities["look"].values[:, 0].tolist() == [3, 8, 11, 31]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_frames(kind):
    rows = pd.DataFrame({"user": ["a", "a", "b", "b"], "item": ["x", "y", "x", "y"]})
    items = read_items(kind({"item": ["y", "z"], "title": ["Why", None]}))
    data = from_dataframe(rows, plan=Plan(ratios=(1, 0, 0), items=items, unseen=True))
    assert data.item_ids.tolist() == ["x", "y", "z"] and data.item_columns["title"].tolist() == ["", "Why", ""]


def test_an_atomic_table_and_one_of_ids_alone(folder):
    (folder / "more.item").write_text("item_id:token\tclass:token_seq\n7\ta b\n")
    assert read_items(folder / "more.item").to_dict(as_series=False) == {"id": ["7"], "class": [["a", "b"]]}
    (folder / "ids.csv").write_text("item\n007\n7\n")
    assert read_items(folder / "ids.csv")["id"].to_list() == ["007", "7"]


def test_errors(folder):
    with pytest.raises(InputError, match=r"^items: there is no file .*nothing\.csv; name a table of items"):
        load(folder / "rows.csv", items=folder / "nothing.csv")
    with pytest.raises(InputError, match=r"^unseen=True needs a table of items, and .*rows\.csv has none; name one"):
        load(folder / "rows.csv", unseen=True)
    (folder / "bad.csv").write_text("item,title\nx2,a\n")
    with pytest.raises(InputError, match=r"^items: none of the ids .*; it has ids such as \['x2'\], .* such as '2'\."):
        load(folder / "rows.csv", items=folder / "bad.csv", unseen=True)
    (folder / "bad.csv").write_text("item,title,title\n1,a,b\n")
    with pytest.raises(InputError, match=r"bad\.csv: every column must have a name of its own in the header, got"):
        read_items(folder / "bad.csv")
    (folder / "bad.csv").write_text("item,title\n,a\n")
    with pytest.raises(InputError, match=r"bad\.csv: the column 'item' must name the item in every row"):
        read_items(folder / "bad.csv")

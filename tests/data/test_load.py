import json
import logging

import numpy as np
import pytest
import scipy.sparse as sp

from gcl.data import from_atomic, from_csv, from_lists, from_mmrec, load
from gcl.data.plan import Plan
from gcl.errors import InputError

ALL = {"ratios": (1, 0, 0)}


def pairs(data, part="train"):
    rows = getattr(data, part)
    named = zip(data.user_ids[rows.user], data.item_ids[rows.item], strict=True)
    return [(str(u), str(i)) for u, i in named]


@pytest.fixture
def write(tmp_path):
    def _write(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding)
        return path

    return _write


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("user_id,item,rating,ts\na,x,3,10\nb,y,4,20\n", ","),
        ("user_id\titem\trating\tts\na\tx\t3\t10\nb\ty\t4\t20\n", "\t"),
        ("user_id;item;rating;ts\r\na;x;3;10\r\nb;y;4;20", ";"),
        ("\ufeffuser_id|item|rating|ts\na|x|3|10\nb|y|4|20\n", "|"),
        ("user_id::item::rating::ts\na::x::3::10\nb::y::4::20\n", "::"),
        ('"user_id", "item", "rating", "ts"\n"a","x",3,10\n"b","y",4,20\n', ","),
    ],
)
def test_separators_are_found_and_told(write, caplog, text, separator):
    path = write("r.csv", text)
    with caplog.at_level(logging.INFO, "gcl.data"):
        data = load(path, **ALL)
    assert pairs(data) == [("a", "x"), ("b", "y")]
    assert data.train.value.tolist() == [3, 4]
    assert data.train.time.tolist() == [10, 20]
    assert f"separated by {separator!r}" in caplog.text
    assert "user = 'user_id', item = 'item', time = 'ts', value = 'rating'" in caplog.text
    assert data.name == "r"


@pytest.mark.parametrize(
    "text",
    [
        "\nuser,item\n1,2\n3,4\n",
        "\ufeff\r\n \r\nuser,item\r\n1,2\r\n3,4\r\n",
        "user,item\n\n\n1,2\n3,4\n",
        "user,item\n1,2\n\n  \n3,4\n\n\n",
        "\n1,2\n\n3,4\n",
        "\nuser::item\n\n1::2\n\n3::4",
        "\nuser_id\titem_id\n\n1\t2\n\n3\t4\n",
        'user,item\n\n"1",2,\n3,4,\n',
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "inter"])
def test_blank_lines_are_skipped(write, text, suffix):
    if suffix == "inter" and "\t" not in text:
        text = text.replace("::", ",").replace('"', "").replace(",\n", "\n").replace(",", "\t")
        text = text.replace("user", "user_id").replace("item", "item_id")
        if "user" not in text:
            pytest.skip("an atomic file has a header")
    assert pairs(load(write(f"r.{suffix}", text), format="csv" if suffix == "csv" else None, **ALL)) == [
        ("1", "2"),
        ("3", "4"),
    ]


def test_columns_that_nobody_asked_for(write):
    text = "user,a,item,b,c,d\n1,,2,x,y,z\n3,,4,x,y,z\n"
    assert pairs(load(write("r.csv", text), **ALL)) == [("1", "2"), ("3", "4")]
    assert pairs(load(write("r.dat", text.replace(",", "::")), **ALL)) == [("1", "2"), ("3", "4")]


def test_empty_rows_are_told(write, caplog):
    with caplog.at_level(logging.INFO, "gcl.data"):
        load(write("r.csv", "user,item\n1,2\n\n,\n3,4\n"), **ALL)
    assert "2 rows with nothing in user, item are skipped" in caplog.text


def test_columns_by_name_and_by_number(write):
    named = write("named.csv", "when,who,what,stars\n1,a,x,5\n2,b,y,1\n")
    data = load(named, user="who", item="what", time="when", min_value=None, **ALL)
    assert pairs(data) == [("a", "x"), ("b", "y")]
    assert data.train.value.tolist() == [5, 1]
    bare = write("bare.dat", "1::10::5::100\n2::11::3::200\n")
    assert load(bare, **ALL).train.time.tolist() == [100, 200]
    words = write("words.csv", "x,a\ny,b\n")
    assert pairs(from_csv(words, user=2, item=1, plan=Plan(ratios=(1, 0, 0)))) == [("a", "x"), ("b", "y")]


def test_ids_with_blanks_unicode_and_quotes(write):
    path = write("r.csv", 'user,item\n"Ann, the first",naïve café\nBob,日本\n')
    assert pairs(load(path, **ALL)) == [("Ann, the first", "naïve café"), ("Bob", "日本")]


def test_lists_in_three_forms(write):
    wanted = [("1", "5"), ("1", "6"), ("2", "5")]
    for text in ("1 5 6\n2 5\n3\n", "1:5 6\n2:5\n", "1 5\n1 6\n2 5\n", "1  5 6 \r\n\r\n2 5\r\n"):
        assert pairs(load(write("u.txt", text), **ALL)) == wanted
    assert pairs(from_lists(write("u.txt", "é b:c d\nx d\n"), plan=Plan(ratios=(1, 0, 0))))[0] == ("é", "b:c")


def test_positions_are_time_only_when_said(write):
    path = write("u.txt", "1 5 6 7 8\n2 7 5 8\n")
    assert not load(path).ordered
    data = load(path, ordered=True, split="leave_one_out")
    assert pairs(data, "test") == [("1", "8"), ("2", "8")]
    assert pairs(data, "valid") == [("1", "7"), ("2", "5")]


def test_parts_in_a_folder_and_by_name(write, caplog, tmp_path):
    write("set/train.txt", "1 5 6 7\n2 5 6\n")
    write("set/test.txt", "1 8\n3 9\n")
    data = load(tmp_path / "set")
    assert data.name == "set"
    assert (data.num_users, data.num_items) == (3, 5)
    assert [len(p) for p in (data.train, data.valid, data.test)] == [3, 2, 2]
    assert "1 users and 3 items have no train row" in caplog.text
    valid = write("v.csv", "user,item\n1,9\n")
    train, test = write("a.csv", "user,item\n1,5\n2,5\n"), write("b.csv", "user,item\n2,6\n")
    named = load("mine", train=str(train), valid=valid, test=test)
    assert (named.name, named.split.made) == ("mine", {"kind": "given"})
    assert pairs(named) == [("1", "5"), ("2", "5")]
    assert (pairs(named, "valid"), pairs(named, "test")) == ([("1", "9")], [("2", "6")])
    again = load("mine", train=train, valid=valid, test=test, split="ratio", ratios=(1, 0, 0))
    assert len(again.train) == 4


def test_atomic_files_with_their_sides(write, caplog, tmp_path):
    write("ml/ml.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\tb\t3\t9\n2\ta\t4.5\t8.5\n")
    write(
        "ml/ml.item",
        "item_id:token\ttitle:token_seq\tclass:token_seq\tprice:float\tvec:float_seq\tyear:token\n"
        'a\tThe "A" team\tx y\t1.5\t1 2\t1999\nc\tC\tx\t2\t3\t1998\n',
    )
    write("ml/ml.user", "user_id:token\tage:float\n2\t30\n1\t40\n")
    with caplog.at_level(logging.INFO, "gcl.data"):
        data = load(tmp_path / "ml", show=("title", "year"), **ALL)
    assert data.item_ids.tolist() == ["a", "b"]
    assert data.item_columns["title"].tolist() == ['The "A" team', ""]
    assert data.item_columns["class"].tolist() == [["x", "y"], []]
    assert data.item_columns["vec"].tolist() == [[1.0, 2.0], []]
    assert data.item_columns["price"][0] == 1.5 and np.isnan(data.item_columns["price"][1])
    assert data.user_columns["age"].tolist() == [40, 30]
    assert data.train.time.tolist() == [9.0, 8.5]
    assert "1 of 2 items have no row of columns; 1 rows of columns belong to no item" in caplog.text
    assert from_atomic(tmp_path / "ml/ml.inter", plan=Plan(ratios=(1, 0, 0))).split.hash == data.split.hash


def test_atomic_parts(write, tmp_path):
    for part, row in (("train", "1\ta\n2\tb\n"), ("valid", "1\tb\n"), ("test", "2\ta\n")):
        write(f"b/b.{part}.inter", "user_id:token\titem_id:token\n" + row)
    data = load(tmp_path / "b")
    assert (data.name, [len(p) for p in (data.train, data.valid, data.test)]) == ("b", [2, 1, 1])


@pytest.fixture
def mmrec(write, tmp_path):
    write("m/m.inter", "userID\titemID\tx_label\n0\t0\t0\n1\t2\t0\n0\t2\t1\n1\t0\t2\n")
    np.save(tmp_path / "m/image_feat.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    return tmp_path / "m"


def test_features_follow_the_ids(mmrec):
    data = from_mmrec(mmrec)
    assert data.item_ids.tolist() == ["0", "2"]
    assert data.modalities["image"].values.tolist() == [[0, 1], [4, 5]]
    assert [len(p) for p in (data.train, data.valid, data.test)] == [2, 1, 1]
    assert load(mmrec).split.hash == data.split.hash


def test_wrong_features_are_errors(mmrec, write):
    file = mmrec / "image_feat.npy"
    for rows in (2, 4):
        np.save(file, np.zeros((rows, 2)))
        with pytest.raises(InputError, match=rf"image_feat\.npy must have a row for each .* 3 rows, got {rows}\.$"):
            load(mmrec).modalities["image"]
    values = np.zeros((3, 2))
    values[1, 1] = np.nan
    np.save(file, values)
    with pytest.raises(InputError, match=r"image_feat\.npy: row 1 has entries that are NaN or infinite; mend"):
        load(mmrec).modalities["image"]
    np.save(file, np.array([["a"]]))
    with pytest.raises(InputError, match=r"image_feat\.npy must be a matrix of numbers \[items, dim\], got <U1"):
        load(mmrec).modalities["image"]
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"^Cannot read the features .*image_feat\.npy"):
        load(mmrec).modalities["image"]
    np.save(file, np.zeros((3, 2)))
    write("m/m.inter", "userID\titemID\tx_label\n0\tx\t0\n1\t2\t0\n")
    with pytest.raises(InputError, match=r"item ids must be row numbers from 0, got 'x'\.$"):
        load(mmrec).modalities["image"]
    write("m/m.inter", "userID\titemID\tx_label\n0\t1\t0\n1\t2\t3\n")
    file.unlink()
    with pytest.raises(InputError, match=r"x_label must be 0 \(train\), 1 \(valid\) or 2 \(test\), but row 2 has 3\.$"):
        load(mmrec)


def test_features_of_a_folder_are_read_when_asked_for_and_may_be_left_out_or_replaced(mmrec, tmp_path):
    (mmrec / "image_feat.npy").write_bytes(b"nothing")
    assert list(load(mmrec).modalities) == ["image"] and not load(mmrec).modalities.made()
    assert not load(mmrec, modalities={"image": None}).modalities
    np.save(tmp_path / "fine.npy", np.ones((3, 4)))
    assert load(mmrec, modalities={"image": tmp_path / "fine.npy"}).modalities["image"].dim == 4


def test_sparse_matrices(tmp_path):
    sp.save_npz(tmp_path / "m.npz", sp.csr_matrix(np.array([[1, 0, 2], [0, 3, 0]])))
    data = load(tmp_path / "m.npz", min_value=2, **ALL)
    assert pairs(data) == [("0", "2"), ("1", "1")]
    (tmp_path / "users.txt").write_text("ann\n")
    with pytest.raises(InputError, match=r"users\.txt must have 2 lines, one a user of m\.npz, got 1\.$"):
        load(tmp_path / "m.npz")
    np.savez(tmp_path / "n.npz", x=np.zeros(3))
    with pytest.raises(InputError, match=r"n\.npz is no sparse matrix as scipy\.sparse\.save_npz writes it"):
        load(tmp_path / "n.npz")


CSV = "user,item,rating,time\n1,5,3,10\n1,6,4,20\n2,5,5,30\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CSV, {"separator": ";"}, r"first line, 'user,item,rating,time', is not separated by ';'\. It looks .* ','"),
        (CSV, {"separator": "\t"}, r"is not separated by '\\t'\. It looks separated by ','\.$"),
        (CSV, {"item": "sku"}, r"has no column 'sku' for the item\. Valid: item, rating, time, user\.$"),
        (CSV, {"time": "tim"}, r"has no column 'tim' for the time\. Did you mean 'time'\? Valid: item,"),
        ("who,what\n1,2\n", {}, r"no column is known to be the user; name it with user=\.\.\. Columns: 'who', '"),
        ("user,item,time\n1,2,now\n", {}, r"r\.csv: the time must be a number in every row, but row 1 has 'now'\.$"),
        ("user,item,rating\n1,2,3\n1,3,?\n", {}, r"the value must be a number in every row, but row 2 has '\?'\.$"),
        ("user,item,rating\n1,2,3\n1,3,inf\n", {}, r"the value must be a number in every row, but row 2 has 'inf'\.$"),
        ("user,item\n1,2\n3\n", {}, r"the item must be given in every row, but row 2 has none; remove or mend the row"),
        ("user,item\n1,2\n3,4,5\n", {}, r"r\.csv: line 3 has 3 fields, separated by ',', and every line must have"),
        ("\nuser,item\n\n1\n2,3\n", {}, r"r\.csv: line 4 has 1 field, separated by ',', and every line must have 2"),
        ("user,item\n1,2,3\n2,3\n", {}, r"r\.csv: line 2 has 3 fields, .* have 2, as the first one; mend or"),
        ('user,item\n1,2\n3,"4\n5,6\n', {}, r"r\.csv: after line 2, a quotation mark is not closed or stands"),
        ("u::item\n1::2\n3::4::5\n", {"user": "u"}, r"r\.csv: line 3 has 3 fields, separated by '::', and every"),
        ("user,item\n \n\n", {}, r"r\.csv has no interactions: it is empty, or holds a header alone\.$"),
        ("", {}, r"r\.csv is empty\.$"),
        ("\n \n", {}, r"r\.csv is empty\.$"),
        ("user,item\n", {}, r"r\.csv has no interactions: it is empty, or holds a header alone\.$"),
        ("user\n1\n2\n", {}, r"r\.csv: no separator was found in its first line, 'user'; give separator="),
        (CSV, {"min_value": 9}, r"^min_value=9 removed the last row of 3 rows, 2 users, 2 items; lower it\.$"),
        (CSV, {"min_user": 9}, r"^min_user=9, min_item=0 removed the last row of 3 rows"),
        ("user,item\n1,2\n1,3\n", {}, r"has one user only, '1'; at least two are needed\.$"),
        ("user,item\n1,2\n2,2\n", {}, r"has one item only, '2'; at least two are needed\.$"),
        ("user,item\n1,2\n2,3\n", {"min_value": 1}, r"^min_value=1 needs a value for every row"),
        ("user,item\n1,2\n2,3\n", {"split": "leave_one_out"}, r"^split='leave_one_out' needs time, but the inter"),
        ("user,item\n1,2\n2,3\n", {"order": "time"}, r"^order='time' needs time, but the interactions have none;"),
        (CSV, {"ordered": False, "order": "time"}, r"^order='time' needs time"),
        (CSV, {"split": "given"}, r"^split='given' needs parts, but .*r\.csv has none"),
        (CSV, {"split": "by_time", "valid_from": "then", "test_from": 3}, r"^valid_from must be a number or a date"),
        (CSV, {"format": "cvs"}, r"^format 'cvs' is unknown\. Did you mean 'csv'\?"),
        (CSV, {"format": "lists", "user": "x"}, r"^user='x' has no meaning in the format lists; leave it out\.$"),
        (CSV, {"format": "lists"}, r"is no list file: no line has a user and an item, the first is 'user,item"),
        (CSV, {"show": ("titel",), "ratios": (1, 0, 0)}, r"items have no column 'titel'\. There are no columns of"),
        (CSV, {"format": "atomic", "separator": "|"}, r"its header, 'user,item,rating,time', is not separated by '\|'"),
        (CSV, {"train": "a"}, r"^A given split needs train=\.\.\. and test=\.\.\., .*; got train\.$"),
        (CSV, {"train": "a", "test": "b"}, r"^There is no file a for train\.$"),
    ],
)
def test_bad_input(write, text, options, message):
    with pytest.raises(InputError, match=message):
        load(write("r.csv", text), **options)


def test_bad_files(write, tmp_path):
    with pytest.raises(InputError, match=r"^There is no file or folder .*nothing\.csv\.$"):
        load(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match=r"^There is no file or folder \./nothing|nothing\.$"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"latin\.csv is not UTF-8 text; convert it"):
        load(write("latin.csv", "user,item\né,1\nb,2\n", "latin1"))
    late = write("late.csv", "user,item\n" + "a,1\nb,2\n" * 5000 + "é,1\n", "latin1")
    with pytest.raises(InputError, match=r"late\.csv is not UTF-8 text; convert it"):
        load(late)
    write("many/a.csv", CSV)
    write("many/b.csv", CSV)
    with pytest.raises(InputError, match=r"many must hold one \.inter .* it holds a\.csv, b\.csv\. Name"):
        load(tmp_path / "many")
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match=r"it holds nothing\."):
        load(tmp_path / "void")
    write("two/a.inter", "u\ti\n")
    write("two/b.inter", "u\ti\n")
    with pytest.raises(InputError, match=r"two must hold the \.inter file of one data set, got \['a', 'b'\]\.$"):
        load(tmp_path / "two")
    typed = write("t.inter", "user_id:tokn\titem_id:token\n1\t2\n")
    with pytest.raises(InputError, match=r"column 'user_id:tokn' must have one of the types token, token_seq, float,"):
        load(typed)
    with pytest.raises(InputError, match=r"^A given split needs files for train and test, .*; got a\.$"):
        from_lists({"a": typed})
    with pytest.raises(InputError, match=r"^The given split cannot be used: train and test must be disjoint"):
        load("x", train=write("c.csv", CSV), test=write("d.csv", CSV))
    parts = write("p/p.train.inter", "user_id\titem_id\n1\t2\n").parent
    write("p/p.test.inter", "user_id\titem_id\n1\t3\n")
    with pytest.raises(InputError, match=r"p has parts in files of their own; an MMRec folder has one \.inter file\.$"):
        from_mmrec(parts)
    with pytest.raises(InputError, match=r"^format=mmrec needs one \.inter file with x_label"):
        load(parts, format="mmrec")


def test_lists_of_a_card_that_are_no_json(write, monkeypatch, tmp_path):
    write("sequential/beauty/Beauty.txt", "1 5 6 7\n2 5 6 7\n")
    path = write("sequential/beauty/Beauty_item2attributes.json", json.dumps({"5": [1, 2], "7": [3]}))
    monkeypatch.setenv("GCL_DATA", str(tmp_path))
    assert load("beauty").item_columns["attributes"].tolist() == [[1, 2], [], [3]]
    path.write_text("{")
    with pytest.raises(InputError, match=r"attributes\.json is not JSON"):
        load("beauty")

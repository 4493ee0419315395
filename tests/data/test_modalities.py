import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from gcl.data import Modalities, Modality, Pairs, Plan, from_arrays, load, loader, with_modalities
from gcl.errors import InputError
from gcl.testing import tiny_dataset

VALUES = np.arange(1, 13, dtype=np.float32).reshape(6, 2)
IDS = np.array(["c", "a", "x", "b", "e", "d"])


def arrays(items="abcde", **plan):
    """Every user has every item."""
    user, item = zip(*[(f"u{u}", i) for u in range(8) for i in items], strict=True)
    return from_arrays(user, list(item), plan=Plan(**{"ratios": (1.0, 0.0, 0.0), **plan}))


def rows(data, name):
    return dict(zip(data.item_ids.tolist(), data.modalities[name].values.tolist(), strict=True))


@pytest.fixture
def files(tmp_path):
    np.savez(tmp_path / "named.npz", values=VALUES, ids=IDS)
    np.savez(tmp_path / "one.npz", whatever=VALUES)
    np.save(tmp_path / "plain.npy", VALUES)
    (tmp_path / "ids.txt").write_text(" \n".join(IDS) + "\n\n")
    np.save(tmp_path / "ids.npy", IDS)
    save_file({"values": VALUES.astype(np.float16)}, tmp_path / "one.safetensors")
    save_file({"values": VALUES, "ids": np.arange(6)}, tmp_path / "numbered.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    "spec",
    [
        "named.npz",
        {"path": "plain.npy", "ids": "ids.txt"},
        {"path": "plain.npy", "ids": "ids.npy"},
        {"path": "one.npz", "ids": "ids.txt", "half": True},
        {"path": "one.safetensors", "ids": "ids.txt"},
        {"values": VALUES, "ids": IDS},
        {"values": torch.from_numpy(VALUES), "ids": IDS.tolist()},
    ],
)
def test_rows_follow_ids_whatever_their_order(files, spec, monkeypatch, caplog):
    monkeypatch.chdir(files)
    with caplog.at_level(logging.WARNING):
        data = arrays(modalities={"image": spec})
    assert rows(data, "image") == {"a": [3, 4], "b": [7, 8], "c": [1, 2], "d": [11, 12], "e": [9, 10]}
    half = isinstance(spec, dict) and spec.get("half")
    assert data.modalities["image"].values.dtype == (torch.float16 if half else torch.float32)
    assert data.modalities["image"].present.all() and "1 rows belong to no item" in caplog.text
    assert rows(with_modalities(arrays("abc"), {"image": spec}), "image") == {"a": [3, 4], "b": [7, 8], "c": [1, 2]}


def test_ids_may_be_bytes_or_begin_with_a_mark_and_values_be_bfloat16(tmp_path):
    items = ["ä", "b", "c"]
    np.savez(tmp_path / "bytes.npz", values=VALUES[:3], ids=np.char.encode(items, "utf-8"))
    np.save(tmp_path / "plain.npy", VALUES[:3])
    (tmp_path / "ids.txt").write_text("\n".join(items), encoding="utf-8-sig")
    np.save(tmp_path / "ids.npy", np.char.encode(items, "utf-8"))
    wanted = {"ä": [1, 2], "b": [3, 4], "c": [5, 6]}
    for spec in (
        tmp_path / "bytes.npz",
        {"path": tmp_path / "plain.npy", "ids": tmp_path / "ids.txt"},
        {"path": tmp_path / "plain.npy", "ids": tmp_path / "ids.npy"},
        {"values": torch.from_numpy(VALUES[:3]).bfloat16(), "ids": items},
    ):
        assert rows(arrays(items, modalities={"image": spec}), "image") == wanted


def test_integer_ids_name_rows_and_anything_else_is_an_error(files):
    data = arrays([0, 2, 5], modalities={"image": str(files / "plain.npy")})
    assert rows(data, "image") == {"0": [1, 2], "2": [5, 6], "5": [11, 12]}
    assert rows(arrays([5, 0], modalities={"a": files / "numbered.safetensors"}), "a") == {"0": [1, 2], "5": [11, 12]}
    with pytest.raises(InputError, match=r"plain\.npy must have a row for each item id from 0 to 6 .* 7 rows, got 6\."):
        arrays([1, 2, 3, 4, 5, 6], modalities={"image": files / "plain.npy"})
    with pytest.raises(InputError, match=r"without ids of its rows, item ids must be row numbers from 0, got 'a'\.$"):
        arrays(modalities={"image": files / "plain.npy"})
    for items in (["0", "00"], ["0", "9" * 20]):
        with pytest.raises(InputError, match=rf"item ids must be row numbers from 0, got '{items[1]}'"):
            arrays(items, modalities={"m": {"values": VALUES[:1]}})
    filtered = from_arrays(
        [0, 1, 0, 1, 0], [0, 0, 2, 2, 5], plan=Plan(min_item=2, ratios=(1, 0, 0), modalities={"m": {"values": VALUES}})
    )
    assert rows(filtered, "m") == {"0": [1, 2], "2": [5, 6]}, "counted against the ids before the filter"


def test_missing_rows_are_marked_and_logged(caplog):
    values = VALUES.copy()
    values[1] = 0
    with caplog.at_level(logging.WARNING):
        data = arrays("abcdefg", modalities={"image": {"values": values, "ids": list("abcdef")}})
    assert data.modalities["image"].present.tolist() == [True, False, True, True, True, True, False]
    assert data.modalities["image"].values[6].tolist() == [0, 0]
    assert "1 of 7 items have no row and are marked missing; 0 rows belong to no item" in caplog.text
    assert "modality 'image': 1 rows of zeros are marked missing" in caplog.text


def test_files_are_mapped_on_request(files):
    spec = {"path": files / "plain.npy", "mapped": True}
    data = arrays(range(6), modalities={"image": spec})
    values = data.modalities["image"].values
    assert rows(data, "image")["3"] == [7, 8]
    values[0] = 99
    assert np.load(files / "plain.npy")[0].tolist() == [1, 2], "a mapped file is never written"
    for change, text in [
        ({"half": True}, r"mapped with half=True needs float16 values, got float32\."),
        ({"path": files / "named.npz"}, r"only a \.npy file can be mapped\."),
        ({"path": files / "one.safetensors"}, r"only a \.npy file can be mapped\."),
        ({"ids": files / "ids.txt"}, r"plain\.npy: none of its ids is an item's; it has ids such as 'c'"),
    ]:
        with pytest.raises(InputError, match=text):
            arrays(range(6), modalities={"image": {**spec, **change}})
    with pytest.raises(InputError, match=r"mapped needs the 5 rows of the items, in their order and no other"):
        arrays("abcde", modalities={"image": {**spec, "ids": files / "ids.txt"}})


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"values": VALUES[:, 0]}, r"modality 'm' must be a matrix of numbers \[items, dim\], got float32 \(6,\)"),
        ({"values": VALUES, "ids": IDS[:3]}, r"ids must name each of the 6 rows, got \(3,\)"),
        ({"values": VALUES, "ids": list("aabcde")}, r"ids must be different, but 'a' stands in two rows"),
        ({"values": VALUES, "ids": list("pqrstu")}, r"ids such as 'p', the items ids such as 'a'"),
        ({"values": VALUES * np.nan, "ids": IDS}, r"row 0 has entries that are NaN or infinite; mend"),
        ({"values": VALUES * 0, "ids": IDS}, r"no item has a row other than zeros; the modality would be empty"),
        ({"values": VALUES * 1e5, "ids": IDS, "half": True}, r"half holds values up to 65504, got 1\.2e\+06"),
        ({"values": VALUES * np.float64(1e200), "ids": IDS}, r"m': float32 holds values up to 3\.4.*, got 1\.2e\+201"),
        ({"values": [[1, 2], [3]], "ids": IDS}, r"modality 'm' must have rows of equal length"),
        ({"values": VALUES, "ids": [[1, 2], [3]] * 3}, r"modality 'm': ids must have rows of equal length"),
        ({"values": VALUES, "ids": IDS.astype("S") + b"\xff"}, r"modality 'm': ids must be text or UTF-8"),
        ({"path": "nothing.npy"}, r"There is no file of features nothing\.npy"),
        ({"path": "nothing.pt"}, r"Features must be in a file \.npy, \.npz, \.safetensors, got nothing\.pt"),
        ({"path": __file__, "ids": "x"}, r"Features must be in a file"),
        ({"pat": "x.npy"}, r"m must be a path, or a mapping with one of path, columns and values"),
        ({"path": "x.npy", "hlf": True}, r"m has no argument 'hlf'\. Did you mean 'half'\?"),
        ({"columns": "title", "dim": "wide"}, r"modalities: m\.dim: .*, got 'wide'"),
        ({"columns": "title"}, r"items have no column 'title'\. There are no columns of items\."),
        (None, r"there is no 'm' to leave out\. There is none\."),
    ],
)
def test_bad_specifications(spec, text):
    with pytest.raises(InputError, match=text):
        arrays(modalities={"m": spec})


def test_bad_files(tmp_path):
    np.savez(tmp_path / "two.npz", a=VALUES, b=VALUES)
    (tmp_path / "bad.npz").write_bytes(b"no")
    np.save(tmp_path / "good.npy", VALUES)
    for name, ids, text in [
        ("two.npz", None, r"must hold one matrix, or one called 'values', got a, b\."),
        ("bad.npz", None, r"Cannot read the features .*bad\.npz"),
        ("good.npy", tmp_path / "none.txt", r"Cannot read the ids .*none\.txt"),
    ]:
        with pytest.raises(InputError, match=text):
            arrays(modalities={"m": {"path": tmp_path / name, "ids": ids}})
    with pytest.raises(InputError, match=r"A modality's name must be a word of letters, digits, _ and -, got 'a\.b'"):
        arrays(modalities={"a.b": tmp_path / "good.npy"})


def test_modalities_are_made_when_they_are_asked_for():
    calls = []

    def make():
        calls.append(1)
        return Modality(torch.ones(2, 3), torch.ones(2, dtype=torch.bool))

    both = Modalities({"a": make})
    assert len(both) == 1 and list(both) == ["a"] and bool(both) and not calls and not both.made()
    moved = both.to("cpu")
    assert not calls and moved["a"].dim == 3 and both["a"] is both["a"] and len(calls) == 1
    with pytest.raises(InputError, match=r"modality 'a' must have one row an item, 18, got 2\.$"):
        with_modalities(tiny_dataset(), {"a": both["a"]})


@pytest.mark.parametrize(
    ("values", "present", "text"),
    [
        (torch.ones(3), torch.ones(3, dtype=torch.bool), r"values must be a float matrix \[num_items, dim\], got"),
        (torch.ones(3, 2), torch.ones(3), r"present must be a bool vector of length 3, got torch\.float32"),
        (torch.full((5000, 1), torch.nan), torch.arange(5000) == 4999, r"but row 4999 is not; mark it absent or mend"),
    ],
)
def test_a_modality_checks_itself(values, present, text):
    with pytest.raises(ValueError, match=text):
        Modality(values, present)


@pytest.mark.data
def test_ml_100k_makes_text_and_attributes_of_columns(gcl_data, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(gcl_data))
    data = load("ml-100k")
    assert list(data.modalities) == ["text", "attributes"] and not data.modalities.made()
    assert data.modalities["text"].values.shape == (1682, 128) and data.modalities["attributes"].dim == 92
    assert all(m.present.all() for m in data.modalities.values())
    chosen = load("ml-100k", modalities={"text": None, "genres": {"columns": ["genres"], "dim": 4}}).modalities
    assert list(chosen) == ["attributes", "genres"] and chosen["genres"].dim == 4


@pytest.mark.data
def test_without_the_file_of_titles_there_are_no_modalities(gcl_data, tmp_path, monkeypatch):
    folder = tmp_path / "cf/ml-100k"
    folder.mkdir(parents=True)
    (folder / "ml-100k.inter").symlink_to(gcl_data / "cf/ml-100k/ml-100k.inter")
    monkeypatch.setenv("GCL_DATA", str(tmp_path))
    assert not load("ml-100k").modalities


def test_negatives_among_known_items_leave_cold_ones_out():
    data = arrays("abcdefgh", split="cold_items", ratios=(0.5, 0.25, 0.25), seed=3)
    assert not set(data.train.item.tolist()) & (set(data.valid.item.tolist()) | set(data.test.item.tolist()))
    with pytest.raises(InputError, match="has all 4 items in train"):
        loader(data, Pairs(2, known=True), 64, torch.Generator())
    data = with_modalities(tiny_dataset(), {})
    warm = data.train.by_item.counts > 0
    batch = next(iter(loader(data, Pairs(50, known=True), 999, torch.Generator().manual_seed(0))))
    assert bool(warm[batch.negatives].all())
    assert not bool(data.train.contains(batch.users[:, None].expand_as(batch.negatives), batch.negatives).any())
    assert set(batch.negatives.unique().tolist()) == set(warm.nonzero().flatten().tolist())


def test_cold_items_need_a_row_each():
    with pytest.raises(InputError, match=r"ratios must be three shares for train > 0, valid and test >= 0, got \[0"):
        arrays(split="cold_items", ratios=(0.0, 0.5, 0.5))
    with pytest.raises(InputError, match=r"The split cold_items leaves no row for valid"):
        arrays("ab", split="cold_items", ratios=(0.98, 0.01, 0.01))
    data = arrays("abcdefghij", split="cold_items", ratios=(8, 1, 1), seed=1)
    sizes = [len(set(part.item.tolist())) for part in (data.train, data.valid, data.test)]
    assert sizes == [8, 1, 1] and data.split.made["kind"] == "cold_items"
    assert (
        Path(__file__).exists()
        and data.split.hash != arrays("abcdefghij", split="cold_items", ratios=(8, 1, 1), seed=2).split.hash
    )

"""Columns of items as features."""

import logging
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from gcl.data import encode_text
from gcl.data.text import _terms
from gcl.errors import InputError
from gcl.testing import tiny_dataset


def test_columns_of_objects_hold_text_numbers_lists_or_nothing():
    column = np.empty(8, dtype=object)
    column[:] = ["Star Wars", None, float("nan"), 3, 2.5, ["a", "b"], ("c",), np.array(["d"])]
    assert _terms(column, "t") == [["star", "wars"], [], [], ["t=3"], ["t=2.5"], ["t=a", "t=b"], ["t=c"], ["t=d"]]
    column[0] = {"a": 1}
    with pytest.raises(InputError, match=r"^text: column 't' must hold text, numbers or lists of them, got {'a': 1}"):
        _terms(column, "t")


def test_text_is_encoded_and_empty_text_is_missing(caplog):
    data = tiny_dataset()
    columns = {
        "title": np.array(["Star Wars", "star trek", "", *["Heat"] * 15]),
        "genres": np.empty(18, dtype=object),
        "year": np.array([1977.0, np.nan, np.nan, *[1995.0] * 15]),
    }
    columns["genres"][:] = [["Sci-Fi", "Action"], ["Sci-Fi"], [], *[["Drama"]] * 15]
    object.__setattr__(data, "item_columns", columns)
    with caplog.at_level(logging.WARNING):
        both = encode_text(data, ["title", "genres", "year"], dim=3)
    assert both.values.shape == (18, 3) and both.present.tolist() == [True, True, False, *[True] * 15]
    assert "1 items have none and are marked missing" in caplog.text
    unit = torch.nn.functional.normalize(both.values, dim=1)
    assert unit[0] @ unit[1] > 0.2 and abs(unit[0] @ unit[5]) < 0.05 and unit[5] @ unit[6] > 0.99
    assert torch.equal(both.values, encode_text(data, ["title", "genres", "year"], dim=3).values)
    whole = encode_text(data, "genres", dim=8).values
    assert whole.shape == (18, 3), "few terms are taken as they are"
    torch.testing.assert_close(whole[present].norm(dim=1), torch.ones(17)) if (present := both.present).any() else None
    with pytest.raises(InputError, match=r"^text: items have no column 'titel'\. Did you mean 'title'\?"):
        encode_text(data, "titel")
    with pytest.raises(InputError, match=r"at least one column and a dim of at least 1, got \['title'\] and 0"):
        encode_text(data, "title", dim=0)
    with pytest.raises(InputError, match=r"text: seed must lie in \[0, 2\^32\), got -1"):
        encode_text(data, "title", seed=-1)
    object.__setattr__(data, "item_columns", {"title": np.array([""] * 18)})
    with pytest.raises(InputError, match=r"the columns title hold no word"):
        encode_text(data, "title")


def test_words_are_weighed_by_how_often_and_how_rare():
    data, titles = tiny_dataset(), ["a a b", "b c", "c", *["b"] * 15]
    object.__setattr__(data, "item_columns", {"title": np.array(titles)})
    counts = np.array([[t.split().count(word) for word in "abc"] for t in titles], dtype=float)
    rare = 1 + np.log(19 / (1 + (counts > 0).sum(0)))
    rows = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * rare
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(encode_text(data, "title", dim=8).values, rows, rtol=1e-5)
    reduced = encode_text(data, "title", dim=2).values.numpy()
    left, size, _ = np.linalg.svd(rows)
    np.testing.assert_allclose(reduced @ reduced.T, (left[:, :2] * size[:2] ** 2) @ left[:, :2].T, atol=1e-5)


def test_different_numbers_are_different_terms():
    data = tiny_dataset()
    brand, price = np.arange(1_234_560, 1_234_578), 1 + np.arange(18) / 1e8
    object.__setattr__(data, "item_columns", {"brand": brand, "price": price, "year": np.full(18, 1995.0)})
    assert encode_text(data, "brand", dim=18).dim == encode_text(data, "price", dim=18).dim == 18
    assert encode_text(data, "year").dim == 1
    assert _terms(np.array([1995.0, np.nan]), "year") == [["year=1995"], []], "a whole number has no point"


def test_sentence_transformers_are_an_extra(monkeypatch):
    data = tiny_dataset()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"encoder 'mini' needs sentence-transformers: pip install 'gcl-rec\[text\]'"):
        encode_text(data, "title", encoder="mini")

    class Model:
        def __init__(self, name):
            if name != "mini":
                raise OSError("offline")

        def encode(self, sentences, show_progress_bar):
            return np.array([[len(s), 1.0] for s in sentences])

    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert encode_text(data, "title", encoder="mini").values[:2].tolist() == [[7, 1], [7, 1]]
    with pytest.raises(InputError, match=r"The text encoder 'large' cannot be loaded \(offline\)"):
        encode_text(data, "title", encoder="large")

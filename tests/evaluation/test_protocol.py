"""Protocols: ids, words, what differs."""

import json
import re
from dataclasses import replace

import pytest

from gcl.evaluation import Protocol

BASE = Protocol("0123456789abcdef", "test", (10, 20), "seen", "full", 0, 943)


def test_id_is_of_the_content():
    assert re.fullmatch("[0-9a-f]{12}", BASE.id)
    assert replace(BASE).id == BASE.id
    others = [
        replace(BASE, split_hash="f"), replace(BASE, part="valid"), replace(BASE, k=(10,)), replace(BASE, seed=1),
        replace(BASE, exclude="train"), replace(BASE, candidates="uni9"), replace(BASE, min_train=1),
        replace(BASE, counted=9),
    ]  # fmt: skip
    assert len({BASE.id, *(p.id for p in others)}) == 9


def test_through_json():
    again = Protocol.from_dict(json.loads(json.dumps(BASE.to_dict())))
    assert again == BASE
    assert BASE.to_dict()["id"] == BASE.id


def test_difference_names_fields_and_values():
    assert BASE.difference(replace(BASE)) == ""
    other = replace(BASE, exclude="train", k=(10,))
    assert BASE.difference(other) == "k is (10, 20) and (10,); exclude is 'seen' and 'train'"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "test: full ranking, train and valid items left out; 943 users; k 10, 20; split 0123456789abcdef"),
        ({"part": "valid"}, "valid: full ranking, train items left out; 943 users"),
        ({"exclude": "none", "min_train": 5}, "full ranking, nothing left out; 943 users with at least 5 train items"),
        ({"candidates": "uni100", "seed": 3}, "ranking among test items and 100 sampled items, seed 3; 943 users"),
    ],
)
def test_in_words(change, text):
    assert text in replace(BASE, **change).describe()


def test_suffix():
    assert BASE.suffix == ""
    assert replace(BASE, candidates="uni50").suffix == "/uni50"

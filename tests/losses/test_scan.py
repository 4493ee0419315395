"""The catalogue is what the package holds."""

import pytest

import gcl.losses
from gcl.errors import InputError
from gcl.losses.scan import catalogue, family, find
from gcl.testing.objectives import check_objective


def test_names_are_importable():
    for name, objective in catalogue(aliases=True).items():
        assert getattr(gcl.losses, name) is objective
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = gcl.losses.Nothing


def test_find_folds_case_and_names_the_nearest():
    assert find("infonce") is gcl.losses.InfoNCE and find("CPC") is gcl.losses.InfoNCE
    with pytest.raises(InputError, match="unknown name 'InfoNC'. Did you mean 'InfoNCE'"):
        find("InfoNC")


def test_families():
    assert family(gcl.losses.InfoNCE) == "softmax" and family(gcl.losses.BPR) == "ranking"


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_conformance(name):
    check_objective(catalogue()[name])


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_documented(name):
    objective = catalogue()[name]
    assert objective.__doc__ and len(objective.__doc__) > 150, f"{name} needs its formula, shapes and siblings"

"""The catalogue is what the package holds."""

import pytest
import torch

import gcl.losses
from gcl.errors import InputError
from gcl.losses.scan import catalogue, family, find
from gcl.testing.data import tiny_dataset
from gcl.testing.objectives import check_objective, sample
from gcl.testing.recommenders import batch_of


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
    assert objective.reference, f"{name} needs its paper and year"
    assert objective().describe(), f"{name} needs its slots"


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_written_as_configuration_and_back(name):
    build = pytest.importorskip("gcl.build")
    first = build.objective(name)
    again = build.objective(build.spec(first))
    assert type(again) is type(first) and again.describe() == first.describe()


def test_runs_under_deterministic_algorithms():
    """Training on the CPU asks torch for them; an operation without one would raise."""
    torch.use_deterministic_algorithms(True)
    try:
        for objective in catalogue().values():
            built = objective().build(64, 6).double()
            inputs = sample(built, 8, torch.Generator().manual_seed(0))
            leaves = [t.requires_grad_() for t in _tensors(inputs)]
            for _ in range(2):
                built(*inputs).backward()
            assert any(t.grad is not None for t in leaves)
    finally:
        torch.use_deterministic_algorithms(False)


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [value] if value.is_floating_point() else []
    return [t for v in value for t in _tensors(v)] if isinstance(value, tuple) else []


PAIRS = [n for n, c in catalogue().items() if c.kind == "pair"]


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_objective_trains_a_recommender(name):
    """Two steps of the contrast of users and of items, with ids, at the default arguments."""
    general = pytest.importorskip("gcl.recommenders.general.contrastive")
    data = tiny_dataset()
    torch.manual_seed(0)
    objective = catalogue()[name]()
    model = general.Contrastive(data, dim=8, objective=objective)
    model.generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(2):
        terms = model.losses(batch_of(model, data))
        assert all(torch.isfinite(t) for t in terms.values()), terms
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    assert all(torch.isfinite(p).all() for p in model.parameters())

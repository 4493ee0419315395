"""Every model of RecBole that the bridge names trains, is stored, and scores as before."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

import gcl
from gcl import recbole
from gcl.data import Query
from gcl.errors import InputError
from gcl.recbole import names
from gcl.testing import tiny_dataset

FAST = (
    "Pop",
    "ItemKNN",
    "EASE",
    "SLIMElastic",
    "NCEPLRec",
    "BPR",
    "LightGCN",
    "MultiVAE",
    "DiffRec",
    "FPMC",
    "GRU4Rec",
)
BIG = {
    "DGCF": "it samples more edges than the tiny data set has",
    "GRU4RecCPR": "its lists are longer than the tiny catalogue",
    "SASRecCPR": "its lists are longer than the tiny catalogue",
}


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in recbole.supported()]
)
def test_it_trains_and_is_the_same_from_its_tensors(name):
    if name in BIG:
        pytest.skip(f"{name}: {BIG[name]}")
    if name in names.MODULES and find_spec(names.MODULES[name]) is None:
        pytest.skip(f"{name} needs {names.MODULES[name]}")
    data = tiny_dataset(users=40, items=30)
    model = recbole.baseline(name, data, epochs=1, valid_metric="NDCG@5")
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    again = getattr(recbole, name)(data)
    again.load_state_dict(weights)
    first, second = (gcl.evaluate(m, data, k=5).metrics for m in (model, again))
    assert first == second
    if "histories" in model.answers:
        asked = Query(history=torch.tensor([[1, 2, 0], [3, 4, 5]]), length=torch.tensor([2, 3]))
        assert model.eval().scores(asked).shape == (2, 30)


def test_scores_do_not_depend_on_the_block():
    data = tiny_dataset(users=40, items=30)
    model = recbole.baseline("NeuMF", data, epochs=1, valid_metric="NDCG@5").eval()
    with torch.no_grad():
        whole = model.scores(Query(users=torch.arange(40)))
        parts = torch.cat([model.scores(Query(users=block)) for block in torch.arange(40).split(7)])
    assert torch.allclose(whole, parts, atol=1e-6)


def test_questions_that_cannot_be_asked():
    data = tiny_dataset(users=40, items=30)
    general = recbole.baseline("Pop", data, valid_metric="NDCG@5")
    with pytest.raises(InputError, match="Pop knows only the users it was trained on"):
        general.scores(Query(history=torch.tensor([[1]]), length=torch.tensor([1])))
    sequential = recbole.baseline("STAMP", data, epochs=1, valid_metric="NDCG@5")
    with pytest.raises(InputError, match="STAMP reads histories, and the query has users alone"):
        sequential.scores(Query(users=torch.arange(3)))


def test_missing_packages_are_told(monkeypatch):
    monkeypatch.setattr(names, "MODULES", {"BPR": "no_such_module"})
    with pytest.raises(InputError, match="RecBole's BPR needs no_such_module, which is not installed"):
        names.check("BPR")


def test_pop_counts_what_its_batches_hold():
    data = tiny_dataset(users=40, items=30)
    pop = recbole.baseline("Pop", data, train_batch_size=64, valid_metric="NDCG@5")
    counts = pop.inner.item_cnt[1:, 0]
    assert int(counts.max()) <= -(-len(data.train) // 32) and not torch.equal(counts, data.train.by_item.counts)


def test_a_user_with_every_item_cannot_be_sampled_for():
    rows = torch.cartesian_prod(torch.arange(2), torch.arange(6))
    train = gcl.data.TrainInteractions(rows[:, 0], rows[:, 1], 3, 6)
    last = [gcl.data.Interactions(torch.tensor([2]), torch.tensor([i]), 3, 6) for i in (0, 1)]
    data = gcl.data.Dataset("full", gcl.data.Split(train, *last), *(np.arange(n).astype(str) for n in (3, 6)))
    with pytest.raises(
        InputError, match="RecBole cannot sample negatives on 'full': Some users have interacted with all"
    ):
        recbole.baseline("BPR", data, valid_metric="NDCG@5")

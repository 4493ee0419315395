"""ICLRec: the contract, its clusters, its terms against the formula."""

import pytest
import torch
import torch.nn.functional as F

from gcl.data import loader
from gcl.recommenders.sequential.iclrec import ICLRec
from gcl.testing import check_recommender, tiny_dataset
from gcl.views import Reorder

SMALL = {"dim": 8, "inner": 16, "dropout": 0.0, "intents": 4}


def prepared(**arguments):
    data = tiny_dataset()
    torch.manual_seed(0)
    model = ICLRec(data, **{**SMALL, **arguments})
    model.begin_epoch(1, torch.Generator().manual_seed(0))
    return model, next(iter(loader(data, model.sampling, 64, torch.Generator().manual_seed(0))))


@pytest.mark.parametrize("arguments", [{}, {"denoise": True, "targets": "prefix"}, {"intents": 1000}])
def test_recommender_holds_its_contract(arguments):
    check_recommender(lambda data: ICLRec(data, **{**SMALL, **arguments}))


def test_clusters_are_of_length_one_kept_with_the_model_and_repeatable():
    model, _ = prepared(dropout=0.5)
    assert model.training and "centroids" in model.state_dict()
    torch.testing.assert_close(model.centroids.norm(dim=1), torch.ones(4))
    kept = model.centroids.clone()
    model.begin_epoch(2, torch.Generator().manual_seed(0))
    assert torch.equal(model.centroids, kept)


def nt_xent(a, b, ids=None):
    z = torch.cat([a, b])
    scores = (z @ z.T).fill_diagonal_(-torch.inf)
    target = torch.arange(len(z)).roll(len(a))
    if ids is not None:
        same = ids.repeat(2)[:, None] == ids.repeat(2)
        same[torch.arange(len(z)), target] = False
        scores = scores.masked_fill(same, -torch.inf)
    return F.cross_entropy(scores, target)


@pytest.mark.parametrize("denoise", [False, True])
def test_terms_are_the_formula(denoise):
    model, batch = prepared(views=[Reorder(0.0)], denoise=denoise, weight=0.3, intent_weight=0.7)
    states = model.encoder(batch.history, batch.length)
    h = torch.stack([row[:n].mean(0) for row, n in zip(states, batch.length.tolist(), strict=True)])
    intent = torch.cdist(h, model.centroids).argmin(1)
    terms = model.losses(batch)
    torch.testing.assert_close(terms["contrast"], 0.3 * nt_xent(h, h))
    ids = intent if denoise else None
    torch.testing.assert_close(terms["intent"], 0.7 * nt_xent(h, model.centroids[intent], ids))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="intents of ICLRec must be at least 1, got 0"):
        ICLRec(tiny_dataset(), intents=0)

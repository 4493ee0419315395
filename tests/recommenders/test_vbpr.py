"""VBPR against its formula."""

import pytest
import torch

from gcl.data import loader, query
from gcl.errors import InputError
from gcl.recommenders.multimodal.vbpr import VBPR
from gcl.testing import tiny_dataset


def test_scores_and_loss_are_the_formula():
    data = tiny_dataset()
    torch.manual_seed(0)
    model = VBPR(data, dim=4, negatives=2, reg=0.3)
    text, image = model.projections
    there = data.modalities["image"].present[:, None]
    seen = text.linear(data.modalities["text"].values)
    seen = seen + torch.where(there, image.linear(data.modalities["image"].values), 0)
    items = torch.cat([model.table, seen], 1)
    expected = model.users @ items.T
    torch.testing.assert_close(model.eval().scores(query(data, torch.arange(data.num_users), "valid")), expected)
    batch = next(iter(loader(data, model.sampling, 16, torch.Generator().manual_seed(0))))
    positive = expected[batch.users, batch.items]
    negative = expected[batch.users[:, None], batch.negatives]
    terms = model.train().losses(batch)
    loss = -torch.log(torch.sigmoid(positive[:, None] - negative)).mean()
    torch.testing.assert_close(terms["rank"], loss)
    rows = model.users[batch.users], items[batch.items], items[batch.negatives]
    torch.testing.assert_close(terms["reg"], 0.3 * sum(r.norm() for r in rows) / 16)


def test_a_ranking_loss_needs_negatives():
    with pytest.raises(InputError, match="negatives must be at least 1 for a ranking loss, got 0"):
        VBPR(tiny_dataset(), negatives=0)

"""MGCN against its formula, on dense matrices."""

import pytest
import torch
import torch.nn.functional as F

from gcl.data import loader
from gcl.errors import InputError
from gcl.graph import knn_graph
from gcl.losses import InfoNCE
from gcl.recommenders.multimodal.mgcn import MGCN
from gcl.testing import tiny_dataset


def dense(graph):
    return graph @ torch.eye(graph.num_cols)


def test_representations_and_terms_are_the_formula():
    data = tiny_dataset()
    torch.manual_seed(0)
    model = MGCN(data, dim=4, neighbours=3, item_layers=2, weight=0.3, reg=0.2)
    adj, table = dense(model.encoder.adj), model.encoder.table
    c = (table + adj @ table + adj @ adj @ table) / 3
    r_hat = adj[:24, 24:]
    torch.testing.assert_close(dense(model.bridge), r_hat)
    views = []
    for name, projection, view in zip(model.names, model.projections, model.views, strict=True):
        m = data.modalities[name]
        a = dense(knn_graph(m.values, 3, present=m.present))
        root = torch.where(a.sum(1) > 0, a.sum(1), 1).rsqrt() * (a.sum(1) > 0)
        a = root[:, None] * a * root
        x = projection.linear(projection.features.values)
        s = a @ a @ (table[24:] * torch.sigmoid(view.gate(x)) * m.present[:, None])
        views.append(torch.cat([r_hat @ s, s]))
    side = model.fusion(views, c)
    y = c + side
    for found, expected in zip(model.eval().tables(), (y[:24], y[24:]), strict=True):
        torch.testing.assert_close(found, expected)
    batch = next(iter(loader(data, model.sampling, 32, torch.Generator().manual_seed(0))))
    terms = model.train().losses(batch)
    u, i, j = y[batch.users], y[24 + batch.items], y[24 + batch.negatives[:, 0]]
    torch.testing.assert_close(terms["rank"], F.softplus((u * (j - i)).sum(1)).mean())
    torch.testing.assert_close(terms["reg"], 0.1 * sum(t.square().sum() for t in (u, i, j)) / 32)
    nce = InfoNCE(0.2)
    users, items = batch.users.unique(), 24 + batch.items.unique()
    torch.testing.assert_close(terms["contrast"], 0.3 * (nce(side[users], c[users]) + nce(side[items], c[items])))
    expected = F.softplus((u * (j - i)).sum(1)).mean() + 0.1 * sum(t.square().sum() for t in (u, i, j)) / 32
    expected = expected + 0.3 * (nce(side[users], c[users]) + nce(side[items], c[items]))
    parts = [p for n, p in model.named_parameters() if "features" not in n]
    ours, theirs = torch.autograd.grad(sum(terms.values()), parts), torch.autograd.grad(expected, parts)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    assert "contrast" not in MGCN(data, dim=4, weight=0.0).losses(batch)


def test_bad_arguments():
    with pytest.raises(InputError, match="item_layers of MGCN must not be negative, got -1"):
        MGCN(tiny_dataset(), item_layers=-1)

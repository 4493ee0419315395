"""FREEDOM: its graphs, its draw of edges, its formula."""

import pytest
import torch
import torch.nn.functional as F

from gcl.data import loader
from gcl.errors import InputError
from gcl.graph import knn_graph
from gcl.recommenders.multimodal.freedom import FREEDOM
from gcl.testing import tiny_dataset


def made(data, **arguments):
    torch.manual_seed(0)
    return FREEDOM(data, dim=4, **{"neighbours": 3, **arguments})


def dense(graph):
    return graph @ torch.eye(graph.num_cols)


def test_scores_and_terms_are_the_formula():
    data = tiny_dataset()
    model = made(data, drop=0.0, weights={"image": 1, "text": 3}, reg=0.5)
    knn = {n: dense(knn_graph(m.values, 3, present=m.present)) != 0 for n, m in data.modalities.items()}
    share = {n: w * data.modalities[n].present[:, None] for n, w in (("image", 0.25), ("text", 0.75))}
    a = sum(share[n] * knn[n] / 3 for n in knn) / sum(share.values())
    torch.testing.assert_close(dense(model.graph), a)
    adj, table = dense(model.encoder.adj), model.encoder.table
    z = (table + adj @ table + adj @ adj @ table) / 3
    users, items = z[:24], z[24:] + a @ table[24:]
    for found, expected in zip(model.eval().tables(), (users, items), strict=True):
        torch.testing.assert_close(found, expected)
    batch = next(iter(loader(data, model.sampling, 32, torch.Generator().manual_seed(0))))
    u, i, j = batch.users, batch.items, batch.negatives[:, 0]
    rank = F.softplus((users[u] * (items[j] - items[i])).sum(1)).mean()
    features = 0
    for name, p in zip(model.names, model.projections, strict=True):
        there = data.modalities[name].present
        m, both = p.linear(p.features.values), there[i] & there[j]
        features = features + F.softplus((users[u] * (m[j] - m[i])).sum(1))[both].mean()
    terms = model.train().losses(batch)
    torch.testing.assert_close(terms["rank"], rank)
    torch.testing.assert_close(terms["features"], 0.5 * features)
    assert list(made(data, reg=0.0).losses(batch)) == ["rank"]


def test_edges_are_drawn_by_degree_and_normalised_anew():
    data = tiny_dataset(users=60, items=40)
    model, generator = made(data, drop=0.75), torch.Generator().manual_seed(0)
    size, counts = len(data.train), torch.zeros(len(data.train))
    assert model.edges.all() and len(model.edges) == size
    for epoch in range(1, 301):
        model.begin_epoch(epoch, generator)
        assert int(model.edges.sum()) == int(0.25 * size)
        counts += model.edges
    order = torch.argsort(data.train.user * 40 + data.train.item)
    degree = data.train.by_user.counts[data.train.user] * data.train.by_item.counts[data.train.item]
    chance = degree[order].float().rsqrt()
    low, high = counts[chance < chance.quantile(0.25)].mean(), counts[chance > chance.quantile(0.75)].mean()
    assert high > 1.3 * low
    graph = model.thinned()
    assert graph is model.thinned() and graph.num_edges == 2 * int(model.edges.sum()) and graph.symmetric
    kept = (dense(model.encoder.adj) != 0).float()
    kept[:60, 60:][data.train.user[order], data.train.item[order]] = model.edges.float()
    kept[60:, :60] = kept[:60, 60:].T
    root = kept.sum(1).clamp(min=1).rsqrt()
    torch.testing.assert_close(dense(graph), root[:, None] * kept * root)
    model.begin_epoch(301, generator)
    assert model.thinned() is not graph and not torch.equal(model.thinned().indices, graph.indices)
    graph = model.thinned()
    again = made(data, drop=0.75)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.thinned().values, graph.values), "the draw of the epoch is in the state dict"


def test_a_hidden_modality_leaves_its_share_to_the_others():
    data = tiny_dataset()
    model = made(data, weights={"image": 1, "text": 3})
    model.hide("text")
    image = data.modalities["image"]
    near = dense(knn_graph(image.values, 3, present=image.present, weights="one").normalize("sym"))
    torch.testing.assert_close(dense(model.graph), near)


def test_without_item_layers_it_is_lightgcn():
    model = made(tiny_dataset(), item_layers=0, drop=0.0)
    torch.testing.assert_close(torch.cat(model.eval().tables()), model.encoder.read(model.encoder()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"drop": 1.0}, r"drop of FREEDOM must lie in \[0, 1\), got 1\.0"),
        ({"weights": {"imag": 1}}, r"weights: the data set has no modality 'imag'\. Did you mean 'image'\?"),
        ({"weights": {"image": 1}}, r"weights must be not negative, one for each of text, image, and not all 0"),
        ({"weights": {"image": 0, "text": 0}}, r"weights must be not negative"),
        ({"neighbours": 0}, r"k must be at least 1, got 0"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(InputError, match=text):
        made(tiny_dataset(), **arguments)

"""SIGER: its graphs, its terms, no leak, no noise in eval."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gcl.data import Batch, Interactions, Split, TrainInteractions, loader, query
from gcl.errors import InputError
from gcl.graph import cooccurrence_graph, knn_graph
from gcl.losses import AnchorStar, InfoNCE
from gcl.recommenders.multimodal.base import Rows
from gcl.recommenders.multimodal.siger import SIGER
from gcl.testing import tiny_dataset
from gcl.views import ModulusNoise, Noise


def made(data, **arguments):
    torch.manual_seed(0)
    model = SIGER(data, dim=4, neighbours=3, common=4, **arguments)
    model.generator = torch.Generator().manual_seed(0)
    return model


def first_batch(model, data, size=32):
    return next(iter(loader(data, model.sampling, size, torch.Generator().manual_seed(0))))


def dense(graph):
    return graph @ torch.eye(graph.num_cols)


def test_graphs_are_normalised_before_they_are_mixed():
    data = tiny_dataset()
    near = {n: knn_graph(m.values, 3, present=m.present).normalize("sym") for n, m in data.modalities.items()}
    together = dense(cooccurrence_graph(data.train, 4).normalize("sym"))
    plain, enriched = made(data, eta=0.0), made(data, eta=0.4)
    for name, a, b in zip(near, plain.semantic, enriched.semantic, strict=True):
        assert torch.equal(a.graph.indices, near[name].indices) and torch.equal(a.graph.values, near[name].values)
        torch.testing.assert_close(dense(b.graph), 0.6 * dense(near[name]) + 0.4 * together)


def test_common_users_are_weighed_as_asked_and_features_may_go_unpurified():
    data = tiny_dataset()
    together = cooccurrence_graph(data.train, 4, weights="count").normalize("sym")
    model = made(data, eta=1.0, common_weights="count", purify=False)
    _, semantics, _ = model.sides()
    for name, view, part, s in zip(model.names, model.semantic, model.projections, semantics, strict=True):
        torch.testing.assert_close(dense(view.graph), dense(together))
        x = part.linear(part.features.values) * data.modalities[name].present[:, None]
        torch.testing.assert_close(s[24:], dense(together) @ x)
    assert not torch.equal(dense(made(data, eta=1.0).semantic[0].graph), dense(together))


def test_an_item_without_a_modality_is_told_of_it_by_common_users_alone():
    data = tiny_dataset()
    missing = ~data.modalities["image"].present
    for eta, told in ((0.0, False), (0.3, True)):
        image = made(data, eta=eta).sides()[1][1][24:]
        assert bool((image[missing] != 0).any(1).all()) == told
        assert bool((image[~missing] != 0).any(1).all())


def test_no_pair_of_valid_or_test_enters():
    data = tiny_dataset()
    rows = data.valid.union(data.test)
    nothing = Interactions(rows.user[:0], rows.item[:0], 24, 18)
    blind = replace(data, split=Split(data.train, nothing, nothing))
    for a, b in zip(made(data).semantic, made(blind).semantic, strict=True):
        assert torch.equal(a.graph.indices, b.graph.indices) and torch.equal(a.graph.values, b.graph.values)
    seen = data.train.union(rows)
    leaky = TrainInteractions(seen.user, seen.item, 24, 18)
    assert not torch.equal(cooccurrence_graph(leaky, 4).values, cooccurrence_graph(data.train, 4).values)


def test_terms_are_the_formula():
    data = tiny_dataset()
    model = made(data, noise_weight=0.5, anchor_weight=0.3, fusion_weight=0.2, reg=0.1, views=[ModulusNoise(0.0)])
    batch = first_batch(model, data)
    b, semantics, f = model.sides()
    shares = model.fusion.shares(semantics)
    torch.testing.assert_close(f, sum(w[:, None] * s for w, s in zip(shares, semantics, strict=True)))
    y, nce = b + f, InfoNCE(0.2)
    users, items = batch.users.unique(), 24 + batch.items.unique()
    u, i, j = y[batch.users], y[24 + batch.items], y[24 + batch.negatives[:, 0]]
    terms = model.losses(batch)
    torch.testing.assert_close(terms["rank"], F.softplus((u * (j - i)).sum(1)).mean())
    same = sum(nce(x[ids], x[ids]) for x in (b, f) for ids in (users, items))
    torch.testing.assert_close(terms["perturbation"], 0.5 * same)
    torch.testing.assert_close(terms["fusion"], 0.2 * (nce(b[users], f[users]) + nce(b[items], f[items])))
    table = model.encoder.table
    ego = [table[batch.users], table[24 + batch.items], table[24 + batch.negatives[:, 0]]]
    torch.testing.assert_close(terms["reg"], 0.1 * sum(e.square().sum() for e in ego) / 64)
    # anchor: all modalities in one denominator, the mean of logs over modalities
    items = items[data.modalities["image"].present[items - 24]]
    a, s = F.normalize(b[items], dim=1), [F.normalize(x[items], dim=1) for x in semantics]
    below = torch.logsumexp(torch.cat([a @ x.T for x in s], 1) / 0.2, 1)
    expected = torch.stack([below - (a * x).sum(1) / 0.2 for x in s]).mean()
    torch.testing.assert_close(terms["anchor"], 0.3 * expected)
    star = made(data, anchor=AnchorStar(0.2), anchor_weight=0.3).losses(batch)["anchor"]
    torch.testing.assert_close(star, 0.3 * sum(nce(b[items], x[items]) for x in semantics))


def test_noise_is_drawn_in_training_alone():
    data = tiny_dataset()
    model = made(data)
    batch = first_batch(model, data)
    first = model.losses(batch)["perturbation"].item()
    assert model.losses(batch)["perturbation"].item() != first
    asked = query(data, torch.arange(24), "valid")
    model.eval()
    with torch.no_grad():
        before = model.generator.get_state()
        once = model.scores(asked)
        model.train().eval()
        assert torch.equal(model.scores(asked), once) and torch.equal(model.generator.get_state(), before)


def test_a_detached_anchor_moves_the_semantics_alone():
    data = tiny_dataset()
    for detach in (False, True):
        model = made(data, detach_anchor=detach)
        b, semantics, _ = model.sides()
        b = b.detach().requires_grad_()
        every = Batch(torch.arange(18), torch.arange(18), torch.arange(18)[:, None])
        at = Rows(torch.arange(42), every.users, every.items + 24, every.negatives + 24, 24)
        loss = model.anchored(b, semantics, at)
        assert (torch.autograd.grad(loss, b, allow_unused=True)[0] is None) == detach


def test_a_batch_whose_items_lack_a_modality_has_no_anchor():
    data = tiny_dataset()
    model = made(data)
    b, semantics, _ = model.sides()
    missing = (~data.modalities["image"].present).nonzero().flatten()
    value = model.anchored(b, semantics, Rows(torch.arange(42), missing, missing + 24, missing[:, None], 24))
    assert value.item() == 0 and value.requires_grad


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"eta": 1.5}, r"eta of SIGER must lie in \[0, 1\], got 1\.5"),
        ({"anchor": InfoNCE()}, "anchor of SIGER must be of kind multiview or tuple, got InfoNCE"),
        ({"common_weights": "log"}, "weights must be 'cosine' or 'count', got 'log'"),
        ({"fusion_weight": -1.0}, "fusion_weight of SIGER must not be negative, got -1"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match="views must be of ModulusNoise here, got Noise"):
        made(tiny_dataset(), views=[Noise()])
    with pytest.raises(InputError, match=text):
        made(tiny_dataset(), **arguments)

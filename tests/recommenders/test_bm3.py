"""BM3: what its terms are, who gets a gradient, what scores read."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from gcl.data import Batch, Split, TrainInteractions, loader, query
from gcl.errors import InputError
from gcl.losses import BYOL, InfoNCE
from gcl.recommenders.multimodal.bm3 import BM3
from gcl.testing import tiny_dataset


def made(data, **arguments):
    torch.manual_seed(0)
    model = BM3(data, dim=4, **arguments)
    model.generator = torch.Generator().manual_seed(0)
    return model


def first_batch(model, data, size=32):
    return next(iter(loader(data, model.sampling, size, torch.Generator().manual_seed(0))))


def s(a, b):
    return (1 - cosine_similarity(a, b, dim=1)).mean()


def test_terms_are_the_formula_without_dropout():
    data = tiny_dataset()
    model = made(data, dropout=0.0, layers=2, reg=0.3, weight=0.7)
    batch = first_batch(model, data)
    assert batch.negatives is None
    p, u, i = model.predictor, batch.users, batch.items
    z = model.encoder.read(model.encoder())
    hu, hi = z[:24], z[24:] + model.encoder.table[24:]
    terms = model.losses(batch)
    torch.testing.assert_close(terms["reconstruction"], s(p(hu[u]), hi[i]) + s(p(hi[i]), hu[u]))
    torch.testing.assert_close(terms["reg"], 0.3 * (hu.norm() + hi.norm()) / 18)
    align, mask = 0, 0
    for projection in model.projections:
        has = i[projection.features.present[i]]
        m = projection.linear(projection.features.values)
        align, mask = align + s(p(m[has]), hi[has]), mask + s(p(m[has]), m[has])
    torch.testing.assert_close(terms["alignment"], 0.7 * align)
    torch.testing.assert_close(terms["masking"], 0.7 * mask)
    assert set(made(data, weight=0.0).losses(batch)) == {"reconstruction", "reg"}


def test_an_identity_predictor_without_dropout_has_nothing_to_mask():
    model = made(tiny_dataset(), dropout=0.0)
    with torch.no_grad():
        model.predictor.weight.copy_(torch.eye(4))
        model.predictor.bias.zero_()
    assert model.losses(first_batch(model, tiny_dataset()))["masking"].item() == pytest.approx(0, abs=1e-6)


def test_targets_get_no_gradient():
    data = tiny_dataset()
    model = made(data, dropout=0.0, layers=0, reg=0.0)
    batch = Batch(torch.tensor([0]), torch.tensor([3]))
    rows = torch.randn(2, 4, requires_grad=True)
    target = model.target(rows)
    assert not target.requires_grad
    at = torch.tensor([0, 1])
    loss = model.gap(torch.randn(2, 4), at, rows * 1, at, at)
    assert torch.autograd.grad(loss, rows, allow_unused=True)[0] is None, "the target side is fixed"

    def gradient(shift):
        model.zero_grad()
        online = torch.ones(2, 4, requires_grad=True)
        moved = model.target(rows + shift)
        model.gap(online, at, moved, at, at).backward()
        return online.grad, rows.grad

    assert gradient(0.0)[1] is None
    assert not torch.equal(gradient(0.0)[0], gradient(1.0)[0]), "the online side sees where the target is"
    model.losses(batch)["reconstruction"].backward()
    assert bool((model.encoder.table.grad[0] != 0).any())


def test_dropped_targets_are_inverted_dropout_and_one_mask_an_item():
    data = tiny_dataset()
    model = made(data, dropout=0.25)
    x = torch.ones(2000, 4, requires_grad=True)
    out = model.target(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    # one user with one item, many times: all rows of the batch have the same masks, so the mean is that of one row
    many, once = (Batch(torch.full((n,), 2), torch.full((n,), 5)) for n in (7, 1))
    found = []
    for batch in (many, once):
        model.generator.manual_seed(3)
        found.append(model.losses(batch)["reconstruction"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("objective", [BYOL(), InfoNCE(0.5)])
def test_every_target_is_dropped_out_and_stands_still(objective):
    data = tiny_dataset()
    model = made(data, dropout=0.4, objective=objective)
    batch = first_batch(model, data)
    seen = []

    def recorded(x):
        seen.append(x)
        return (x.flip(0) * 2).detach()

    model.target = recorded
    terms = model.losses(batch)
    found = torch.autograd.grad(sum(terms.values()), list(model.parameters()), retain_graph=True)
    users, u = batch.users.unique(return_inverse=True)
    items, i = batch.items.unique(return_inverse=True)
    tables = model.online()
    rows = [tables[0][users], tables[1][items], *(p.raw(items) for p in model.projections)]
    assert len(seen) == len(rows), "a mask for users, for items, and for every modality"
    for taken, row in zip(seen, rows, strict=True):
        torch.testing.assert_close(taken, row)
    user, item, *looks = (row.flip(0).detach() * 2 for row in rows)
    p, total = model.predictor, terms["reg"]

    def s(online, target, place):
        return objective(p(online), target, place) / 2

    total = total + s(rows[0][u], item[i], items[i] + 24) + s(rows[1][i], user[u], users[u])
    for projection, m, dropped in zip(model.projections, rows[2:], looks, strict=True):
        at = i[projection.features.present[batch.items]]
        total = total + 2 * (s(m[at], item[at], items[at] + 24) + s(m[at], dropped[at], items[at] + 24))
    torch.testing.assert_close(sum(terms.values()), total)
    for ours, theirs in zip(found, torch.autograd.grad(total, list(model.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_cold_item_is_where_its_modalities_say_in_the_mean_length_of_warm_ones():
    data = tiny_dataset()
    keep = data.train.item < 15
    train = TrainInteractions(data.train.user[keep], data.train.item[keep], 24, 18)
    data = replace(data, split=Split(train, data.valid, data.test))
    model = made(data).eval()
    with torch.no_grad():
        h, items = model.online()[1], model.tables()[1]
        torch.testing.assert_close(items[:15], model.predictor(h[:15]))
        for item in (15, 16, 17):
            looks = [model.predictor(p.raw())[item] for p in model.projections if p.features.present[item]]
            assert len(looks) == (1 if item == 15 else 2), "item 15 has no image"
            way = torch.stack([look / look.norm() for look in looks]).sum(0)
            guess = h[:15].norm(dim=1).mean() * way / way.norm()
            torch.testing.assert_close(items[item], model.predictor(guess))


def test_scores_do_not_read_the_modalities():
    data = tiny_dataset()
    model = made(data).eval()
    asked = query(data, torch.arange(data.num_users), "valid")
    with torch.no_grad():
        before = model.scores(asked)
        for projection in model.projections:
            projection.features.values.zero_()
        assert torch.equal(model.scores(asked), before)
        model.hide("text", "image")
        assert torch.equal(model.scores(asked), before)
        users, items = model.online()
        torch.testing.assert_close(before, model.predictor(users) @ model.predictor(items).T)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"dropout of BM3 must lie in \[0, 1\), got 1\.0"):
        made(tiny_dataset(), dropout=1.0)
    with pytest.raises(InputError, match=r"weight of BM3 must not be negative, got -1"):
        made(tiny_dataset(), weight=-1.0)

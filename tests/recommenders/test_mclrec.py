"""MCLRec: whose turn it is, the regulariser's identities, degenerate batches."""

import pytest
import torch
import torch.nn.functional as F

from gcl.data import loader
from gcl.errors import InputError
from gcl.losses import NTXent
from gcl.recommenders.sequential.mclrec import Augmenter, MCLRec, separation
from gcl.testing import check_recommender, tiny_dataset

SMALL = {"dim": 8, "inner": 16, "dropout": 0.1}


def first_batch(model, data, size=64):
    return next(iter(loader(data, model.sampling, size, torch.Generator().manual_seed(0))))


@pytest.mark.parametrize(
    "arguments", [{}, {"turns": "two", "weight": 0.1}, {"turns": "joint", "targets": "all"}, {"gamma": 0.0}]
)
def test_recommender_holds_its_contract(arguments):
    check_recommender(lambda data: MCLRec(data, **SMALL, **arguments))


def test_turns_are_phases():
    data = tiny_dataset()
    names = {
        turns: [p.name for p in MCLRec(data, **SMALL, turns=turns).phases()] for turns in ("three", "two", "joint")
    }
    assert names["three"] == ["encoder", "augmenters", "encoder"]
    assert names["two"] == ["encoder", "augmenters"] and names["joint"] == ["main"]


@pytest.mark.parametrize("at", [0, 1])
def test_a_turn_leaves_the_other_side_bit_identical(at):
    data = tiny_dataset()
    model = MCLRec(data, **SMALL, weight=0.1)
    phase = model.phases()[at]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.Adam(phase.parameters, lr=0.1)
    torch.stack(list(phase.losses(first_batch(model, data)).values())).sum().backward()
    optimiser.step()
    for name, p in model.named_parameters():
        theirs = name.startswith("augmenters")
        assert torch.equal(p, before[name]) == (theirs != (at == 1)), name
        if at == 1 and not theirs:
            assert p.grad is None, f"the augmenters' turn must build no gradient of {name}"


@pytest.mark.parametrize("turns", ["three", "two", "joint"])
def test_phases_share_no_parameter_and_leave_none_out(turns):
    model = MCLRec(tiny_dataset(), **SMALL, turns=turns)
    held = {p.name: {id(q) for q in p.parameters} for p in model.phases()}
    assert sum(map(len, held.values())) == len(list(model.parameters())) == len(set.union(*held.values()))
    if turns != "joint":
        assert held["augmenters"] == {id(p) for p in model.augmenters.parameters()}


def test_terms_are_the_formula():
    data = tiny_dataset()
    model = MCLRec(data, dim=8, inner=16, dropout=0.0, weight=0.2, meta=0.3, gamma=0.4)
    batch = first_batch(model, data)
    h1, h2 = model.vectors(batch)
    z1, z2 = (F.normalize(augmenter(h), dim=1) for augmenter, h in zip(model.augmenters, (h1, h2), strict=True))
    learnt = sum(nt_xent(a, b) for a, b in ((h1, z2), (h2, z1), (z1, z2)))
    apart = sum(naive_separation(a, b) for a, b in ((h1, z2), (h2, z1), (z1, z2)))
    terms = model.losses(batch)
    torch.testing.assert_close(terms["next"], F.cross_entropy(
        model.encoder.last(batch.history, batch.length) @ model.encoder.items().T, batch.targets))  # fmt: skip
    torch.testing.assert_close(terms["contrast"], 0.2 * nt_xent(h1, h2))
    torch.testing.assert_close(terms["meta"], 0.3 * learnt)
    torch.testing.assert_close(terms["separation"], 0.3 * 0.4 * apart)
    theirs = model.augmenter_losses(batch)
    assert theirs.keys() == {"meta", "separation"}
    torch.testing.assert_close(theirs["meta"], learnt)
    torch.testing.assert_close(theirs["separation"], 0.4 * apart)


def nt_xent(a, b):
    z = torch.cat([a, b])
    return F.cross_entropy((z @ z.T).fill_diagonal_(-torch.inf), torch.arange(len(z)).roll(len(a)))


def test_the_encoder_learns_through_the_augmenters():
    data = tiny_dataset()
    model = MCLRec(data, **SMALL)
    model.losses(first_batch(model, data))["meta"].backward()
    assert bool(model.encoder.table.grad.abs().sum() > 0)


def test_a_batch_keeps_its_views_through_its_turns():
    data = tiny_dataset()
    model = MCLRec(data, dim=8, inner=16, dropout=0.0)
    batch = first_batch(model, data)
    first, again = model.vectors(batch), model.vectors(batch)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(model.vectors(first_batch(model, data))[0], first[0])


def naive_separation(a, b):
    z = torch.cat([a, b])
    n, first, second = len(z), [], []
    for r in range(n):
        partner = (r + len(a)) % n
        p = z[r] @ z[partner]
        others = torch.stack([z[r] @ z[k] for k in range(n) if k not in (r, partner)])
        first.append((p - torch.minimum(p, others.max())).clamp_min(0))
        second += [(torch.maximum(p, others.max()) - s).clamp_min(0) for s in others]
    return torch.stack(first).mean() + torch.stack(second).mean()


def test_separation_is_the_formula_in_value_and_gradient():
    a, b = torch.randn(5, 4, dtype=torch.float64, requires_grad=True), torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(separation(a, b), naive_separation(a, b))
    ours, theirs = (torch.autograd.grad(f(a, b), a)[0] for f in (separation, naive_separation))
    torch.testing.assert_close(ours, theirs)


def test_separation_is_zero_when_collapsed_and_two_when_orthogonal():
    same = torch.ones(6, 4)
    assert separation(same, same).item() == 0
    apart = torch.eye(6)
    # apart: p = 1, negatives 0, so R = 1 + 1
    assert separation(apart, apart).item() == pytest.approx(2.0)


def test_separation_is_float32_under_autocast():
    a, b = torch.randn(6, 4), torch.randn(6, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = separation(a, b)
    torch.testing.assert_close(found, separation(a, b), rtol=0, atol=0)


def test_separation_does_not_depend_on_the_order_of_rows_or_views():
    a, b, order = torch.randn(7, 4), torch.randn(7, 4), torch.randperm(7)
    torch.testing.assert_close(separation(a, b), separation(a[order], b[order]))
    torch.testing.assert_close(separation(a, b), separation(b, a))


def test_a_batch_of_one_has_no_contrast():
    data = tiny_dataset()
    model = MCLRec(data, **SMALL, weight=0.1)
    terms = model.losses(first_batch(model, data, 1))
    assert all(terms[name].item() == 0 for name in ("contrast", "meta", "separation"))
    assert bool(torch.isfinite(terms["next"]))
    assert separation(torch.randn(1, 4), torch.randn(1, 4)).item() == 0


def test_rows_of_zero_length_give_finite_values_and_gradients():
    augmenter = Augmenter(8)
    for p in augmenter.parameters():
        torch.nn.init.zeros_(p)
    h = torch.randn(3, 8, requires_grad=True)
    z = augmenter(h)
    assert bool((z == 0).all())
    (NTXent(1.0, "dot")(h, z) + separation(h, z)).backward()
    assert bool(torch.isfinite(h.grad).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in augmenter.parameters())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="dim of MCLRec must be at least 4, got 2"):
        MCLRec(tiny_dataset(), dim=2)
    with pytest.raises(InputError, match="turns must be 'three', 'two' or 'joint', got 'one'"):
        MCLRec(tiny_dataset(), turns="one")
    with pytest.raises(InputError, match="meta of MCLRec must not be negative, got -0.1"):
        MCLRec(tiny_dataset(), meta=-0.1)

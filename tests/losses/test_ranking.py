"""Objectives of scores."""

import math

import pytest
import torch

from gcl.losses import BPR, Discriminator, InfoNCE, MWLoss
from gcl.losses.functional import partition as module
from tests.losses.reference import mean, same


def test_bpr_check_values():
    zero = torch.zeros(3, dtype=torch.float64)
    assert BPR()(zero, zero[:, None]).item() == pytest.approx(math.log(2))
    assert BPR()(zero + 1, zero[:, None]).item() == pytest.approx(0.313262, abs=1e-6)


def test_bpr_is_its_formula(views):
    positive, negative = views[0][:, 0], views[1]

    def naive(p, n):
        return mean([torch.log(1 + torch.exp(n[i, j] - p[i])) for i in range(9) for j in range(5)])

    same(BPR(), naive, positive, negative)


def test_bpr_of_pairs_that_are_trusted_more_or_less(views):
    positive, negative = views[0][:, 0], views[1]
    draw = torch.Generator().manual_seed(4)
    for shape in ((9,), (9, 5)):
        trust = 2 * torch.rand(shape, generator=draw) - 1
        trust[0] = 0

        def naive(p, n):
            w = trust.double() if trust.dim() == 2 else trust.double()[:, None].expand(9, 5)  # noqa: B023
            gaps = [(w[i, j], n[i, j] - p[i]) for i in range(9) for j in range(5)]
            return mean([abs(w) * torch.log(1 + torch.exp(-gap if w < 0 else gap)) for w, gap in gaps])

        same(lambda p, n: BPR()(p, n, weights=trust), naive, positive, negative)  # noqa: B023
    torch.testing.assert_close(BPR()(positive, negative, weights=torch.ones(9)), BPR()(positive, negative))
    for weights, words in (
        (torch.ones(4), r"weights must be \[9\], trust in every row, or in every pair, got \[4\]"),
        (torch.ones(9, 4), r"weights must be \[9, 5\]"),
        (torch.full((9,), 2.0), "weights must be in -1 .. 1, trust in a pair, below 0 in its opposite, got 2 to 2"),
    ):
        with pytest.raises(ValueError, match=words):
            BPR()(positive, negative, weights=weights)


def test_bpr_keeps_its_slope_where_the_order_is_wrong():
    """-log(eps + sigmoid) saturates at 23.03 and stops pulling; softplus does not."""
    positive = torch.tensor([-60.0], requires_grad=True)
    loss = BPR()(positive, torch.zeros(1, 1))
    loss.backward()
    assert loss.item() == pytest.approx(60.0) and positive.grad.item() == pytest.approx(-1.0)


def test_bpr_is_info_nce_with_one_negative(views):
    user, item, other = (v[:1] for v in views)
    candidates = torch.cat([item, other])
    expected = InfoNCE(1.0, similarity="dot")(user, candidates)
    torch.testing.assert_close(BPR()((user * item).sum(1), user @ other.T), expected)


@pytest.mark.parametrize("phi", ["softplus", "hinge", "square"])
@pytest.mark.parametrize("streamed", [False, True])
def test_mw(views, phi, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)

    def price(x):
        if phi == "softplus":
            return torch.log(1 + torch.exp(x))
        return (1 + x).clamp_min(0) if phi == "hinge" else (1 + x).clamp_min(0) ** 2

    def naive(p, n):
        return mean([price((n[j, k] - p[i]) / 0.7) for i in range(9) for j in range(9) for k in range(5)])

    same(MWLoss(0.7, phi), naive, views[0][:, 0], views[1])


def test_mw_check_values_and_relations(views):
    one, zero = torch.ones(4, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    assert MWLoss()(one, zero).item() == pytest.approx(0.313262, abs=1e-6)
    assert MWLoss(0.5)(one, zero).item() == pytest.approx(0.126928, abs=1e-6)
    assert MWLoss()(one, zero + 1).item() == pytest.approx(0.693147, abs=1e-6)
    p, n = views[0][:, 0], views[1][:, :1]
    torch.testing.assert_close(MWLoss()(p + 3, n + 3), MWLoss()(p, n))
    shift = torch.arange(9.0).double()
    assert not torch.isclose(MWLoss()(p + shift, n + shift[:, None]), MWLoss()(p, n))
    torch.testing.assert_close(BPR()(p + shift, n + shift[:, None]), BPR()(p, n))
    torch.testing.assert_close(MWLoss()(p[:1], n[:1]), BPR()(p[:1], n[:1]))
    auc = (p[:, None] > n[:, 0]).double().mean()
    for tau in (0.01, 1.0, 10.0):
        assert MWLoss(tau)(p, n) >= math.log(2) * (1 - auc)


def test_discriminator(views):
    p, n = views[0][:, 0], views[1]

    def naive(p, n):
        push = mean([torch.log(1 + torch.exp(x)) for x in n.flatten()])
        return mean([torch.log(1 + torch.exp(-x)) for x in p]) + push

    same(Discriminator(), naive, p, n)
    zero = torch.zeros(3)
    assert Discriminator()(zero, zero[:, None]).item() == pytest.approx(1.386294, abs=1e-6)
    assert Discriminator(jsd=True)(zero, zero[:, None]).item() == pytest.approx(0.0, abs=1e-6)


def test_rows_without_negatives():
    empty = torch.zeros(3, 0)
    for loss in (BPR(), MWLoss()):
        assert loss(torch.ones(3), empty).item() == 0


def test_errors():
    with pytest.raises(ValueError, match="phi must be softplus, hinge or square, got 'x'"):
        MWLoss(phi="x")

"""Weighted, filtered and restricted negatives."""

import math

import pytest
import torch

from gcl.losses import (
    CLP,
    ClusterNegatives,
    Contrast,
    DebiasedContrast,
    GuidedInfoNCE,
    HardNegative,
    HardNegativeInfoNCE,
    InfoNCE,
    NTXent,
)
from gcl.losses.functional import exhausted
from gcl.losses.functional.numerics import lse
from gcl.losses.slots.margins import turn
from gcl.losses.slots.weightings import Hardness
from tests.losses.reference import cosines, info_nce_row, log_sum, mean, same


def naive_hard(a, b, tau, tau_plus, beta, detach=False):
    z = torch.cat([a, b])
    s, n = cosines(z, z), len(a)
    rows = []
    for i in range(2 * n):
        p = (i + n) % (2 * n)
        neg = torch.stack([(s[i, k] / tau).exp() for k in range(2 * n) if k not in (i, p)])
        w = neg**beta / (neg**beta).mean()
        total = ((w.detach() if detach else w) * neg).sum()
        pos, k = (s[i, p] / tau).exp(), 2 * n - 2
        ng = torch.clamp((total - tau_plus * k * pos) / (1 - tau_plus), min=k * math.exp(-1 / tau))
        rows.append(torch.log(1 + ng / pos))
    return mean(rows)


@pytest.mark.parametrize("tau", [0.1, 0.5, 5.0])
@pytest.mark.parametrize(("tau_plus", "beta"), [(0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.4, 0.5)])
def test_debiased_and_hard(views, tau, tau_plus, beta, streamed):
    for detach in (False, True):
        same(
            HardNegative(tau, beta, tau_plus, detach),
            lambda a, b, d=detach: naive_hard(a, b, tau, tau_plus, beta, d),
            views[0],
            views[1],
            rtol=1e-6,
            atol=1e-8,
        )
    if beta == 0:
        same(DebiasedContrast(tau, tau_plus), lambda a, b: naive_hard(a, b, tau, tau_plus, 0), *views[:2], rtol=1e-7)


def test_check_values(eye, collapsed):
    for loss in (DebiasedContrast(0.5, 0.1), HardNegative(0.5, 1.0, 0.1)):
        assert loss(eye, eye).item() == pytest.approx(0.211532, abs=1e-6)
        assert loss(collapsed, collapsed).item() == pytest.approx(1.945910, abs=1e-6)
    torch.testing.assert_close(DebiasedContrast(0.3, 0.0)(eye, collapsed), NTXent(0.3)(eye, collapsed))


def test_where_the_floor_holds_negatives_get_no_gradient(eye):
    """A count of all negatives in the mask, or a flipped sign, would move the negatives here."""
    z = eye.clone().requires_grad_()
    rows = DebiasedContrast(0.5, 0.9).rows(eye, z)
    (grad,) = torch.autograd.grad(rows.sum(), z)
    assert bool((grad[~torch.eye(4, dtype=torch.bool)].abs() < 1e-12).all())


def test_ids_lower_the_count(views):
    ids = torch.tensor([0, 1, 1, 2, 3, 4, 5, 6, 7])
    keep = torch.tensor([0, 1, 3, 4, 5, 6, 7, 8])
    row = DebiasedContrast(0.5).rows(*views[:2], ids)[1]
    alone = DebiasedContrast(0.5).rows(views[0][keep], views[1][keep])[1]
    torch.testing.assert_close(row, alone)


@pytest.mark.parametrize(
    ("weighting", "keeps"),
    [
        ({"name": "below", "ceiling": 0.2}, lambda s, p: s < 0.2),
        ({"name": "below_positive", "margin": 0.1}, lambda s, p: s <= p - 0.1),
        ({"name": "below_positive", "margin": 0.1, "relative": True}, lambda s, p: s <= 0.9 * p),
        ({"name": "semi_hard", "width": 0.5}, lambda s, p: p - 0.5 < s < p),
    ],
)
def test_filters(views, weighting, keeps, streamed):
    def naive(a, b):
        s = cosines(a, b)
        return mean([
            info_nce_row(s[i], i, [j for j in range(9) if j != i and keeps(s[i, j].item(), s[i, i].item())], 0.3)
            for i in range(9)
        ])  # fmt: skip

    same(Contrast(temperature=0.3, weighting=weighting), naive, views[0], views[1])


def test_hardest_over_both_views_is_one_choice(views, streamed):
    z1, z2 = views[:2]
    loss = Contrast(temperature=0.3, weighting={"name": "hardest", "count": 3}, negatives="both")

    def naive(a, b):
        s = cosines(a, torch.cat([b, a]))
        rows = []
        for i in range(9):
            others = sorted((j for j in range(18) if j not in (i, i + 9)), key=lambda j: -s[i, j].item())[:3]
            rows.append(info_nce_row(s[i], i, others, 0.3))
        return mean(rows)

    same(loss, naive, z1, z2)


def test_more_hard_negatives_never_lower_the_loss(views):
    values = [Contrast(weighting={"name": "hardest", "count": c})(*views[:2]).item() for c in (1, 3, 8)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(InfoNCE()(*views[:2]).item())


@pytest.mark.parametrize("rule", ["absolute", "relative"])
def test_guided(views, rule, streamed):
    guide = views[2]
    g = cosines(guide, guide)

    def naive(a, b):
        s = cosines(a, b)
        rows = []
        for i in range(9):
            edge = g[i, i] - 0.6 if rule == "absolute" else 0.4 * g[i, i]
            rows.append(info_nce_row(s[i], i, [j for j in range(9) if j != i and g[i, j] <= edge], 0.3))
        return mean(rows)

    loss = GuidedInfoNCE(0.3, 0.6, rule)
    same(lambda a, b: loss(a, b, guide=guide), naive, views[0], views[1])
    torch.testing.assert_close(loss(*views[:2], guide=(guide, guide)), loss(*views[:2], guide=guide))
    assert GuidedInfoNCE(0.3, -9.0)(*views[:2]).item() == pytest.approx(InfoNCE(0.3)(*views[:2]).item())


def test_a_masked_candidate_gets_no_gradient_and_the_positive_is_kept(views):
    z2 = views[1].clone().requires_grad_()
    GuidedInfoNCE(0.3, margin=9.0)(views[0], z2).backward()
    assert bool((z2.grad.abs() < 1e-12).all())


def test_cluster_negatives(views, streamed):
    clusters = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 0])

    def naive(a, b):
        s = cosines(a, b)
        rows = []
        for i in range(9):
            others = [j for j in range(9) if j != i and clusters[j] == clusters[i]]
            rows += [info_nce_row(s[i], i, others, 0.3)] if others else []
        return mean(rows)

    loss = ClusterNegatives(0.3)
    same(lambda a, b: loss(a, b, clusters=clusters), naive, views[0], views[1])
    assert len(loss.rows(*views[:2], clusters=clusters)) == 8
    torch.testing.assert_close(loss(*views[:2]), InfoNCE(0.3)(*views[:2]))


@pytest.mark.parametrize("shared", [False, True])
def test_given_hard_negatives(views, shared):
    hard = torch.randn(9, 2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def naive(a, b, h):
        s, flat = cosines(a, b), h.reshape(18, 5)
        t = cosines(a, flat)
        rows = []
        for i in range(9):
            extra = range(18) if shared else (2 * i, 2 * i + 1)
            exps = [(s[i, j] / 0.3).exp() for j in range(9)] + [0.7 * (t[i, k] / 0.3).exp() for k in extra]
            rows.append(torch.log(sum(exps)) - s[i, i] / 0.3)
        return mean(rows)

    loss = HardNegativeInfoNCE(0.3, 0.7, shared)
    same(lambda a, b, h: loss(a, b, hard=h), naive, views[0], views[1], hard)
    torch.testing.assert_close(loss(*views[:2]), InfoNCE(0.3)(*views[:2]))
    torch.testing.assert_close(HardNegativeInfoNCE(0.3, 0.0)(*views[:2], hard=hard), InfoNCE(0.3)(*views[:2]))


def test_clp(views):
    generator = torch.Generator().manual_seed(1)
    hard, queries = (torch.randn(9, 2, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    base = HardNegativeInfoNCE(0.3)(*views[:2], hard=hard)
    penalty = mean([1 - torch.cosine_similarity(hard[i, k], queries[i, k], 0) for i in range(9) for k in range(2)])
    torch.testing.assert_close(CLP(0.3, 0.2)(*views[:2], hard=hard, queries=queries), 0.8 * base + 0.2 * penalty)
    torch.testing.assert_close(CLP(0.3, 0.2)(*views[:2], hard=hard, queries=hard), 0.8 * base)
    torch.testing.assert_close(CLP(0.3, 0.0)(*views[:2]), InfoNCE(0.3)(*views[:2]))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DebiasedContrast(tau_plus=1), r"tau_plus must be in \[0, 1\), got 1"),
        (lambda: HardNegative(beta=-1), "beta must be at least 0, got -1"),
        (lambda: GuidedInfoNCE(rule="x"), "rule must be absolute or relative, got 'x'"),
        (lambda: HardNegativeInfoNCE(weight=-1), "weight must be at least 0, got -1"),
        (lambda: CLP(penalty=2), r"penalty must be in \[0, 1\], got 2"),
        (lambda: Contrast(weighting={"name": "semi_hard", "width": 0}), "width must be positive"),
        (lambda: Contrast(weighting={"name": "hardest", "count": 0}), "count must be at least 1"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_curricular(views, streamed):
    """CurricularFace: hard negatives, closer than the turned positive, are scaled by t + s."""
    margin = {"name": "angular", "m": 0.5}
    loss = Contrast(temperature=0.3, margin=margin, weighting={"name": "curricular", "m": 0.5, "momentum": 0.9})
    loss.weighting.t.fill_(0.4)
    loss.weighting.double()
    s = cosines(*views[:2])
    before = loss.weighting.t.item()
    t = 0.9 * before + 0.1 * s.diagonal().mean().item()

    def naive(a, b):
        s, rows = cosines(a, b), []
        for i in range(9):
            edge = turn(s[i, i], 0.5)
            others = [s[i, j] * (t + s[i, j]) if s[i, j] > edge else s[i, j] for j in range(9) if j != i]
            rows.append(log_sum([edge / 0.3, *(o / 0.3 for o in others)]) - edge / 0.3)
        return mean(rows)

    def value(a, b):
        loss.weighting.t.fill_(before)
        return loss(a, b)

    same(value, naive, *views[:2], rtol=1e-6)
    assert loss.weighting.t.item() == pytest.approx(t)
    loss.eval()
    loss(*views[:2])
    assert loss.weighting.t.item() == pytest.approx(t), "evaluation leaves t alone"
    with pytest.raises(ValueError, match=r"m must be an angle in \[0, pi\) and momentum in \[0, 1\), got 4, 0.99"):
        Contrast(weighting={"name": "curricular", "m": 4})


def test_the_state_of_curricular_is_that_of_the_forward_pass(views, streamed):
    """A later call before the backward pass does not change the gradient."""
    loss = Contrast(temperature=0.3, weighting={"name": "curricular", "momentum": 0.0})
    grads = []
    for later in (False, True):
        loss.weighting.t.fill_(0.0)
        z = views[0].clone().requires_grad_()
        value = loss(z, views[1])
        if later:
            loss(views[1], views[1])
        grads.append(torch.autograd.grad(value, z)[0])
    assert torch.equal(*grads)


def test_hard_negatives_that_have_become_easy():
    initial, current = torch.tensor([0.7, 0.7, 0.95, -0.9]), torch.tensor([0.5, 0.65, 0.81, -0.85])
    assert exhausted(initial, current).tolist() == [True, False, False, False]
    assert exhausted(initial, current, ceiling=0.9).tolist() == [True, False, True, True]


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.7, 5.0])
def test_hardness_by_entries_is_hardness_by_sums(beta, detach):
    weighting = Hardness(beta, detach)
    scores = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros(5, 9, dtype=torch.bool)
    hidden[0, :4], hidden[1], hidden[2, 1:] = True, True, True
    found = []
    for by_entries in (True, False):
        logits = scores.clone().requires_grad_()
        shown = logits.masked_fill(hidden, -torch.inf)
        if by_entries:
            value = lse(weighting.negatives(shown, shown, shown[:, 0]))
        else:
            sums = [lse((f * logits).masked_fill(hidden, -torch.inf)) for f in weighting.tilts]
            value = weighting.tilted(sums, (~hidden).sum(1))
        assert value[1] == -torch.inf
        (gradient,) = torch.autograd.grad(value[[0, 2, 3, 4]].sum(), logits)
        found.append((value.detach(), gradient))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)

"""NT-Xent and its relatives: check values, naive references, relations."""

import math

import pytest
import torch

from gcl.losses import DCL, DCLW, AdditiveMargin, AngularMargin, CLIPLoss, Contrast, ConVIRT, InfoNCE, NTXent, SupCon
from tests.losses.reference import cosines, info_nce_row, log_sum, mean, same


def stacked(a, b):
    z = torch.cat([a, b])
    return cosines(z, z), len(a)


def naive_nt_xent(a, b, tau, shift=lambda s: s):
    s, n = stacked(a, b)
    rows = []
    for i in range(2 * n):
        p = (i + n) % (2 * n)
        others = [s[i, k] / tau for k in range(2 * n) if k not in (i, p)]
        top = shift(s[i, p]) / tau
        rows.append(log_sum([top, *others]) - top)
    return mean(rows)


@pytest.mark.parametrize(
    ("loss", "on_eye", "on_collapsed"),
    [
        (NTXent(0.5), 0.594438, 1.945910),
        (DCL(0.5), -0.208241, 1.791759),
        (DCLW(0.5), -0.208241, 1.791759),
        (CLIPLoss(0.5), 0.340753, 1.386294),
        (AdditiveMargin(0.5), 0.689035, None),
        (AngularMargin(0.5), 0.598928, None),
    ],
)
def test_check_values(loss, on_eye, on_collapsed, eye, collapsed):
    assert loss(eye, eye).item() == pytest.approx(on_eye, abs=1e-6)
    if on_collapsed is not None:
        assert loss(collapsed, collapsed).item() == pytest.approx(on_collapsed, abs=1e-6)


@pytest.mark.parametrize("tau", [0.05, 0.5, 10.0])
def test_nt_xent_is_its_formula(views, tau):
    same(NTXent(tau), lambda a, b: naive_nt_xent(a, b, tau), views[0], views[1], rtol=1e-8)


def test_no_row_is_its_own_negative(eye):
    """Complement masks leave the anchor itself among the negatives: the value then holds exp(1 / tau) twice."""
    wrong = math.log(1 + (2 * 3 * math.exp(-2) * math.e**2 + math.e**2) / math.e**2)
    assert NTXent(0.5)(eye, eye).item() < wrong - 0.1
    assert NTXent(0.5)(eye[:1], eye[:1]).item() == 0.0


def test_nt_xent_is_sup_con_of_two_stacked_views(views):
    labels = torch.arange(9).repeat(2)
    stack = torch.cat(views[:2])
    torch.testing.assert_close(NTXent(0.3)(*views[:2]), SupCon(0.3)(stack, labels))
    torch.testing.assert_close(NTXent(0.3)(*views[:2]), SupCon(0.3, "in")(stack, labels))


@pytest.mark.parametrize("weighted", [False, True])
def test_dcl_is_its_formula(views, weighted):
    tau, sigma = 0.2, 0.5

    def naive(a, b):
        s, n = stacked(a, b)
        plus = torch.stack([s[i, i + n] for i in range(n)]).detach()
        w = 2 - (plus / sigma).exp() / (plus / sigma).exp().mean()
        rows = []
        for i in range(2 * n):
            p = (i + n) % (2 * n)
            weight = w[i % n] if weighted else 1.0
            rows.append(log_sum([s[i, k] / tau for k in range(2 * n) if k not in (i, p)]) - weight * s[i, p] / tau)
        return mean(rows)

    same(DCLW(tau, sigma) if weighted else DCL(tau), naive, views[0], views[1], rtol=1e-8)


def test_nt_xent_is_dcl_plus_softplus(views):
    from gcl.losses.functional import softplus

    both = {"temperature": 0.2, "negatives": "both"}
    a, d = (Contrast(kernel=k, **both).rows(*views[:2]) for k in ("all", "negatives"))
    torch.testing.assert_close(a, d + softplus(-d))
    assert bool((d < a).all())


def test_dclw_weights_average_to_one_and_vanish_with_sigma(views):
    loss = DCLW(0.1, 0.5)
    scores = torch.linspace(-1, 1, 7, dtype=torch.float64)
    assert loss.weighting.positives(scores).mean().item() == pytest.approx(1.0)
    torch.testing.assert_close(DCLW(0.1, 1e8)(*views[:2]), DCL(0.1)(*views[:2]))


def test_clip_and_convirt_weigh_directions(views):
    one, back = InfoNCE(0.2)(*views[:2]), InfoNCE(0.2)(views[1], views[0])
    torch.testing.assert_close(CLIPLoss(0.2)(*views[:2]), (one + back) / 2)
    torch.testing.assert_close(ConVIRT(0.2, 0.75)(*views[:2]), 0.75 * one + 0.25 * back)
    same_view = CLIPLoss(0.2)(views[0], views[0])
    torch.testing.assert_close(same_view, InfoNCE(0.2)(views[0], views[0]))


def test_clip_temperature_is_held_above_one_hundredth(views):
    loss = CLIPLoss().build(9, 5).double()
    with torch.no_grad():
        loss.temperature.log_scale.fill_(20.0)
    torch.testing.assert_close(loss(*views[:2]), CLIPLoss(0.01)(*views[:2]), rtol=1e-4, atol=1e-4)
    value = CLIPLoss().build(9, 5).double()
    value(torch.ones(4, 3).double(), torch.ones(4, 3).double()).backward()
    assert value.temperature.log_scale.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_a_learned_temperature_can_leave_its_ceiling_but_not_pass_it(views):
    """A clamp without gradient would hold it there for ever."""
    slopes = []
    for a, b in ((views[0], views[1]), (views[0], views[0] + 0.3 * views[1])):
        loss = CLIPLoss({"name": "learnable", "ceiling": 2.0}).build(9, 5).double()
        loss(a, b).backward()
        slopes.append(loss.temperature.log_scale.grad.item())
    assert slopes[0] > 0.1, "views apart: a descent step lowers the scale"
    assert slopes[1] == 0.0, "views alike: it would rise further"


@pytest.mark.parametrize("m", [-0.3, 0.1, 0.5])
def test_additive_margin_is_its_formula(views, m):
    same(AdditiveMargin(0.3, m), lambda a, b: naive_nt_xent(a, b, 0.3, lambda s: s - m), views[0], views[1])


def test_angular_margin_is_its_formula(views):
    z1 = views[0]
    z2 = torch.cat([views[1][:7], -z1[7:8], z1[8:] + 0.2 * views[1][8:]])

    def shift(s):
        if s.item() <= math.cos(math.pi - 0.4):
            return s - 0.4 * math.sin(math.pi - 0.4)
        return torch.cos(torch.arccos(s) + 0.4)

    loss = AngularMargin(0.3, 0.4)
    same(loss, lambda a, b: naive_nt_xent(a, b, 0.3, shift), z1[:7], z2[:7], rtol=1e-7)
    torch.testing.assert_close(loss(z1, z2), naive_nt_xent(z1, z2, 0.3, shift))
    for sign in (1.0, -1.0):
        x = z1.clone().requires_grad_()
        loss(x, sign * z1).backward()
        assert bool(torch.isfinite(x.grad).all())


def test_margins_vanish_at_zero_and_grow(views):
    for family in (AdditiveMargin, AngularMargin):
        torch.testing.assert_close(family(0.2, 0.0)(*views[:2]), NTXent(0.2)(*views[:2]))
        values = [family(0.2, m)(*views[:2]).item() for m in (0.0, 0.1, 0.3)]
        assert values == sorted(values)
    torch.testing.assert_close(AdditiveMargin(0.2, 0.0, "cross")(*views[:2]), InfoNCE(0.2)(*views[:2]))


def test_further_negatives_of_a_stacked_layout(views):
    """Rows of z2 beyond z1's are candidates of all anchors and never anchors."""
    z1, z2 = views[0][:4], views[1][:6]

    def naive(a, b):
        s = cosines(torch.cat([a, b]), torch.cat([a, b]))
        rows = []
        for i in range(8):
            p = (i + 4) % 8
            rows.append(info_nce_row(s[i], p, [k for k in range(10) if k not in (i, p)], 0.5))
        return mean(rows)

    same(NTXent(0.5), naive, z1, z2)

"""Temperatures that follow the batch, the sample or the pair."""

import math

import pytest
import torch

from gcl.losses import AMCL, DCL, MACL, Contrast, InfoNCE, ISogCLR, NTXent, SogCLR
from gcl.losses.heads import temperature_penalty
from tests.losses.reference import cosines, mean, same

IDS = torch.arange(9)


def test_macl(views, eye):
    tau0, alpha = 0.3, 0.5

    def naive(a, b):
        s = cosines(torch.cat([a, b]), torch.cat([a, b]))
        tau = tau0 * (1 + alpha * mean([s[i, i + 9] for i in range(9)]).item())
        rows = []
        for i in range(18):
            p = (i + 9) % 18
            share = (s[i][[p, *(k for k in range(18) if k not in (i, p))]] / tau).log_softmax(0)[0]
            rows.append(-share / (1 - share.exp()).detach())
        return mean(rows)

    same(MACL(tau0, alpha), naive, views[0], views[1], rtol=1e-8)
    assert MACL(0.5, 0.5)(eye, eye).item() == pytest.approx(1.548057, abs=1e-6)
    assert MACL(0.1, 0.5)(eye, eye).item() == pytest.approx(1.003808, abs=1e-6)


def test_macl_pulls_every_positive_alike_and_does_not_overflow():
    """1 / (1 - P) is infinite where P rounds to 1."""
    from gcl.losses.slots.kernels import Reweighted, Summary

    gap = torch.tensor([-2000.0, -40.0, 0.0, 40.0], requires_grad=True)
    values, _ = Reweighted()(Summary(-gap, -gap, torch.zeros(4), torch.tensor(1.0)))
    (grad,) = torch.autograd.grad(values.sum(), gap)
    torch.testing.assert_close(grad, torch.ones(4))
    assert values[0].item() == pytest.approx(1.0)
    z = torch.eye(4)
    assert torch.isfinite(MACL(0.001)(z, z))


def test_macl_without_both_parts_is_its_base(views):
    plain = Contrast(temperature={"name": "alignment", "value": 0.3, "alpha": 0.0}, negatives="both", forward=0.5)
    torch.testing.assert_close(plain(*views[:2]), NTXent(0.3)(*views[:2]))


def test_scheduled_temperature(views):
    loss = InfoNCE({"name": "scheduled", "low": 0.1, "high": 0.5, "period": 4})
    values = [loss(*views[:2]).item() for _ in range(4)]
    taus = [0.5, 0.3, 0.1, 0.3]
    assert values == pytest.approx([InfoNCE(t)(*views[:2]).item() for t in taus], rel=1e-6)
    loss.eval()
    assert loss(*views[:2]).item() == loss(*views[:2]).item()


def negatives(s, i, n):
    return [k for k in range(2 * n) if k not in (i, (i + n) % (2 * n))]


def naive_sog(a, b, tau, log_u, relative=False):
    """The surrogate with constant weights exp(s / τ) / u."""
    n = len(a)
    s = cosines(torch.cat([a, b]), torch.cat([a, b]))
    rows = []
    for i in range(2 * n):
        t, top = tau[i % n], s[i, (i + n) % (2 * n)]
        h = torch.stack([s[i, k] - top if relative else s[i, k] for k in negatives(s, i, n)])
        w = ((h / t) - log_u[i]).exp().detach()
        rows.append((w * h).mean() - (0 if relative else top))
    return mean(rows)


def log_means(a, b, tau, relative=False):
    n = len(a)
    s = cosines(torch.cat([a, b]), torch.cat([a, b]))
    logs = []
    for i in range(2 * n):
        top = s[i, (i + n) % (2 * n)] if relative else 0.0
        h = torch.stack([(s[i, k] - top) / tau[i % n] for k in negatives(s, i, n)])
        logs.append(torch.logsumexp(h, 0) - math.log(len(h)))
    return torch.stack(logs)


def grad_of(loss, z1, z2):
    leaves = [z1.clone().requires_grad_(), z2.clone().requires_grad_()]
    return torch.autograd.grad(loss(*leaves), leaves)


def test_sog_clr_first_and_second_visit(views):
    loss = SogCLR(0.3, gamma=0.4).build(9, 5).double()
    tau = [0.3] * 9
    first = log_means(views[0], views[1], tau)
    value = loss(views[0], views[1], IDS)
    expected = mean([0.3 * first[i] - torch.cosine_similarity(views[0][i % 9], views[1][i % 9], 0) for i in range(18)])
    torch.testing.assert_close(value, expected)
    stored = torch.logaddexp(first[:9], first[9:]) - math.log(2)
    torch.testing.assert_close(loss.log_u, stored)
    new = log_means(views[2], views[1], tau)
    log_u = torch.logaddexp(stored.repeat(2) + math.log(0.6), new + math.log(0.4))
    got = grad_of(lambda a, b: loss(a, b, IDS), views[2], views[1])
    want = grad_of(lambda a, b: naive_sog(a, b, tau, log_u), views[2], views[1])
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w)
    torch.testing.assert_close(loss.log_u, torch.logaddexp(log_u[:9], log_u[9:]) - math.log(2))
    assert bool((loss.log_u > -torch.inf).all())


def test_sog_clr_check_values_and_relation(eye, collapsed, views):
    assert SogCLR(0.5)(eye, eye).item() == pytest.approx(-1.0)
    assert SogCLR(0.5)(collapsed, collapsed).item() == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(
        SogCLR(0.3, gamma=1.0)(*views[:2]), 0.3 * (DCL(0.3)(*views[:2]) - math.log(16)), rtol=1e-9, atol=1e-9
    )
    got = grad_of(SogCLR(0.3, gamma=1.0), *views[:2])
    want = grad_of(lambda a, b: 0.3 * DCL(0.3)(a, b), *views[:2])
    torch.testing.assert_close(got[0], want[0])


def test_first_visits_are_told_apart_in_one_batch(views):
    """A rule on the whole batch would treat a known and a new id alike."""
    loss = SogCLR(0.3, gamma=0.5).build(20, 5).double()
    loss(views[0][:4], views[1][:4], torch.arange(4))
    loss(views[0][4:8], views[1][4:8], torch.tensor([0, 1, 10, 11]))
    fresh = SogCLR(0.3, gamma=0.5).build(20, 5).double()
    fresh(views[0][4:8], views[1][4:8], torch.tensor([0, 1, 10, 11]))
    torch.testing.assert_close(loss.log_u[10:12], fresh.log_u[10:12])
    assert not torch.isclose(loss.log_u[0], fresh.log_u[0])


def test_small_temperatures_do_not_overflow(views):
    loss = SogCLR(0.001).build(9, 5)
    z = views[0].float()
    for _ in range(3):
        assert torch.isfinite(loss(z, z, IDS))


def test_i_sog_clr(views):
    rho, beta, eta = 0.3, 0.9, 0.01
    loss = ISogCLR(0.2, rho=rho).build(9, 5).double()
    tau = [0.2] * 9
    log_u = log_means(views[0], views[1], tau, relative=True)
    got = grad_of(lambda a, b: loss(a, b, IDS), views[0], views[1])
    want = grad_of(lambda a, b: naive_sog(a, b, tau, log_u, relative=True), views[0], views[1])
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w)

    leaf = torch.full((9,), 0.2, dtype=torch.float64, requires_grad=True)
    value = leaf.repeat(2) * (log_means(views[0], views[1], leaf, relative=True) + rho)
    slope = torch.autograd.grad(value.sum() / 2, leaf)[0]
    torch.testing.assert_close(loss.tau, 0.2 - eta * beta * slope, rtol=1e-6, atol=1e-8)
    value = ISogCLR(0.2, rho=rho).build(9, 5).double()(views[0], views[1], IDS)
    torch.testing.assert_close(value, mean([0.2 * (log_u[i] + rho) for i in range(18)]))


def test_temperatures_fall_where_negatives_are_alike_and_rise_where_they_differ(eye, views):
    ids = torch.arange(4)
    loss = ISogCLR(0.5, rho=0.3, rate=0.5, gamma=1.0).build(4, 4).double()
    for _ in range(20):
        loss(eye, eye, ids)
    torch.testing.assert_close(loss.tau, torch.full_like(loss.tau, 0.05))
    loss = ISogCLR(0.1, rho=0.0, rate=0.5, gamma=1.0).build(9, 5).double()
    for _ in range(50):
        loss(views[0], views[1], IDS)
    assert loss.tau.mean() > 0.6


def test_state_survives(views):
    loss = ISogCLR().build(9, 5).double()
    loss(views[0], views[1], IDS)
    other = ISogCLR().build(9, 5).double()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.eval()(views[0], views[2], IDS), loss.eval()(views[0], views[2], IDS))


def test_amcl_penalty_is_least_at_two_over_d():
    tau = torch.linspace(0.01, 1, 1000, dtype=torch.float64)
    assert tau[temperature_penalty(tau, 8).argmin()].item() == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("kind", ["hardest", "all"])
def test_amcl(views, kind):
    torch.manual_seed(0)
    loss = AMCL(2, low=0.1, high=1.0, negatives=kind, rank=3).build(9, 5).double()
    parts = [p.detach() for p in (loss.weight, loss.left, loss.right, loss.offset)]

    def naive(a, b):
        rows = []
        for i in range(9):
            total = 0
            for c in range(2):
                w, u, v, o = (p[c] for p in parts)
                x, y = a @ w, b @ w
                s = cosines(x, y)
                x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
                tau = 0.1 + 0.9 * torch.sigmoid((x @ u) @ (y @ v).T + o)
                total = total - s[i, i] / tau[i, i] + 0.1 * (2.5 * tau[i, i].log() + 1 / tau[i, i])
                others = [j for j in range(9) if j != i]
                if kind == "hardest":
                    n = max(others, key=lambda j: s[i, j].item())
                    total = total + s[i, n] / tau[i, n] - 0.1 * (2.5 * tau[i, n].log() + 1 / tau[i, n])
                else:
                    total = total + torch.stack([s[i, j] / tau[i, j] for j in others]).logsumexp(0)
            rows.append(total)
        return mean(rows)

    same(loss, naive, views[0], views[1], rtol=1e-7)
    order = AMCL(2, low=0.1, high=1.0, negatives=kind, rank=3).build(9, 5).double()
    order.load_state_dict({k: v.flip(0) for k, v in loss.state_dict().items()})
    torch.testing.assert_close(order(*views[:2]), loss(*views[:2]))
    loss(*views[:2]).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())


def test_amcl_of_one_head_and_constant_temperature_is_decoupled(views):
    loss = AMCL(1, low=0.3, high=0.3, beta=0.0, negatives="all").build(9, 5).double()
    with torch.no_grad():
        loss.weight.copy_(torch.eye(5))
    torch.testing.assert_close(loss(*views[:2]), Contrast(temperature=0.3, kernel="negatives")(*views[:2]))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SogCLR(gamma=0), r"gamma must be in \(0, 1\], got 0"),
        (lambda: ISogCLR(1.0), "0 < low <= temperature <= high must hold, got 0.05, 1.0, 0.7"),
        (lambda: ISogCLR(momentum=0), "gamma and momentum must be in"),
        (lambda: AMCL(heads=0), "heads and rank must be at least 1"),
        (lambda: AMCL(low=0), "0 < low <= high must hold"),
        (lambda: AMCL(negatives="soft"), "negatives must be hardest or all, got 'soft'"),
        (lambda: InfoNCE({"name": "scheduled", "period": 0}), "period must be at least 1"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_heads_that_were_not_built_say_so(views):
    with pytest.raises(RuntimeError, match="AMCL has no heads yet: call objective.build"):
        AMCL()(*views[:2])

"""Samples, parts, assignments."""

import math

import pytest
import torch

from gcl.losses import MMD, Farcon, MutualInformation, SepCLR, SwAV
from gcl.losses.clusters import sinkhorn
from gcl.losses.functional import partition as module
from gcl.losses.functional.discrepancy import mmd
from gcl.losses.sets import joint_entropy_loss
from tests.losses.reference import log_sum, mean, same
from tests.losses.test_energies import naive_uniformity, units


def naive_mmd(x, y, sigmas, unbiased=False):
    def k(a, b):
        return mean([torch.exp(-(a - b).square().sum() / (2 * s * s)) for s in sigmas])

    def inside(z):
        return mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if not unbiased or i != j])

    return inside(x) + inside(y) - 2 * mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("unbiased", [False, True])
def test_mmd(views, unbiased, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    x, y = views[0], views[1][:6] + 0.5
    loss = MMD((0.5, 1.0), sigma=1.3, unbiased=unbiased)
    same(loss, lambda a, b: naive_mmd(a, b, (0.65, 1.3), unbiased), x, y, rtol=1e-8)
    z = torch.cat([x, y])
    pairs = [(z[i] - z[j]).square().sum() for i in range(15) for j in range(15) if i != j]
    sigma = mean(pairs).sqrt()
    torch.testing.assert_close(MMD()(x, y), naive_mmd(x, y, (sigma,)))


def test_mmd_check_values(views):
    x = views[0]
    assert MMD()(x, x.clone()).item() == pytest.approx(0.0, abs=1e-12)
    points = torch.zeros(1, 2), torch.ones(1, 2)
    assert MMD(sigma=1.0)(*points).item() == pytest.approx(1.264241, abs=1e-6)
    torch.testing.assert_close(MMD()(x, views[1]), MMD()(views[1], x))
    torch.testing.assert_close(MMD(unit=True)(x, views[1]), MMD()(units(x), units(views[1])))
    assert MMD()(x, views[1]) >= 0


def test_random_features_stand_for_the_kernel(views):
    loss = MMD((0.5, 1.0), fourier=200_000)
    loss.generator = torch.Generator().manual_seed(0)
    x, y = views[0].clone().requires_grad_(), views[1][:7]
    kernel = MMD((0.5, 1.0))
    value, exact = loss(x, y), kernel(x, y)
    assert value.item() == pytest.approx(exact.item(), rel=0.01)
    got, expected = torch.autograd.grad(value, x)[0], torch.autograd.grad(exact, x)[0]
    torch.testing.assert_close(got, expected, rtol=0.1, atol=float(expected.abs().max()) / 50)
    assert MMD(fourier=3)(views[0], views[0].clone()).item() == pytest.approx(0.0)
    with pytest.raises(ValueError, match="fourier must be at least 0, and 0 with unbiased=True, got 8"):
        MMD(unbiased=True, fourier=8)


def test_joint_entropy(views, eye, collapsed):
    def naive(c, s):
        rows = []
        for i in range(9):
            d = [-((c[i] - c[j]).square().sum() + (s[i] - s[j]).square().sum()) / (2 * 0.5) for j in range(9)]
            rows.append(log_sum(d) - math.log(9))
        return mean(rows)

    same(lambda c, s: joint_entropy_loss(c, s, 0.5), naive, views[0], views[1])
    assert joint_entropy_loss(eye, eye, 0.5).item() == pytest.approx(-1.332804, abs=1e-6)
    assert joint_entropy_loss(collapsed, collapsed, 0.5).item() == pytest.approx(0.0, abs=1e-9)


def test_sep_clr(views):
    target = torch.tensor([True, False, True, True, False, True, False, True, True])
    salient = views[2], views[2].flip(0)

    def part(x, y, t):
        x, y = units(x), units(y)
        align = mean([(x[i] - y[i]).square().sum() for i in range(len(x))])
        return align * t + (naive_uniformity(x, t) + naive_uniformity(y, t)) / 2

    def naive(c1, c2, s1, s2):
        t = 1 / (2 * 0.7)
        still = (s1[~target].square().sum(1).mean() + s2[~target].square().sum(1).mean()) / 2
        joint = joint_entropy_loss(units(c1)[target], units(s1)[target], 0.7)
        return part(c1, c2, t) + 2 * part(s1[target], s2[target], t) + 2 * still * t + 3 * joint

    loss = SepCLR(0.7, independence=3.0, salient=2.0)
    same(lambda *p: loss(p, target=target), naive, views[0], views[1], *salient)
    everything = SepCLR()((*views[:2], *salient))
    torch.testing.assert_close(everything, SepCLR()((*views[:2], *salient), target=torch.ones(9, dtype=torch.bool)))
    attributes = torch.linspace(-1, 2, 9, dtype=torch.float64).flip(0)

    def pulled(c1, c2, s1, s2):
        sides = []
        for s in (units(s1[target]), units(s2[target])):
            a, n = attributes[target], len(s)
            pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
            w = [torch.exp(-((a[i] - a[j]) ** 2) / (2 * 0.3)) for i, j in pairs]
            far = [(s[i] - s[j]).square().sum() for i, j in pairs]
            sides.append(sum(x * d for x, d in zip(w, far, strict=True)) / sum(w))
        return naive(c1, c2, s1, s2) + 2 * sum(sides) / 2

    near = SepCLR(0.7, independence=3.0, salient=2.0, width=0.3)
    same(lambda *p: near(p, target=target, attributes=attributes), pulled, views[0], views[1], *salient)
    with pytest.raises(ValueError, match="SepCLR takes a tuple of 4 tensors, got 2"):
        SepCLR()(views[:2])


@pytest.mark.parametrize("kernel", ["gaussian", "student"])
def test_farcon(kernel):
    generator = torch.Generator().manual_seed(0)
    parts = tuple(torch.randn(5, 6, generator=generator, dtype=torch.float64) for _ in range(4))

    def gap(p, q):
        p, q = (torch.distributions.Normal(z[:3], torch.exp(z[3:] / 2)) for z in (p, q))
        kl = torch.distributions.kl_divergence
        return (kl(p, q) + kl(q, p)).sum() / 6

    def k(d):
        return torch.exp(-d) if kernel == "gaussian" else 1 / (1 + d)

    def naive(x, o, s, r):
        rows = [gap(x[i], o[i]) + k(gap(s[i], r[i])) + k(gap(x[i], s[i])) + k(gap(o[i], r[i])) for i in range(5)]
        return mean(rows)

    loss = Farcon(kernel)
    same(lambda *p: loss(p), naive, *parts)
    assert loss((parts[0],) * 4).item() == pytest.approx(3.0)
    with pytest.raises(ValueError, match=r"4 tensors \[B, 2d\], means and log-variances, got \[5, 3\]"):
        loss(tuple(p[:, :3] for p in parts))


def test_mutual_information(views):
    def h(p):
        return -(p * p.log()).sum()

    def naive(a, b):
        sides = [h(x.softmax(1).mean(0)) - mean([h(r) for r in x.softmax(1)]) for x in (a, b)]
        return -sum(sides) / 2

    def joint(a, b):
        p, q = a.softmax(1), b.softmax(1)
        j = sum(torch.outer(p[i], q[i]) for i in range(9)) / 9
        j = (j + j.T) / 2
        return -(j * (j / (j.sum(1)[:, None] * j.sum(0))).log()).sum()

    same(MutualInformation(), naive, views[0], views[1])
    same(MutualInformation("joint"), joint, views[0], views[1])
    flat, sharp = torch.zeros(6, 3), 1e3 * torch.eye(3).repeat(2, 1)
    for form in ("marginal", "joint"):
        assert MutualInformation(form)(flat, flat).item() == pytest.approx(0.0, abs=1e-6)
        assert MutualInformation(form)(sharp, sharp).item() == pytest.approx(-math.log(3), abs=1e-6)


def test_sinkhorn():
    scores = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = sinkhorn(scores, 0.5, 3)
    torch.testing.assert_close(codes.sum(1), torch.ones(8, dtype=torch.float64))
    torch.testing.assert_close(sinkhorn(scores, 0.5, 50).sum(0), torch.full((3,), 8 / 3, dtype=torch.float64))
    naive = torch.exp(scores / 0.5)
    for _ in range(3):
        naive = naive / naive.sum(0) * 8 / 3
        naive = naive / naive.sum(1, keepdim=True)
    torch.testing.assert_close(codes, naive)
    assert torch.isfinite(sinkhorn(1000 * scores.float(), 0.05, 3)).all(), "the plain exponential would overflow"


def test_swav(views):
    torch.manual_seed(0)
    loss = SwAV(6, 0.3, 0.2).build(9, 5).double()
    centres = units(loss.prototypes.detach())
    cube = torch.stack(views)

    def naive(z):
        s = units(z) @ centres.T
        codes = [sinkhorn(s[v].detach(), 0.2, 3) for v in range(2)]
        terms = [-(codes[v] * (s[w] / 0.3).log_softmax(1)).sum(1).mean() for v in range(2) for w in range(3) if v != w]
        return mean(terms)

    same(loss, naive, cube)
    loss(cube).backward()
    assert loss.prototypes.grad.abs().sum() > 0
    with torch.no_grad():
        loss.prototypes.copy_(loss.prototypes[:1].expand(6, 5))
    assert loss(cube).item() == pytest.approx(math.log(6))


def test_swav_queue(views):
    torch.manual_seed(0)
    loss = SwAV(6, 0.3, 0.2, queue=9).build(9, 5).double()
    cube = torch.stack(views[:2])
    plain = SwAV(6, 0.3, 0.2).build(9, 5).double()
    plain.load_state_dict({"prototypes": loss.prototypes.detach()})
    torch.testing.assert_close(loss(cube), plain(cube))
    assert [len(q.stored()[0]) for q in loss.queues] == [9, 9]
    other = cube.flip(1) + 0.3
    assert not torch.isclose(loss.eval()(other), plain(other))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MMD((0,)), "scales and sigma must be positive"),
        (lambda: Farcon("x"), "kernel must be gaussian or student, got 'x'"),
        (lambda: MutualInformation("x"), "form must be marginal or joint, got 'x'"),
        (lambda: SwAV(1), "prototypes >= 2, iterations >= 1, full >= 1 must hold, got 1"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_discrepancy_of_nothing_is_not_defined():
    with pytest.raises(ValueError, match="x and y must have a row each, got 0 and 3"):
        mmd(torch.zeros(0, 2), torch.zeros(3, 2))


def test_swav_unbuilt(views):
    with pytest.raises(RuntimeError, match="SwAV has no prototypes yet: call objective.build"):
        SwAV()(torch.stack(views))

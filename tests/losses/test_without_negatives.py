"""Regression, moments, set functions."""

import math

import pytest
import torch

from gcl.losses import BYOL, CCASSG, BarlowTwins, DirectPred, PixPro, SCoRe, SimSiam, VICReg
from gcl.losses.functional import partition as module
from gcl.losses.regression import predictor
from tests.losses.reference import cosines, mean, same

HADAMARD = torch.tensor([[1.0, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])


def test_byol(views, eye):
    def naive(p, t):
        return mean([2 - 2 * torch.cosine_similarity(p[i], t[i].detach(), 0) for i in range(9)])

    same(BYOL(), naive, views[0], views[1])
    assert BYOL()(eye, eye).item() == pytest.approx(0.0) and BYOL()(eye, -eye).item() == pytest.approx(4.0)
    torch.testing.assert_close(BYOL()(3 * views[0], 0.1 * views[1]), BYOL()(*views[:2]))


def test_byol_is_to_be_minimised(views):
    """A loss that returned + similarity would fall where the views move apart."""
    assert BYOL()(views[0], views[0]) < BYOL()(views[0], views[1]) < BYOL()(views[0], -views[0])


def test_sim_siam(views, eye):
    torch.manual_seed(0)
    loss = SimSiam().build(9, 5).double()

    def naive(a, b):
        def gap(p, t):
            return -mean([torch.cosine_similarity(p[i], t[i].detach(), 0) for i in range(9)])

        return (gap(loss.predictor(a), b) + gap(loss.predictor(b), a)) / 2

    same(loss, naive, views[0], views[1])
    loss.predictor = torch.nn.Identity()
    assert loss(eye, eye).item() == pytest.approx(-1.0) and loss(eye, -eye).item() == pytest.approx(1.0)


@pytest.mark.parametrize(("sharpness", "both"), [(1.0, True), (2.0, False), (3.0, True)])
@pytest.mark.parametrize("streamed", [False, True])
def test_pix_pro(views, sharpness, both, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    torch.manual_seed(0)
    loss = PixPro(sharpness, both).build(9, 5).double()
    torch.nn.init.normal_(loss.weight)

    def gap(z, t):
        s = cosines(z, z)
        y = [sum(s[i, j].clamp_min(0) ** sharpness * (z[j] @ loss.weight) for j in range(9)) for i in range(9)]
        return -mean([torch.cosine_similarity(y[i], t[i].detach(), 0) for i in range(9)])

    same(loss, lambda a, b: (gap(a, b) + gap(b, a)) / 2 if both else gap(a, b), views[0], views[1])
    sharp = PixPro(1e6).build(9, 5).double()
    expected = (BYOL()(*views[:2]) + BYOL()(views[1], views[0])) / 4 - 1
    torch.testing.assert_close(sharp(*views[:2]), expected)
    with pytest.raises(ValueError, match="sharpness must be at least 1, got 0.5"):
        PixPro(0.5)
    with pytest.raises(RuntimeError, match="PixPro has no transform yet: call objective.build"):
        PixPro()(*views[:2])


def test_direct_pred_predictor():
    torch.testing.assert_close(predictor(3 * torch.eye(4), 0.1, False), 1.1 * torch.eye(4))
    v = torch.tensor([1.0, 2.0, 2.0]).double() / 3
    values = torch.linalg.eigvalsh(predictor(5 * torch.outer(v, v), 0.2, False))
    torch.testing.assert_close(values, torch.tensor([0.2, 0.2, 1.2], dtype=torch.float64), rtol=1e-4, atol=1e-4)
    copied = predictor(5 * torch.outer(v, v), 0.2, True)
    torch.testing.assert_close(copied, torch.outer(v, v) + 0.2 * torch.eye(3).double())


def test_direct_pred(views):
    loss = DirectPred(rho=0.4, eps=0.1, every=2).build(9, 5).double()
    f = torch.zeros(5, 5, dtype=torch.float64)
    weight = None
    for step, (a, b) in enumerate([(0, 1), (1, 2), (2, 0)]):
        value = loss(views[a], views[b])
        f = 0.4 * f + 0.6 * (views[a].T @ views[a] + views[b].T @ views[b]) / 18
        weight = predictor(f, 0.1, False) if step % 2 == 0 else weight
        expected = (BYOL()(views[a] @ weight, views[b]) + BYOL()(views[b] @ weight, views[a])) / 2
        torch.testing.assert_close(value, expected)
    torch.testing.assert_close(loss.weight, loss.weight.T)
    assert not any(True for _ in loss.parameters())
    loss.eval()
    before = loss.correlation.clone()
    loss(*views[:2])
    assert torch.equal(loss.correlation, before)


def test_barlow_twins(views):
    def naive(a, b):
        x, y = ((z - z.mean(0)) / z.std(0, unbiased=False) for z in (a, b))
        c = torch.stack([torch.stack([mean(list(x[:, i] * y[:, j])) for j in range(5)]) for i in range(5)])
        return sum((1 - c[i, i]) ** 2 if i == j else 0.1 * c[i, j] ** 2 for i in range(5) for j in range(5))

    same(BarlowTwins(0.1), naive, views[0], views[1])
    assert BarlowTwins()(HADAMARD, HADAMARD).item() == pytest.approx(0.0, abs=1e-12), "unbiased deviations give 0.1875"
    torch.testing.assert_close(BarlowTwins(None)(*views[:2]), BarlowTwins(0.2)(*views[:2]))
    torch.testing.assert_close(BarlowTwins()(3 * views[0] + 5, views[1]), BarlowTwins()(*views[:2]))


def test_barlow_twins_constant_column_costs_one():
    z = HADAMARD.clone()
    z[:, 0] = 4.0
    z.requires_grad_()
    value = BarlowTwins()(z, HADAMARD)
    value.backward()
    assert value.item() == pytest.approx(1.0) and bool(torch.isfinite(z.grad).all())


def test_vic_reg(views, collapsed):
    def naive(a, b):
        total = 25 * (a - b).square().mean()
        for z in (a, b):
            c = torch.cov(z.T)
            short = mean([(1 - (c[i, i] + 1e-4).sqrt()).clamp_min(0) for i in range(5)])
            total = total + 12.5 * short + sum(c[i, j] ** 2 for i in range(5) for j in range(5) if i != j) / 5
        return total

    same(VICReg(), naive, 0.3 * views[0], views[1])
    assert VICReg()(HADAMARD, HADAMARD).item() == pytest.approx(0.0, abs=1e-9)
    assert VICReg()(collapsed, collapsed).item() == pytest.approx(24.75), "without the half it is 49.5"


def test_cca_ssg(views):
    def naive(a, b):
        x, y = ((z - z.mean(0)) / z.std(0, unbiased=False) / 3 for z in (a, b))
        eye = torch.eye(5, dtype=a.dtype)
        residue = (x.T @ x - eye).square().sum() + (y.T @ y - eye).square().sum()
        return -(x.T @ y).trace() + 0.2 * residue

    same(CCASSG(0.2), naive, views[0], views[1])
    assert CCASSG()(HADAMARD, HADAMARD).item() == pytest.approx(-3.0, abs=1e-9), "unbiased deviations give -2.25"


def naive_score(z, function, lam, correlation, soft):
    s = cosines(z, z)
    groups = [[i for i in range(9) if LABELS[i] == k] for k in range(4)]
    total = 0 * s.sum()
    for a in groups:
        out = [i for i in range(9) if i not in a]
        if function == "facility":
            best = [
                soft * torch.stack([s[i, j] / soft for j in a]).logsumexp(0) if soft else max(s[i, j] for j in a)
                for i in out
            ]
            total = total + sum(best) / len(a)
        elif function == "cut":
            across = sum(s[i, j] for i in a for j in out)
            inside = sum(s[i, j] for i in a for j in a)
            total = total + (lam * across if correlation else across - lam * inside)
        else:
            total = total + torch.logdet(s[a][:, a] + lam * torch.eye(len(a)))
    if function == "logdet" and correlation:
        total = total - torch.logdet(s + lam * torch.eye(9))
    return total


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("function", "correlation", "soft"),
    [("facility", False, 0.0), ("facility", False, 0.3), ("cut", False, 0.0), ("cut", True, 0.0),
     ("logdet", False, 0.0), ("logdet", True, 0.0)],
)  # fmt: skip
def test_score(views, function, correlation, soft, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    loss = SCoRe(function, 0.4, correlation, soft)
    same(
        lambda z: loss(z, LABELS),
        lambda z: naive_score(z, function, 0.4, correlation, soft),
        views[0],
        rtol=1e-6,
        atol=1e-8,
    )


def test_score_check_values(classes):
    z, labels = classes
    assert SCoRe()(z, labels).item() == pytest.approx(0.0)
    assert SCoRe("cut")(z, labels).item() == pytest.approx(-24.0)
    assert SCoRe("cut", correlation=True)(z, labels).item() == pytest.approx(0.0)
    assert SCoRe("logdet")(z, labels).item() == pytest.approx(-1.726092, abs=1e-6)
    apart = SCoRe("logdet", correlation=True)
    assert apart(z, labels).item() == pytest.approx(0.0, abs=1e-9)
    moved = z.clone()
    moved[0, 1] = 0.2
    assert apart(moved, labels).item() > 1e-3
    expected = 3 * (math.log(4.5) + 3 * math.log(0.5))
    assert SCoRe("logdet")(z, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SimSiam(0), "hidden must be positive, got 0"),
        (lambda: DirectPred(rho=1), r"rho must be in \[0, 1\) and every at least 1, got 1"),
        (lambda: VICReg(eps=0), "eps must be positive, got 0"),
        (lambda: SCoRe("x"), "function must be facility, cut or logdet, got 'x'"),
        (lambda: SCoRe(lam=0), "lam must be positive and soft at least 0, got 0"),
        (lambda: SCoRe(correlation=True), "correlation needs function=cut or logdet"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_unbuilt_parts_say_so(views):
    for loss in (SimSiam(), DirectPred()):
        with pytest.raises(RuntimeError, match="has no predictor yet: call objective.build"):
            loss(*views[:2])

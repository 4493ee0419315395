"""Energy objectives."""

import math

import pytest
import torch

from gcl.losses import CACR, KCL, AlignUniform, DecoupledUniformity, Dispersive, InfoNCE, SpectralContrast
from gcl.losses.functional import alignment, gaussian_lse, log_mean_potential, normalise
from tests.losses.reference import log_sum, mean, same, units

pytestmark = pytest.mark.usefixtures("streamed")


def naive_uniformity(x, t, ids=None):
    n = x.shape[0]
    key = list(range(n)) if ids is None else ids
    pairs = [(i, j) for i in range(n) for j in range(i) if key[i] != key[j]]
    return log_sum([-t * (x[i] - x[j]).square().sum() for i, j in pairs]) - math.log(len(pairs))


def test_uniformity_check_values(eye, collapsed):
    assert log_mean_potential(eye).item() == pytest.approx(-4.0)
    assert log_mean_potential(collapsed).item() == pytest.approx(0.0, abs=1e-9)
    assert log_mean_potential(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item() == pytest.approx(-8.0)
    assert AlignUniform(gamma=0)(eye, -eye).item() == pytest.approx(4.0)
    assert AlignUniform(gamma=0)(eye, eye).item() == 0.0


@pytest.mark.parametrize("t", [0.5, 2.0, 50.0])
def test_uniformity_is_its_formula(views, t):
    same(lambda x: log_mean_potential(x, t), lambda x: naive_uniformity(x, t), views[0], rtol=1e-8)


@pytest.mark.parametrize(("power", "gamma", "t"), [(2, 1, 2), (1, 0.2, 1), (2, 10, 3)])
@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 3, 4, 5, 5, 0]])
def test_align_uniform_is_its_formula(views, power, gamma, t, ids):
    def naive(a, b):
        x, y = units(a), units(b)
        align = mean([(x[i] - y[i]).norm() ** power for i in range(9)])
        return align + gamma * (naive_uniformity(x, t, ids) + naive_uniformity(y, t, ids)) / 2

    tensor = None if ids is None else torch.tensor(ids)
    same(lambda a, b: AlignUniform(gamma, power, t)(a, b, tensor), naive, views[0], views[1], rtol=1e-8)


def test_repeated_rows_bias_uniformity_upward(views):
    """Two rows of one id at one place count as a pair at distance zero unless their pair is left out."""
    x = normalise(views[0])
    twice, ids = torch.cat([x, x[:1]]), torch.tensor([*range(9), 0])
    assert log_mean_potential(twice) > log_mean_potential(x)
    assert abs(log_mean_potential(twice, 2.0, ids) - log_mean_potential(x)) < abs(
        log_mean_potential(twice) - log_mean_potential(x)
    )


def test_one_row_has_alignment_only(views):
    value = AlignUniform()(views[0][:1], views[1][:1])
    torch.testing.assert_close(value, AlignUniform(gamma=0)(views[0][:1], views[1][:1]))


def test_info_nce_row_is_alignment_plus_its_own_potential(views):
    """On unit rows, -log softmax = ||x - y||²/(2τ) + lse_j(-||x - y_j||²/(2τ)), exactly."""
    x, y, tau = normalise(views[0]), normalise(views[1]), 0.3
    expected = alignment(x, y) / (2 * tau) + gaussian_lse(x, y, 1 / (2 * tau), skip_own=False)
    torch.testing.assert_close(InfoNCE(tau).rows(x, y), expected)


@pytest.mark.parametrize("detach", [False, True])
def test_cacr(views, detach, eye, collapsed):
    cube = torch.stack(views)

    def naive(z):
        z = units(z)
        fix = (lambda x: x.detach()) if detach else (lambda x: x)
        rows = []
        for i in range(9):
            c = torch.stack([(z[0, i] - z[k, i]).square().sum() for k in (1, 2)])
            n = torch.stack([(z[0, i] - z[k, j]).square().sum() for k in (1, 2) for j in range(9) if j != i])
            rows.append((fix(1.5 * c).softmax(0) * c).sum() - (fix(-2.5 * n).softmax(0) * n).sum())
        return mean(rows)

    same(CACR(1.5, 2.5, detach), naive, cube)
    assert CACR()(torch.stack([eye, eye])).item() == pytest.approx(-2.0)
    assert CACR()(torch.stack([collapsed, collapsed])).item() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("detach", [False, True])
def test_cacr_of_other_costs(views, detach, eye):
    cube = torch.stack(views)

    def parts(z):
        z = units(z)
        fix = (lambda x: x.detach()) if detach else (lambda x: x)
        for i in range(9):
            c = torch.stack([(z[0, i] - z[k, i]).square().sum() for k in (1, 2)])
            n = torch.stack([(z[0, i] - z[k, j]).square().sum() for k in (1, 2) for j in range(9) if j != i])
            yield c, n, (fix(1.5 * c).softmax(0) * c).sum(), fix(-2.5 * n).softmax(0)

    def rbf(z):
        found = list(parts(z))
        return mean([a for *_, a, _ in found]) + mean([(w * torch.exp(-3 * n)).sum() for _, n, _, w in found]).log()

    def debiased(z):
        return mean([a - ((w * n).sum() - 0.1 * c.mean()) / 0.9 for c, n, a, w in parts(z)])

    same(CACR(1.5, 2.5, detach, cost="rbf", sharpness=3.0), rbf, cube)
    same(CACR(1.5, 2.5, detach, tau_plus=0.1), debiased, cube)
    same(CACR(1.5, 2.5, detach, tau_plus=0.0), CACR(1.5, 2.5, detach), cube)
    pair = torch.stack([eye, eye])
    assert CACR(cost="rbf")(pair).item() == pytest.approx(-4.0), "exp(-2 * 2) of every negative"
    far = torch.stack([eye, eye.roll(1, 0)]).requires_grad_()
    plain, biased = (torch.autograd.grad(CACR(tau_plus=t)(far), far)[0] for t in (0.0, 0.3))
    towards = (far[1] - far[0]).detach()
    assert (biased[0] * towards).sum() < (plain[0] * towards).sum() <= 0, "positives attract more"


@pytest.mark.parametrize("sharpness", [20.0, 50.0, 300.0])
def test_a_sharp_repulsion_does_not_underflow(eye, sharpness):
    """Orthogonal rows: all negatives at squared distance 2, exp(-2 s) of each, below float32 from s = 52 on."""
    cube = torch.stack([eye, eye]).float().requires_grad_()
    loss = CACR(cost="rbf", sharpness=sharpness)
    assert loss(cube).item() == pytest.approx(-2 * sharpness, rel=1e-6)
    torch.autograd.backward(loss(cube))
    exact = cube.detach().double().requires_grad_()
    torch.autograd.backward(loss(exact))
    torch.testing.assert_close(cube.grad.double(), exact.grad, rtol=1e-4, atol=1e-4)
    assert exact.grad.abs().max() > 1


@pytest.mark.parametrize("detach", [False, True])
def test_limits_of_cacr(views, detach):
    """Even weights give means, sharp ones the farthest positive and the closest negative; one positive weighs 1."""
    cube = torch.stack(views)

    def costs(z):
        z = units(z)
        for i in range(9):
            near = torch.stack([(z[0, i] - z[k, i]).square().sum() for k in (1, 2)])
            away = torch.stack([(z[0, i] - z[k, j]).square().sum() for k in (1, 2) for j in range(9) if j != i])
            yield near, away

    def naive(attract, repel):
        return lambda z: mean([attract(near) - repel(away) for near, away in costs(z)])

    same(CACR(0, 0, detach), naive(torch.mean, torch.mean), cube)
    same(CACR(1e6, 0, detach), naive(torch.max, torch.mean), cube)
    same(CACR(0, 1e6, detach), naive(torch.mean, torch.min), cube)
    same(CACR(1e6, 1e6, detach), naive(torch.max, torch.min), cube)
    same(CACR(7.0, 2.0, detach), CACR(0.0, 2.0, detach), cube[:2])


def test_decoupled_uniformity(views, eye):
    cube = torch.stack(views)
    same(DecoupledUniformity(), lambda z: naive_uniformity(units(z).mean(0), 2.0), cube)
    assert DecoupledUniformity()(eye.expand(2, 4, 4)).item() == pytest.approx(-4.0)
    smooth = DecoupledUniformity(ridge=0.01, kernel="cosine")(eye.expand(2, 4, 4), prior=torch.eye(4))
    assert smooth.item() == pytest.approx(-3.921184, abs=1e-6)
    assert DecoupledUniformity()(torch.stack([eye, -eye])).item() == pytest.approx(0.0)
    prior = views[0][:, :2]
    for kernel in ("rbf", "cosine"):
        unit = units(prior)
        gram = unit @ unit.T if kernel == "cosine" else torch.exp(-(torch.cdist(prior, prior) ** 2) / 4)
        a = torch.linalg.inv(gram + 0.1 * torch.eye(9).double()) @ gram
        loss = DecoupledUniformity(ridge=0.1, kernel=kernel)
        same(lambda z, f=loss: f(z, prior=prior), lambda z, a=a: naive_uniformity(a @ units(z).mean(0), 2.0), cube)


@pytest.mark.parametrize("self_pairs", [False, True])
@pytest.mark.parametrize("form", ["l2", "cosine", "hinge", "covariance"])
def test_dispersive(views, form, self_pairs):
    def one(h):
        pairs = [(i, j) for i in range(9) for j in range(9) if self_pairs or i != j]
        d = {(i, j): (h[i] - h[j]).square().sum() for i, j in pairs}
        if form == "l2":
            return log_sum([-d[p] / 0.5 for p in pairs]) - math.log(len(pairs))
        if form == "cosine":
            u = units(h)
            return log_sum([u[i] @ u[j] / 0.5 for i, j in pairs]) - math.log(len(pairs))
        if form == "hinge":
            return mean([(4.0 - d[p]).clamp_min(0) ** 2 for p in pairs])
        c = torch.cov(units(h).T)
        return sum(c[m, n] ** 2 for m in range(5) for n in range(5) if m != n)

    loss = Dispersive(form, reach=4.0, self_pairs=self_pairs)
    same(loss, lambda a, b: (one(a) + one(b)) / 2, views[0], views[1], rtol=1e-7)
    torch.testing.assert_close(loss(views[0], views[0]), one(views[0]))


def test_dispersive_check_values(eye, collapsed):
    assert Dispersive()(eye, eye).item() == pytest.approx(-1.332804, abs=1e-6)
    assert Dispersive(temperature=1.0, per_dimension=True)(eye, eye).item() == pytest.approx(-0.349702, abs=1e-6)
    assert Dispersive(self_pairs=False)(eye, eye).item() == pytest.approx(-4.0)
    for form in ("l2", "covariance"):
        assert Dispersive(form)(collapsed, collapsed).item() == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(Dispersive(self_pairs=False)(eye, eye), log_mean_potential(eye))


@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 3, 4, 5, 5, 0]])
def test_spectral(views, ids, eye, collapsed):
    key = list(range(9)) if ids is None else ids

    def naive(a, b):
        a, b = (units(z) * z.norm(dim=1, keepdim=True).clamp_max(2**0.5) for z in (a, b))
        rows = []
        for i in range(6):
            others = [j for j in range(9) if key[j] != key[i]]
            rows.append(-2 * a[i] @ b[i] + mean([(a[i] @ b[j]) ** 2 for j in others]))
        return mean(rows)

    tensor = None if ids is None else torch.tensor(ids)
    same(lambda a, b: SpectralContrast(2.0)(a, b, tensor), naive, views[0][:6], views[1])
    assert SpectralContrast()(eye, eye).item() == pytest.approx(-2.0)
    assert SpectralContrast()(collapsed, collapsed).item() == pytest.approx(-1.0)


@pytest.mark.parametrize("kernel", ["gaussian", "imq", "log", "riesz"])
def test_kcl(views, kernel, eye, collapsed):
    def k(x, y):
        r = (x - y).square().sum()
        if kernel == "riesz":
            return -(r ** (0.7 / 2))
        if kernel == "log":
            return -0.5 * torch.log(1 + 1.5 * r)
        return torch.exp(-1.5 * r) if kernel == "gaussian" else (1 + 1.5 * r) ** -0.5

    def naive(a, b):
        x, y = units(a), units(b)
        spread = [mean([k(z[i], z[j]) for i in range(9) for j in range(i)]) for z in (x, y)]
        return -2 * mean([k(x[i], y[i]) for i in range(9)]) + 3 * sum(spread)

    same(KCL(3.0, 1.5, kernel, 0.7), naive, views[0], views[1])
    assert KCL()(eye, eye).item() == pytest.approx(-1.413900, abs=1e-6)
    assert KCL()(collapsed, collapsed).item() == pytest.approx(30.0)


def test_kcl_does_not_depend_on_the_batch_size(views):
    """The mean over all batches of three rows is the value of the whole."""
    from itertools import combinations

    parts = [KCL()(views[0][list(c)], views[1][list(c)]) for c in combinations(range(9), 3)]
    torch.testing.assert_close(torch.stack(parts).mean(), KCL()(views[0], views[1]))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: AlignUniform(-1), "gamma must be at least 0, power and t positive, got -1"),
        (lambda: CACR(-1), "attract and repel must be at least 0, got -1"),
        (lambda: CACR(cost="cube"), "cost must be square or rbf, got 'cube'"),
        (lambda: CACR(cost="rbf", sharpness=0), "sharpness must be a positive number, got 0"),
        (lambda: CACR(cost="rbf", tau_plus=0.1), r"tau_plus must be in \[0, 1\), and 0 with cost='rbf', got 0.1"),
        (lambda: DecoupledUniformity(ridge=-1), "t must be positive and ridge at least 0"),
        (lambda: DecoupledUniformity(kernel="x"), "kernel must be rbf or cosine, got 'x'"),
        (lambda: Dispersive("x"), "form must be l2, cosine, hinge or covariance, got 'x'"),
        (lambda: SpectralContrast(0), "mu must be a positive number"),
        (lambda: KCL(-1), r"gamma >= 0, t > 0 and s in \(0, 2\) must hold, got -1"),
        (lambda: KCL(kernel="x"), "kernel must be gaussian, imq, log or riesz, got 'x'"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()

"""Objectives of several views: check values, naive references, relations."""

import math

import pytest
import torch

from gcl.losses import DHEL, MVDHEL, ColloSSL, InfoNCE, MVInfoNCE, NTXent, PolyView
from tests.losses.reference import log_sum, mean, same, units


def naive_mv_info_nce(z, tau):
    z = units(z)
    v, n, _ = z.shape
    rows = []
    for i in range(n):
        top = [z[a, i] @ z[b, i] / tau for a in range(v) for b in range(v) if a != b]
        everything = [z[a, i] @ z[b, j] / tau for a in range(v) for b in range(v) for j in range(n) if (a, i) != (b, j)]
        rows.append(log_sum(everything) - log_sum(top))
    return mean(rows)


def naive_mv_dhel(z, tau):
    z = units(z)
    v, n, _ = z.shape
    rows = []
    for i in range(n):
        top = log_sum([z[a, i] @ z[b, i] / tau for a in range(v) for b in range(v) if a < b])
        rest = sum(log_sum([z[a, i] @ z[a, j] / tau for j in range(n) if j != i]) for a in range(v))
        rows.append(rest - top)
    return mean(rows)


def naive_poly_view(z, tau, aggregate):
    z = units(z)
    v, n, _ = z.shape
    rows = []
    for i in range(n):
        for a in range(v):
            if aggregate == "sufficient":
                q = sum(z[b, i] for b in range(v) if b != a) / (v - 1)
                q = q / q.norm()
                negatives = [z[g, j] @ q / tau for j in range(n) for g in range(v) if j != i]
                rows.append(log_sum([z[a, i] @ q / tau, *negatives]) - z[a, i] @ q / tau)
                continue
            negatives = [z[a, i] @ z[g, j] / tau for j in range(n) for g in range(v) if j != i]
            logs = [
                z[a, i] @ z[b, i] / tau - log_sum([z[a, i] @ z[b, i] / tau, *negatives]) for b in range(v) if b != a
            ]
            rows.append(-mean(logs) if aggregate == "geometric" else math.log(v - 1) - log_sum(logs))
    return mean(rows)


@pytest.fixture
def cube(views):
    return torch.stack(views)[:, :5]


@pytest.mark.parametrize("tau", [0.05, 0.5, 10.0])
def test_formulas(cube, tau):
    same(MVInfoNCE(tau), lambda z: naive_mv_info_nce(z, tau), cube, rtol=1e-8)
    same(MVDHEL(tau), lambda z: naive_mv_dhel(z, tau), cube, rtol=1e-8)
    for aggregate in ("geometric", "arithmetic", "sufficient"):
        same(PolyView(tau, aggregate), lambda z, a=aggregate: naive_poly_view(z, tau, a), cube, rtol=1e-8)


@pytest.mark.parametrize(
    ("loss", "v", "on_eye", "on_collapsed"),
    [
        (MVInfoNCE(0.5), 2, 0.594438, 1.945910),
        (MVInfoNCE(0.5), 3, 0.475618, 1.704748),
        (MVDHEL(0.5), 2, 0.197225, 4.197225),
        (MVDHEL(0.5), 3, 0.197225, 6.197225),
        (PolyView(0.5), 3, 0.796614, 2.302585),
        (PolyView(0.5, "arithmetic"), 3, 0.796614, 2.302585),
        (PolyView(0.5, "sufficient"), 3, 0.796614, 2.302585),
    ],
)
def test_check_values(loss, v, on_eye, on_collapsed, eye, collapsed):
    assert loss(eye.expand(v, 4, 4)).item() == pytest.approx(on_eye, abs=1e-6)
    assert loss(collapsed.expand(v, 4, 4)).item() == pytest.approx(on_collapsed, abs=1e-6)


def test_two_views_reduce(cube):
    pair = cube[:2]
    for aggregate in ("geometric", "arithmetic", "sufficient"):
        torch.testing.assert_close(PolyView(0.3, aggregate)(pair), NTXent(0.3)(*pair), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(MVDHEL(0.3)(pair), DHEL(0.3)(*pair))
    assert MVInfoNCE(0.3)(pair) >= NTXent(0.3)(*pair)
    torch.testing.assert_close(ColloSSL(0.3)(pair), InfoNCE(0.3)(*pair))


def test_arithmetic_is_never_above_geometric(cube):
    gap = PolyView(0.3).rows(cube) - PolyView(0.3, "arithmetic").rows(cube)
    assert bool((gap >= -1e-12).all())


def test_order_of_views_does_not_matter(cube):
    for loss in (MVInfoNCE(0.2), MVDHEL(0.2), PolyView(0.2), PolyView(0.2, "sufficient")):
        torch.testing.assert_close(loss(cube), loss(cube.flip(0)))


def test_small_temperatures_and_many_views_do_not_overflow():
    """Products of row sums, or plain exponentials, overflow float32 below τ = 0.012 or from four views on."""
    z = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(0))
    for loss in (MVInfoNCE(0.005), MVDHEL(0.005), PolyView(0.005, "arithmetic")):
        assert torch.isfinite(loss(z))


def test_alignment_of_mv_dhel_does_not_touch_other_things(cube):
    """Without the repulsion in every view, a row is the share of its own pairs, whatever other things are."""
    tau = 0.2

    def alignment(z):
        u = units(z)
        apart = sum(log_sum([u[a, 0] @ u[a, j] / tau for j in range(1, 5)]) for a in range(3))
        return MVDHEL(tau).rows(z)[0] - apart

    def pairs(z):
        u = units(z)
        return -log_sum([u[a, 0] @ u[b, 0] / tau for a in range(3) for b in range(a)])

    moved = torch.cat([cube[:, :1], -2 * cube[:, 1:].flip(0, 2)], 1)
    for z in (cube, moved):
        same(alignment, pairs, z)
    torch.testing.assert_close(alignment(moved), alignment(cube))


def test_one_thing_has_no_negatives(cube):
    one = cube[:, :1]
    assert MVInfoNCE()(one).item() == 0 and PolyView()(one).item() == 0
    assert MVDHEL().rows(one).numel() == 0 and MVDHEL()(one).item() == 0


def test_duplicate_ids_are_no_negatives(cube):
    ids = torch.tensor([0, 1, 1, 2, 3])
    keep = torch.tensor([0, 1, 3, 4])
    row = MVDHEL(0.2).rows(cube, ids)[1]
    torch.testing.assert_close(row, MVDHEL(0.2).rows(cube.index_select(1, keep))[1])


def test_collossl_is_its_formula(cube):
    from gcl.losses.functional.discrepancy import mmd

    z = torch.cat([cube, cube[:1] + 0.1 * cube[1:2]])
    tau = 0.3

    def naive(z):
        u = units(z)
        gaps = [mmd(u[0].detach(), u[v].detach()).item() for v in range(1, 4)]
        best = 1 + gaps.index(min(gaps))
        weights = [1 / g for g in gaps]
        weights = [w / (sum(weights) / 3) for w in weights]
        rows = []
        for i in range(5):
            top = u[0, i] @ u[best, i] / tau
            rest = [u[0, i] @ u[v, j] / tau + math.log(weights[v - 1]) for v in range(1, 4) for j in range(5) if j != i]
            rows.append(log_sum([top, *rest]) - top)
        return mean(rows)

    same(ColloSSL(tau), naive, z, rtol=1e-7)


def test_errors():
    with pytest.raises(ValueError, match="aggregate must be geometric, arithmetic or sufficient, got 'mean'"):
        PolyView(aggregate="mean")
    with pytest.raises(ValueError, match="positives must be at least 1, got 0"):
        ColloSSL(positives=0)

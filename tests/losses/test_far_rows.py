"""Objectives of distances do not mind where the origin is: far from it float32 keeps its digits."""

import pytest
import torch

import gcl.losses as L
from gcl.losses.functional import partition
from gcl.losses.functional.numerics import square_distances

ROWS = 48
LABELS = torch.arange(ROWS) // 4


def far(seed, by=0.0):
    """Rows that float32 holds exactly, of width 64, a hundred away in every coordinate."""
    z = torch.randn(ROWS, 64, generator=torch.Generator().manual_seed(seed)) + by
    return (z + 100).double()


OBJECTIVES = {
    "MMD": (lambda: L.MMD(), "sets"),
    "MMD, unbiased": (lambda: L.MMD(unbiased=True, scales=(0.5, 1.0)), "sets"),
    "MMD, fourier": (lambda: L.MMD(fourier=8), "sets"),
    "Triplet, euclidean": (lambda: L.Triplet(distance="euclidean"), "labelled"),
    "Triplet, square": (lambda: L.Triplet(distance="square", mining="hard"), "labelled"),
    "SupCon, square": (lambda: L.SupCon(0.5, similarity="square_euclidean"), "labelled"),
    "SupCon, student": (lambda: L.SupCon(0.01, similarity="student"), "labelled"),
    "InfoNCE, square": (lambda: L.InfoNCE(0.5, similarity="square_euclidean"), "pair"),
    "NTXent, euclidean": (lambda: L.NTXent(0.01, similarity="euclidean"), "pair"),
    "ICon, student": (lambda: L.ICon(0.01, similarity="student"), "pair"),
    "SampledSoftmax, square": (lambda: L.SampledSoftmax(0.5, similarity="square_euclidean"), "pair"),
    "MarginContrastive": (lambda: L.MarginContrastive(margin=12.0), "pair"),
    "Dispersive": (lambda: L.Dispersive("l2", 2.0, self_pairs=False), "pair"),
    "Dispersive, hinge": (lambda: L.Dispersive("hinge", reach=150.0), "pair"),
}


def run(objective, inputs):
    """Values of the rows, and gradients."""
    torch.manual_seed(0)
    leaves = [z.clone().requires_grad_() for z in inputs]
    rows = objective.rows(leaves[0], LABELS) if objective.kind == "labelled" else objective.rows(*leaves)
    return [rows.detach(), *torch.autograd.grad(rows.sum(), leaves)]


@pytest.mark.parametrize("budget", [0, 2**16], ids=["streamed", "kept"])
@pytest.mark.parametrize("name", [n for n in OBJECTIVES if "fourier" not in n])
def test_float32_far_from_the_origin(name, budget, monkeypatch):
    monkeypatch.setitem(partition.DENSE_BUDGET, "cpu", budget)
    make, kind = OBJECTIVES[name]
    inputs = [far(1)] if kind == "labelled" else [far(1), far(2, 0.1)]
    exact = run(make().double(), inputs)
    found = run(make(), [z.float() for z in inputs])
    for one, two in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), two, rtol=2e-4, atol=2e-4 * float(two.abs().max()))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_shift_of_all_rows_changes_nothing(name):
    make, kind = OBJECTIVES[name]
    inputs = [far(1) - 100] if kind == "labelled" else [far(1) - 100, far(2, 0.1) - 100]
    for one, two in zip(run(make(), inputs), run(make(), [z + 7 for z in inputs]), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-9)


def test_random_features_of_far_rows():
    """With the same draws: the phases of rows 100 away from the origin would have two digits less."""
    x, y = far(1), far(2, 0.1)
    loss = L.MMD(fourier=32, sigma=0.002)
    values = []
    for shift in (0, 100):
        torch.manual_seed(3)
        values.append(loss((x - shift).float(), (y - shift).float()))
    torch.testing.assert_close(*values, rtol=3e-3, atol=0.0)


def test_square_distances():
    x, y = far(1), far(2)
    expected = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    torch.testing.assert_close(square_distances(x.float(), y.float()).double(), expected, rtol=1e-5, atol=0.0)
    assert square_distances(x[:0], y).shape == (0, ROWS) and square_distances(x, y[:0]).shape == (ROWS, 0)

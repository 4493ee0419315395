"""Margins against their formulas, on anchors of different lengths and angles up to and beyond the folds."""

import math

import pytest
import torch

from gcl.losses import Contrast
from gcl.losses.slots.margins import BatchNormShift, MultipliedAngle, NormShift, margin_of
from tests.losses.reference import cosines, info_nce_row, mean, same

ANGLES = torch.linspace(0.05, 3.09, 23, dtype=torch.float64)
NORMS = 0.2 + 2.5 * torch.rand(23, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def angular(s, m):
    """cos(θ + m); from θ = π - m on the line s - m sin(m)."""
    theta, m = torch.arccos(s), torch.as_tensor(m, dtype=s.dtype)
    return torch.cos(theta + m) if theta.item() < math.pi - m.item() else s - m * torch.sin(m)


def multiplied(s, m):
    """(-1)^k cos(m θ) - 2 k, k the number of times that π / m goes into θ."""
    theta = torch.arccos(s)
    k = max(k for k in range(m + 1) if theta.item() >= k * math.pi / m)
    return (-1) ** k * torch.cos(m * theta) - 2 * k


def by_length(s, norm, low, high, short, long):
    """An angular margin on the line from (short, low) to (long, high), level outside."""
    held = min(max(norm.item(), short), long)
    inside = short < norm.item() < long
    m = low + (high - low) * ((norm if inside else held) - short) / (long - short)
    return angular(s, m)


def by_quality(s, norms, m, h):
    """cos(θ - m q) - m q - m, q the lengths standardised, times h, within [-1, 1]."""
    centre = sum(norms.tolist()) / len(norms)
    spread = math.sqrt(sum((n - centre) ** 2 for n in norms.tolist()) / len(norms))
    rows = []
    for x, n in zip(s, norms.tolist(), strict=True):
        q = min(max((n - centre) / spread * h, -1.0), 1.0)
        theta = torch.arccos(x) - m * q
        theta = theta if 0 < theta.item() < math.pi else x.new_tensor(min(max(theta.item(), 0.0), math.pi))
        rows.append(torch.cos(theta) - m * q - m)
    return torch.stack(rows)


def each(function):
    return lambda s, norms: torch.stack([function(x, n) for x, n in zip(s, norms, strict=True)])


FORMULAS = {
    "additive": ({"name": "additive", "m": 0.2}, each(lambda s, n: s - 0.2)),
    "simo": (
        {"name": "simo", "alpha": 100, "negatives": 8, "temperature": 0.2},
        each(lambda s, n: s - 0.2 * math.log(100 / 8)),
    ),
    "angular": ({"name": "angular", "m": 0.5}, each(lambda s, n: angular(s, 0.5))),
    **{
        f"multiplied {m}": ({"name": "multiplied", "m": m}, each(lambda s, n, m=m: multiplied(s, m))) for m in (1, 2, 4)
    },
    "norm": (
        {"name": "norm", "low": 0.1, "high": 0.9, "short": 0.5, "long": 2.0},
        each(lambda s, n: by_length(s, n, 0.1, 0.9, 0.5, 2.0)),
    ),
    "batch_norm": ({"name": "batch_norm", "m": 0.4}, lambda s, n: by_quality(s, n, 0.4, 0.333)),
    "batch_norm, clipped": ({"name": "batch_norm", "m": 0.9, "h": 3.0}, lambda s, n: by_quality(s, n, 0.9, 3.0)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_margins_are_their_formulas(name):
    """Value of every pair, and the gradient on similarities and lengths."""
    given, formula = FORMULAS[name]
    margin = margin_of(given)
    torch.testing.assert_close(margin(torch.cos(ANGLES), NORMS), formula(torch.cos(ANGLES), NORMS))
    weights = torch.linspace(0.5, 2, 23, dtype=torch.float64)
    same(
        lambda s, n: (weights * margin(s, n)).sum() + 0 * n.sum(),
        lambda s, n: (weights * formula(s, n)).sum() + 0 * n.sum(),
        torch.cos(ANGLES),
        NORMS,
        rtol=1e-8,
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_margins_in_a_contrast_are_those_of_the_anchors(name, views):
    """Lengths of z1 where z1's rows are anchors, of z2 where z2's are."""
    given, formula = FORMULAS[name]
    loss = Contrast(margin=given, temperature=0.4, forward=0.3)

    def naive(a, b):
        s, total = cosines(a, b), 0
        for z, scores, weight in ((a, s, 0.3), (b, s.T, 0.7)):
            shifted = formula(scores.diagonal(), z.norm(dim=1))
            rows = []
            for i in range(9):
                row = torch.cat([shifted[i : i + 1], scores[i]])
                rows.append(info_nce_row(row, 0, [1 + j for j in range(9) if j != i], 0.4))
            total = total + weight * mean(rows)
        return total

    same(loss, naive, views[0], views[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "given",
    [{"name": "multiplied", "m": 3}, "norm", "batch_norm", {"name": "angular", "m": 0.5}],
)
def test_margins_fall_with_the_angle_and_make_the_task_harder(given):
    margin = margin_of(given)
    s = torch.linspace(-0.999, 0.999, 201, dtype=torch.float64)
    shifted = margin(s, torch.ones_like(s))
    assert bool((shifted[1:] >= shifted[:-1] - 1e-9).all())
    assert bool((shifted <= s + 1e-9).all())


def test_long_anchors_by_hand():
    """MagFace asks more of them; AdaFace, of q = -h sqrt(3/2), 0, h sqrt(3/2), turns back by m q and takes m q + m."""
    s, q = torch.full((3,), 0.3, dtype=torch.float64), [-0.333 * 1.5**0.5, 0.0, 0.333 * 1.5**0.5]
    lengths = torch.tensor([1.0, 1.5, 2.0], dtype=torch.float64)
    falls = NormShift(0.1, 0.5, 1.0, 2.0)(s, lengths)
    assert falls.tolist() == pytest.approx([math.cos(math.acos(0.3) + m) for m in (0.1, 0.3, 0.5)])
    expected = [math.cos(math.acos(0.3) - 0.4 * x) - 0.4 * x - 0.4 for x in q]
    assert BatchNormShift(0.4)(s, lengths).tolist() == pytest.approx(expected)


def test_sphere_face_by_hand():
    """m = 2: cos 2θ up to π / 2, then -cos 2θ - 2."""
    s = torch.cos(torch.tensor([0.3, 1.0, 2.0, 3.0], dtype=torch.float64))
    expected = [math.cos(0.6), math.cos(2.0), -math.cos(4.0) - 2, -math.cos(6.0) - 2]
    assert MultipliedAngle(2)(s, s).tolist() == pytest.approx(expected)


def test_simo_margin_acts_as_more_negatives():
    """With all negatives equal, m = τ log(α / K) gives the loss of α negatives."""
    tau, k, alpha = 0.5, 4, 40
    z1, z2 = torch.eye(5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    margin = {"name": "simo", "alpha": alpha, "negatives": k, "temperature": tau}
    value = Contrast(temperature=tau, margin=margin)(z1, z2).item()
    assert value == pytest.approx(math.log(1 + alpha * math.exp(-1 / tau)))


@pytest.mark.parametrize(
    ("margin", "text"),
    [
        ({"name": "simo", "alpha": 0, "negatives": 1, "temperature": 1}, "alpha, negatives and temperature must be"),
        ({"name": "multiplied", "m": 0.5}, "m must be a whole number"),
        ({"name": "norm", "low": 2, "high": 1}, "0 <= low <= high < pi"),
        ({"name": "batch_norm", "m": 3}, "m must be an angle in"),
    ],
)
def test_margin_errors(margin, text):
    with pytest.raises(ValueError, match=text):
        Contrast(margin=margin)

"""Volumes and bags."""

import math

import pytest
import torch

from gcl.losses import GRAM, BestMatch, CLIPLoss
from gcl.losses.functional import partition as module
from gcl.losses.tuples import determinant_and_adjugate
from tests.losses.reference import same, units


@pytest.fixture(params=[False, True], ids=["dense", "streamed"], autouse=True)
def streamed(request, monkeypatch):
    if request.param:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 40)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_determinant_and_adjugate(size):
    m = torch.randn(6, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    det, adjugate = determinant_and_adjugate(m)
    torch.testing.assert_close(det, torch.linalg.det(m))
    scaled = det[:, None, None] * torch.eye(size, dtype=torch.float64)
    torch.testing.assert_close(m @ adjugate, scaled)


def naive_gram(parts, tau, smoothing, eps=1e-8):
    parts = [units(p) for p in parts]
    n = len(parts[0])

    def volume(i, j):
        a = torch.stack([parts[0][i], *(p[j] for p in parts[1:])])
        return (torch.linalg.det(a @ a.T).clamp_min(0) + eps).sqrt()

    logits = -torch.stack([torch.stack([volume(i, j) for j in range(n)]) for i in range(n)]) / tau
    target = torch.arange(n)
    loss = torch.nn.functional.cross_entropy
    there = loss(logits, target, label_smoothing=smoothing)
    return (there + loss(logits.T, target, label_smoothing=smoothing)) / 2


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gram(modalities, smoothing):
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(5, 6, generator=generator, dtype=torch.float64) for _ in range(modalities)]
    loss = GRAM(0.3, smoothing)
    same(lambda *p: loss(p), lambda *p: naive_gram(p, 0.3, smoothing), *parts, rtol=1e-6, atol=1e-7)


def volume_of(*rows):
    """Volume through the loss of one row's logits: -tau log-odds of two things."""
    rows = [torch.tensor(r, dtype=torch.float64) for r in rows]
    others = torch.stack(rows[1:])[None]
    det, adjugate = determinant_and_adjugate(others @ others.transpose(1, 2))
    v = others[0] @ rows[0]
    return (det - v @ adjugate[0] @ v).clamp_min(0).sqrt().item()


def test_volumes():
    assert volume_of([1.0, 0, 0], [0.0, 1, 0], [0.0, 0, 1]) == pytest.approx(1.0)
    assert volume_of([1.0, 0, 0], [1.0, 0, 0]) == pytest.approx(0.0)
    assert volume_of([1.0, 0, 0], [-1.0, 0, 0]) == pytest.approx(0.0)
    assert volume_of([1.0, 0, 0], [math.cos(math.pi / 6), 0.5, 0]) == pytest.approx(0.5)


def test_order_and_sign_of_the_other_modalities_do_not_matter(views):
    torch.testing.assert_close(GRAM()(views), GRAM()((views[0], views[2], views[1])))
    torch.testing.assert_close(GRAM()(views), GRAM()((views[0], -views[1], views[2])))


def test_two_collinear_modalities_make_the_logits_even(eye, collapsed):
    for z in (eye, collapsed):
        parts = tuple(p.clone().requires_grad_() for p in (z, z, z))
        value = GRAM(0.07, 0.0)(parts)
        value.backward()
        assert value.item() == pytest.approx(math.log(4))
        assert all(bool(torch.isfinite(p.grad).all()) for p in parts)


def naive_bags(a, b, size, tau, null=-1.0, margin=None):
    a, b = (z.reshape(len(z), size, -1) for z in (a, b))

    def score(f, n):
        f, n = (units(z[z.abs().sum(1) > 0]) for z in (f, n))
        return sum(max(row.max(), torch.tensor(null, dtype=row.dtype)) for row in f @ n.T) / len(f)

    forth = torch.stack([torch.stack([score(f, n) for n in b]) for f in a]) / tau
    back = torch.stack([torch.stack([score(n, f) for f in a]) for n in b]) / tau
    target, count = torch.arange(len(a)), len(a)
    if margin is not None:
        pairs = [(s, i, j) for s in (forth, back) for i in range(count) for j in range(count) if i != j]
        return sum((margin - s[i, i] + s[i, j]).clamp_min(0) for s, i, j in pairs) / (count * (count - 1))
    return torch.nn.functional.cross_entropy(forth, target) + torch.nn.functional.cross_entropy(back, target)


def test_best_match():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 12, generator=generator, dtype=torch.float64) for _ in range(2))
    same(BestMatch(3, 0.2), lambda x, y: naive_bags(x, y, 3, 0.2), a, b)
    torch.testing.assert_close(BestMatch(1, 0.2)(a, b), 2 * CLIPLoss(0.2)(a, b))
    absent = a.clone()
    absent[1, 8:] = 0
    torch.testing.assert_close(BestMatch(3, 0.2)(absent, b), naive_bags(absent, b, 3, 0.2))


@pytest.mark.parametrize("null", [None, 0.4])
def test_best_match_with_a_null_and_by_hinges(null):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 12, generator=generator, dtype=torch.float64) for _ in range(2))
    least = -1.0 if null is None else null
    same(BestMatch(3, 0.2, null=null), lambda x, y: naive_bags(x, y, 3, 0.2, least), a, b)
    hinged = BestMatch(3, form="hinge", margin=0.3, null=null)
    same(hinged, lambda x, y: naive_bags(x, y, 3, 1.0, least, 0.3), a, b)
    assert hinged(a, b).item() > 0 and BestMatch(3, form="hinge", margin=0.0)(a, a).item() == 0
    assert BestMatch(3, form="hinge")(a[:1], b[:1]).item() == 0, "no other bag"


def test_duplicates_in_the_other_bag_change_nothing():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    twice_a, twice_b = (torch.cat([z, z], 1) for z in (a, b))
    torch.testing.assert_close(BestMatch(4)(twice_a, twice_b), BestMatch(2)(a, b))


def test_a_tile_of_large_bags_is_no_larger_than_others(monkeypatch):
    """A row of bags makes size² numbers a column: few rows fill a tile."""
    monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
    monkeypatch.setitem(module.TILE, "cpu", 2**10)
    monkeypatch.setattr(module, "LEAST_ROWS", 64)
    made, einsum = [], torch.einsum
    monkeypatch.setattr(torch, "einsum", lambda *a: made.append(einsum(*a)) or made[-1])
    BestMatch(4)(*torch.randn(2, 40, 8))
    assert made and max(s.numel() for s in made) <= 2**10


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: GRAM(smoothing=1), r"smoothing must be in \[0, 1\) and eps positive, got 1"),
        (lambda: GRAM()((torch.eye(3), torch.ones(3, 2))), "modalities must have one width, got 3, 2"),
        (lambda: BestMatch(0), "size must be at least 1, got 0"),
        (lambda: BestMatch(form="square"), "form must be contrast or hinge, got 'square'"),
        (lambda: BestMatch(null=2.0), r"null must be in \[-1, 1\], the range of a cosine, or None, got 2.0"),
        (lambda: BestMatch(2)(torch.eye(3), torch.eye(3)), "the width must be a multiple of size 2, got 3"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()

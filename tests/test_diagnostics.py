"""Diagnostics against naive references, known values and known limits."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from gcl import diagnostics as d


@pytest.fixture
def z(rng):
    return torch.randn(300, 8, generator=rng) * torch.linspace(0.2, 2, 8) + 0.3


def unit(z):
    return (z / z.norm(dim=1, keepdim=True)).double()


def off_diagonal(square):
    return square[~torch.eye(len(square), dtype=torch.bool)]


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_alignment(z, rng, alpha):
    other = z + torch.randn(z.shape, generator=rng)
    expected = np.mean([float((a - b).norm()) ** alpha for a, b in zip(unit(z), unit(other), strict=True)])
    assert d.alignment(z, other, alpha) == pytest.approx(expected, rel=1e-6)
    assert d.alignment(z, 3 * z) == pytest.approx(0, abs=1e-12)
    assert d.alignment(z, -z) == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_uniformity(z, t):
    distance = torch.cdist(unit(z), unit(z)) ** 2
    expected = math.log(float(torch.exp(-t * off_diagonal(distance)).mean()))
    assert d.uniformity(z, t) == pytest.approx(expected, abs=1e-5)


def test_uniformity_of_chunks_and_samples(rng):
    z = torch.randn(3000, 16, generator=rng)
    distance = torch.cdist(unit(z), unit(z)) ** 2
    expected = math.log(float(torch.exp(-2 * off_diagonal(distance)).mean()))
    assert d.uniformity(z) == pytest.approx(expected, abs=1e-5)
    assert d.uniformity(z, rows=1500) == pytest.approx(expected, abs=0.02)
    assert d.uniformity(z, rows=1500) == d.uniformity(z, rows=1500), "the default sample is fixed"
    other = torch.Generator().manual_seed(5)
    assert d.uniformity(z, rows=1500, generator=other) != d.uniformity(z, rows=1500)


def test_uniformity_limits(rng):
    assert d.uniformity(torch.ones(10, 4)) == pytest.approx(0, abs=1e-6)
    assert d.uniformity(torch.ones(1, 4)) == 0.0
    assert d.uniformity(torch.zeros(10, 4)) == 0.0, "rows of zeros coincide: collapsed, not spread out"
    half = torch.eye(8).index_fill(0, torch.arange(4), 0.0)
    distance = torch.cdist(half, half) ** 2
    assert d.uniformity(half) == pytest.approx(math.log(float(torch.exp(-2 * off_diagonal(distance)).mean())), abs=1e-6)
    sphere = torch.randn(4096, 32, generator=rng)
    assert d.uniformity_gap(sphere) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("dim", "known"), [(32, -3.752), (64, -3.875), (128, -3.938), (256, -3.969)])
def test_uniformity_floor(dim, known):
    assert d.uniformity_floor(dim) == pytest.approx(known, abs=5e-4)
    for t in (0.5, 2.0, 8.0):
        assert d.uniformity_floor(dim, t) == pytest.approx(-2 * t + math.log(special.hyp0f1(dim / 2, t * t)), rel=1e-12)


def test_tolerance(z, rng):
    labels = torch.randint(0, 7, (300,), generator=rng) * 3
    cosine, same = unit(z) @ unit(z).T, labels[:, None] == labels[None, :]
    assert d.tolerance(z, labels) == pytest.approx(float(off_diagonal(cosine)[off_diagonal(same)].mean()), rel=1e-5)
    assert d.tolerance(z, torch.arange(300)) == 0.0


def test_spectrum(z):
    sigma = np.linalg.svd(z.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(d.spectrum(z).numpy(), sigma**2, rtol=1e-10)
    covariance = np.cov(z.double().numpy().T, bias=True)
    np.testing.assert_allclose(d.spectrum(z, centred=True).numpy(), np.linalg.eigvalsh(covariance)[::-1], rtol=1e-10)


@pytest.mark.parametrize("centred", [False, True])
def test_ranks(z, centred):
    rows = z.double().numpy()
    rows = rows - rows.mean(0) if centred else rows
    sigma = np.linalg.svd(rows, compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    assert d.effective_rank(z, centred=centred) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)
    expected = (sigma**2).sum() ** 2 / (sigma**4).sum()
    assert d.participation_ratio(z, centred=centred) == pytest.approx(expected, rel=1e-9)
    assert d.stable_rank(z, centred=centred) == pytest.approx((rows**2).sum() / sigma[0] ** 2, rel=1e-9)


@pytest.mark.parametrize("measure", [d.effective_rank, d.participation_ratio, d.stable_rank])
def test_rank_limits(measure):
    assert measure(torch.eye(6)) == pytest.approx(6, rel=1e-5)
    assert measure(torch.ones(20, 6)) == pytest.approx(1, rel=1e-4)
    assert measure(torch.zeros(20, 6)) == 0.0


def test_alpha_req(rng):
    basis = torch.linalg.qr(torch.randn(2000, 33, generator=rng).double() - 0.0).Q
    basis = torch.linalg.qr(basis - basis.mean(0)).Q[:, :32]
    z = basis * torch.arange(1, 33).double() ** -0.75
    fit = d.alpha_req(z)
    assert fit.alpha == pytest.approx(1.5, abs=1e-3)
    assert fit.r2 == pytest.approx(1, abs=1e-6)
    values = d.spectrum(z[:50] + 1, centred=True)[2:16]
    line = stats.linregress(np.log(np.arange(3, 17)), values.log().numpy())
    fit = d.alpha_req(z[:50] + 1)
    assert (fit.alpha, fit.r2) == (pytest.approx(-line.slope), pytest.approx(line.rvalue**2))
    assert d.alpha_req(torch.ones(9, 4)) == d.PowerLaw(0.0, 0.0)


def test_collapse(z):
    found = d.collapse(z)
    assert found.mean_cosine == pytest.approx(float(off_diagonal(unit(z) @ unit(z).T).mean()), rel=1e-5)
    assert found.lost == 0
    assert found.deviation == pytest.approx(float(unit(z).std(0, correction=0).mean()) * math.sqrt(8), rel=1e-6)
    flat = z.clone()
    flat[:, 5:] = 0
    assert d.collapse(flat).lost == 3
    point = d.collapse(torch.ones(9, 4))
    assert point.mean_cosine == pytest.approx(1)
    assert point.lost == 4
    assert point.deviation == pytest.approx(0, abs=1e-7)


def test_spearman_and_ranks(rng):
    x = torch.randint(0, 20, (200,), generator=rng)
    y = x + 10 * torch.randn(200, generator=rng)
    np.testing.assert_array_equal(d.average_ranks(x).numpy(), stats.rankdata(x.numpy()))
    assert d.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert d.spearman(x, torch.ones(200)) == 0.0


def test_popularity_correlation(z, rng):
    degree = torch.randint(1, 50, (300,), generator=rng)
    expected = stats.spearmanr(degree.double().log(), z.norm(dim=1)).statistic
    assert d.popularity_correlation(z, degree) == pytest.approx(expected, rel=1e-9)


def test_exposure():
    items = torch.tensor([[0, 1], [0, -1], [0, 2]])
    found = d.exposure(items, 4)
    counts = [0, 1, 1, 3]
    gini = sum(abs(a - b) for a in counts for b in counts) / (2 * 4 * sum(counts))
    assert found.coverage == 3 / 4
    assert found.gini == pytest.approx(gini)
    assert found.entropy == pytest.approx(stats.entropy([3, 1, 1]))
    assert d.exposure(torch.arange(6).view(2, 3), 6) == d.Exposure(1.0, 0.0, pytest.approx(math.log(6)))
    assert d.exposure(torch.full((2, 3), -1), 6) == d.Exposure(0.0, 0.0, 0.0)


def test_score_overlap(rng):
    positive = torch.rand(500, generator=rng) * 1.2 - 0.1
    negative = torch.rand(700, generator=rng) - 0.5
    found = d.score_overlap(positive, negative, bins=20)
    for s, h in ((positive, found.positive), (negative, found.negative)):
        expected = np.histogram(s.double().clamp(-1, 1).numpy(), found.edges.numpy())[0]
        np.testing.assert_array_equal(h.numpy(), expected)
    shares = torch.minimum(found.positive / 500, found.negative / 700)
    assert found.overlap == pytest.approx(float(shares.sum()))
    a, b = positive.double().numpy(), negative.double().numpy()
    assert found.d_prime == pytest.approx((a.mean() - b.mean()) / math.sqrt((a.var() + b.var()) / 2))


def test_score_overlap_limits():
    same, lower = torch.full((4,), 0.5), torch.full((4,), -0.5)
    assert d.score_overlap(same, same).overlap == 1.0
    assert d.score_overlap(same, same).d_prime == 0.0
    assert d.score_overlap(same, lower).overlap == 0.0
    assert d.score_overlap(same, lower).d_prime == math.inf
    assert d.score_overlap(lower, same).d_prime == -math.inf


def test_auc(rng):
    positive = torch.randint(0, 9, (60,), generator=rng)
    negative = torch.randint(0, 8, (3, 30), generator=rng)
    pairs = [(p > n) + 0.5 * (p == n) for p in positive.tolist() for n in negative.flatten().tolist()]
    assert d.auc(positive, negative) == pytest.approx(np.mean(pairs), rel=1e-12)
    assert d.auc(torch.ones(3), torch.ones(3)) == 0.5


def test_neighbours_and_preservation(rng):
    a, b = torch.randn(1100, 6, generator=rng), torch.randn(1100, 4, generator=rng)
    cosine = unit(a) @ unit(a).T
    cosine.fill_diagonal_(-2)
    with pytest.raises(ValueError, match="k must be from 1 to one less than the 5 rows, got 5"):
        d.neighbours(a[:5], 5)
    near = d.neighbours(a, 5)
    assert near.sort(1).values.tolist() == cosine.topk(5).indices.sort(1).values.tolist()
    other = d.neighbours(b, 5)
    jaccard = [
        len(set(x) & set(y)) / len(set(x) | set(y)) for x, y in zip(near.tolist(), other.tolist(), strict=True)
    ]  # fmt: skip
    assert d.neighbourhood_preservation(a, b, 5) == pytest.approx(np.mean(jaccard), rel=1e-12)
    assert d.neighbourhood_preservation(a, 2 * a, 5) == pytest.approx(1)


def test_nothing_is_changed(z):
    z.requires_grad_()
    before, state = z.detach().clone(), torch.random.get_rng_state()
    d.uniformity(z, rows=50)
    d.collapse(z)
    d.alignment(z, z)
    d.popularity_correlation(z, torch.arange(300))
    d.neighbourhood_preservation(z, z, 3)
    assert torch.equal(z.detach(), before)
    assert z.grad is None
    assert torch.equal(torch.random.get_rng_state(), state)

"""Energy objectives."""

import math

import pytest
import torch

from gcl.losses import AlignUniform
from gcl.losses.functional import log_mean_potential
from gcl.losses.functional import partition as module
from tests.losses.reference import log_sum, mean, same


def naive_uniformity(x, t):
    n = x.shape[0]
    return log_sum([-t * (x[i] - x[j]).square().sum() for i in range(n) for j in range(i)]) - math.log(n * (n - 1) / 2)


def test_uniformity_check_values(eye, collapsed):
    assert log_mean_potential(eye).item() == pytest.approx(-4.0)
    assert log_mean_potential(collapsed).item() == pytest.approx(0.0, abs=1e-9)
    assert log_mean_potential(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item() == pytest.approx(-8.0)
    assert AlignUniform(gamma=0)(eye, -eye).item() == pytest.approx(4.0)
    assert AlignUniform(gamma=0)(eye, eye).item() == 0.0


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("t", [0.5, 2.0, 50.0])
def test_uniformity_is_its_formula(views, stream, t, monkeypatch):
    monkeypatch.setitem(module.TILE, "cpu", 20)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    same(lambda x: log_mean_potential(x, t, stream=stream), lambda x: naive_uniformity(x, t), views[0], rtol=1e-8)


@pytest.mark.parametrize(("power", "gamma", "t"), [(2, 1, 2), (1, 0.2, 1), (2, 10, 3)])
def test_align_uniform_is_its_formula(views, power, gamma, t):
    def naive(a, b):
        x, y = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
        align = mean([(x[i] - y[i]).norm() ** power for i in range(9)])
        return align + gamma * (naive_uniformity(x, t) + naive_uniformity(y, t)) / 2

    same(AlignUniform(gamma, power, t), naive, views[0], views[1], rtol=1e-8)


def test_one_row_has_alignment_only(views):
    value = AlignUniform()(views[0][:1], views[1][:1])
    torch.testing.assert_close(value, AlignUniform(gamma=0)(views[0][:1], views[1][:1]))


def test_info_nce_row_is_alignment_plus_its_own_potential(views):
    """On unit rows, -log softmax = ||x - y||²/(2τ) + lse_j(-||x - y_j||²/(2τ)), exactly."""
    from gcl.losses import InfoNCE
    from gcl.losses.functional import alignment, gaussian_lse, normalise

    x, y, tau = normalise(views[0]), normalise(views[1]), 0.3
    expected = alignment(x, y) / (2 * tau) + gaussian_lse(x, y, 1 / (2 * tau), skip_own=False)
    torch.testing.assert_close(InfoNCE(tau).rows(x, y), expected)


def test_errors():
    with pytest.raises(ValueError, match="gamma must be at least 0, power and t positive, got -1"):
        AlignUniform(-1)

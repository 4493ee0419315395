"""Dropout from random words: the chance, the factor, the gradient, what it draws from."""

import pytest
import torch

from gcl.encoders.dropout import Dropout, noise


@pytest.mark.parametrize("p", [0.5, 0.1, 0.2, 0.3, 0.9999])
def test_chance_and_mean_are_those_of_p(p):
    torch.manual_seed(0)
    drawn = noise(torch.empty(500_003), p)
    zero = (drawn == 0).float().mean().item()
    assert zero == pytest.approx(p, abs=4 * (p * (1 - p) / 500_003) ** 0.5 + 2**-16)
    kept = drawn[drawn > 0]
    assert bool((kept == kept[0]).all()) and kept[0].item() == pytest.approx(1 / (1 - p), rel=0.2 if p > 0.99 else 1e-4)
    assert (kept[0].item() * (1 - zero)) == pytest.approx(1, abs=0.2 if p > 0.99 else 0.02)


def test_expectation_is_exact_for_the_rounded_chance():
    factor = noise(torch.empty(64), 0.1).max().item()
    assert factor == pytest.approx(65536 / (65536 - round(0.1 * 65536)), rel=1e-6)


def test_neighbours_are_independent():
    torch.manual_seed(0)
    kept = (noise(torch.empty(400_000), 0.3) > 0).float()
    kept = kept - kept.mean()
    for step in (1, 2, 3, 4, 7, 8):
        assert abs((kept[step:] * kept[:-step]).mean().item()) < 0.002, step


def test_gradient_is_the_mask_and_the_stream_is_torchs():
    x, layer = torch.ones(3, 5, 7, requires_grad=True), Dropout(0.4)
    torch.manual_seed(3)
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    torch.manual_seed(3)
    assert torch.equal(layer(x), y)


def test_nothing_is_dropped_in_eval_mode_or_with_p_0():
    x = torch.randn(4, 3)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_bad_chance_is_named(p):
    with pytest.raises(ValueError, match=rf"dropout must lie in \[0, 1\), got {p}"):
        Dropout(p)

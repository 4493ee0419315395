"""Noise that is learnt, against its formula."""

import torch

from gcl.views import AdversarialNoise
from tests.views.graphs import ready


def test_adversarial_noise_has_its_length(adj, x):
    view = ready(AdversarialNoise(0.3), adj)
    noise = view.draw(x, torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise.norm(dim=1), torch.full((len(x),), 0.3))


def test_adversarial_noise_is_its_formula_and_leaves_the_representations_alone(adj, x):
    x = (3 * x).requires_grad_()
    view = ready(AdversarialNoise(0.3, hidden=5), adj)
    first, second = view.direction[0], view.direction[2]
    found = view.draw(x, torch.Generator().manual_seed(0))
    blind = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) / 8**0.5
    hidden = torch.tanh((x / x.norm(dim=1, keepdim=True) + blind) @ first.weight.T + first.bias)
    expected = hidden @ second.weight.T + second.bias
    torch.testing.assert_close(found, 0.3 * expected / expected.norm(dim=1, keepdim=True))
    assert torch.autograd.grad(found.square().sum() + found.sum(), x, allow_unused=True) == (None,)

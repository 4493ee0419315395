"""How far noise moves a row, by its modulus."""

import pytest
import torch

from gcl.testing import check_graph_view
from gcl.views import ModulusNoise, Noise


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", lambda m: torch.ones_like(m)),
        ("proportional", lambda m: m),
        ("inverse", lambda m: m.mean() ** 2 / m),
        ("sigmoid", lambda m: torch.sigmoid((m - m.mean()) / m.std(correction=0))),
    ],
)
def test_length_follows_the_modulus_and_the_orthant_is_kept(kind, expected, rng):
    h = torch.randn(50, 6, generator=rng) * torch.rand(50, 1, generator=rng)
    h.requires_grad_()
    noise = ModulusNoise(0.2, kind).draw(h, rng)
    assert not noise.requires_grad and bool((noise.sign() == h.sign()).all())
    torch.testing.assert_close(noise.norm(dim=1), 0.2 * expected(h.detach().norm(dim=1)))
    assert bool((ModulusNoise(0.2, kind).draw(torch.zeros(3, 4), rng) == 0).all())


def test_proportional_noise_has_one_angle_and_inverse_turns_short_rows(rng):
    h = torch.ones(2, 8) * torch.tensor([[0.1], [3.0]])

    def angles(kind):
        generator = torch.Generator().manual_seed(0)
        h2 = h + ModulusNoise(0.3, kind).draw(h[:1].expand(2, 8) * 0 + h, generator)
        return torch.cosine_similarity(h, h2)

    turned = angles("inverse")
    assert turned[0] < turned[1]
    assert abs(angles("proportional") - 1).max() < 0.05


@pytest.mark.parametrize("kind", ["proportional", "inverse", "sigmoid", "constant"])
def test_it_holds_the_contract_of_graph_views(kind):
    check_graph_view(lambda: ModulusNoise(0.1, kind), lambda: ModulusNoise(0.0, kind))


def test_constant_is_noise(rng):
    h = torch.randn(5, 4, generator=rng)
    ours, theirs = (v.draw(h, torch.Generator().manual_seed(1)) for v in (ModulusNoise(0.2, "constant"), Noise(0.2)))
    torch.testing.assert_close(ours, theirs)


def test_an_unknown_length_is_an_error():
    with pytest.raises(ValueError, match="length must be one of proportional, inverse, sigmoid, constant, got 'long'"):
        ModulusNoise(0.1, "long")
    with pytest.raises(ValueError, match=r"eps must not be negative, got -1\.0"):
        ModulusNoise(-1.0)

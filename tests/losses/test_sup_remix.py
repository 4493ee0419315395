"""Regression contrast with made positives and negatives."""

import pytest
import torch

from gcl.losses import SupCon, SupReMix, targets
from gcl.losses.functional.mixing import beta
from gcl.losses.targets import draw_around, draw_other, mixing_share
from tests.losses.reference import log_sum, mean, same, units

TARGETS = torch.tensor([1.0, 1.2, 2.0, 3.5, 1.1, 2.2, 5.0, 3.0, 2.0], dtype=torch.float64)


def test_mixed_targets_are_the_anchors():
    generator = torch.Generator().manual_seed(0)
    j, k = draw_around(TARGETS, float("inf"), 50, generator)
    held = (j >= 0) & (k >= 0)
    share = mixing_share(TARGETS[j], TARGETS[:, None], TARGETS[k])
    mixed = share * TARGETS[j] + (1 - share) * TARGETS[k]
    torch.testing.assert_close(mixed[held], TARGETS[:, None].expand(9, 50)[held], rtol=1e-12, atol=1e-12)
    assert bool(((share[held] > 0) & (share[held] < 1)).all())
    assert bool((j[0] == -1).all()), "the least target has none below it"


@pytest.mark.parametrize("width", [0.5, 1.0, float("inf")])
def test_draws_are_even_over_the_allowed(width):
    t = torch.tensor([1.0, 3.0, 2.0, 1.0, 2.0, 4.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    below, above = draw_around(t, width, 3000, generator)
    other = draw_other(t, 3000, generator)
    for i in range(6):
        allowed = {
            "other": [j for j in range(6) if t[j] != t[i]],
            "below": [j for j in range(6) if 0 < t[i] - t[j] <= width],
            "above": [j for j in range(6) if 0 < t[j] - t[i] <= width],
        }
        for name, drawn in {"other": other[i], "below": below[i], "above": above[i]}.items():
            if not allowed[name]:
                assert bool((drawn == -1).all())
                continue
            counts = torch.bincount(drawn, minlength=6)
            assert counts.sum() == counts[allowed[name]].sum()
            assert counts[allowed[name]].min() > 0.85 * 3000 / len(allowed[name])
    assert bool((draw_other(torch.ones(3), 4, generator) == -1).all())


def naive(z, tau, magnify, partner=None, share=None, below=None, above=None):
    """SupCon out on exact targets; mixtures are unit constants, λ the anchor's share, gaps those of mixed targets."""
    x, t, rows = units(z), TARGETS, []
    fixed = x.detach()

    def logit(i, point, gap):
        return x[i] @ units(point) / tau + (torch.log(1 + gap) if magnify else 0.0)

    for i in range(9):
        positives = [x[i] @ x[j] / tau for j in range(9) if j != i and t[j] == t[i]]
        everything = [
            x[i] @ x[j] / tau + (torch.log(1 + abs(t[i] - t[j])) if magnify else 0) for j in range(9) if j != i
        ]
        for m in range(0 if partner is None else partner.shape[1]):
            k, lam = partner[i, m], share[i, m]
            if k >= 0:
                mixed = lam * t[i] + (1 - lam) * t[k]
                everything.append(logit(i, lam * fixed[i] + (1 - lam) * fixed[k], abs(mixed - t[i])))
            j, k = below[i, m], above[i, m]
            if j >= 0 and k >= 0:
                lam = (t[k] - t[i]) / (t[k] - t[j])
                point = logit(i, lam * fixed[j] + (1 - lam) * fixed[k], 0 * t[i])
                everything.append(point)
                positives.append(point)
        if positives:
            rows.append(log_sum(everything) - mean(positives))
    return mean(rows), len(rows)


@pytest.mark.parametrize("magnify", [False, True])
def test_without_mixtures(views, magnify, streamed):
    loss = SupReMix(0.3, mixtures=0, magnify=magnify)
    same(lambda z: loss(z, TARGETS), lambda z: naive(z, 0.3, magnify)[0], views[0])
    assert len(loss.rows(views[0], TARGETS)) == naive(views[0], 0.3, magnify)[1] == 2
    if not magnify:
        torch.testing.assert_close(loss(views[0], TARGETS), SupCon(0.3)(views[0], TARGETS))


@pytest.fixture
def drawn(monkeypatch):
    """Partners, their shares and neighbours in target that are known, -1 where there are none."""
    generator = torch.Generator().manual_seed(0)
    partner = draw_other(TARGETS, 4, generator)
    partner[2, 1:] = -1
    share = 0.1 + 0.8 * torch.rand(9, 4, generator=generator, dtype=torch.float64)
    below, above = draw_around(TARGETS, float("inf"), 4, generator)
    laws = []

    def law(like, a, b, *shape, generator):
        laws.append((a, b, shape))
        return share

    monkeypatch.setattr(targets, "draw_other", lambda t, count, generator: partner)
    monkeypatch.setattr(targets, "draw_around", lambda t, width, count, generator: (below, above))
    monkeypatch.setattr(targets, "beta", law)
    return laws, (partner, share, below, above)


@pytest.mark.parametrize("magnify", [False, True])
def test_mixtures(views, magnify, streamed, drawn):
    """Value and gradient: every row but the extreme ones gets positives, and mixtures are constants."""
    laws, parts = drawn
    loss = SupReMix(0.3, mixtures=4, law=(3.0, 7.0), magnify=magnify)
    same(lambda z: loss(z, TARGETS), lambda z: naive(z, 0.3, magnify, *parts)[0], views[0])
    assert len(loss.rows(views[0], TARGETS)) == naive(views[0], 0.3, magnify, *parts)[1] == 7
    assert set(laws) == {(3.0, 7.0, (9, 4))}


def test_drawn_mixtures_follow_the_generator(views):
    loss = SupReMix(0.3, mixtures=4)
    values = []
    for seed in (0, 0, 1):
        loss.generator = torch.Generator().manual_seed(seed)
        values.append(loss(views[0], TARGETS).item())
    assert values[0] == values[1] != values[2]


def test_the_anchors_share_is_small_as_a_rule():
    share = beta(TARGETS, 2.0, 8.0, 40, 500, generator=torch.Generator().manual_seed(0))
    assert share.mean().item() == pytest.approx(0.2, abs=0.005)
    assert share.var().item() == pytest.approx(16 / (100 * 11), abs=0.001)


def test_errors():
    with pytest.raises(ValueError, match="mixtures >= 0, window > 0, law > 0 must hold, got -1"):
        SupReMix(mixtures=-1)

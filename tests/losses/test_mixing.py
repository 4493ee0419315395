"""Made points."""

import math

import pytest
import torch

from gcl.losses import DCLR, DualMomentum, FeatureTransform, InfoNCE, MoCHi, MoCo
from gcl.losses.functional.mixing import ascend, beta, mixed_negatives
from gcl.losses.functional.numerics import normalise
from tests.losses.reference import cosines, info_nce_row, mean, queue_of, same


def filled(loss, rows, ids=None):
    loss = loss.build(20, 5).double()
    queue_of(loss).push(rows / rows.norm(dim=1, keepdim=True), ids)
    return loss.eval()


def test_mixtures_are_unit_and_of_the_hardest(views):
    q, memory = normalise(views[0]), normalise(views[1])
    made = mixed_negatives(q, memory, 3, 40, 40, torch.Generator().manual_seed(0))
    assert made.shape == (9, 80, 5)
    torch.testing.assert_close(made.norm(dim=-1), torch.ones(9, 80, dtype=torch.float64))
    top = (q @ memory.T).topk(3).values
    near = torch.einsum("bkd,bd->bk", made, q)
    assert bool((near[:, 40:] >= top[:, -1:] - 1e-9).all()), "mixing with the anchor never moves a negative away"


def test_mochi(views):
    generator = torch.Generator().manual_seed(3)
    loss = filled(MoCHi(0.3, 9, hardest=4, pairs=3, own=2), views[2])
    made = mixed_negatives(normalise(views[0]), normalise(views[2]), 4, 3, 2, torch.Generator().manual_seed(3))
    loss.generator = generator

    def naive(a, b):
        rows = []
        for i in range(9):
            s = torch.cat([cosines(a, b)[i, i : i + 1], cosines(a[i : i + 1], torch.cat([views[2], made[i]]))[0]])
            rows.append(info_nce_row(s, 0, range(1, len(s)), 0.3))
        return mean(rows)

    expected = naive(*views[:2])
    torch.testing.assert_close(loss(*views[:2]), expected)
    plain = filled(MoCo(0.3, 9), views[2])
    torch.testing.assert_close(filled(MoCHi(0.3, 9, pairs=0, own=0), views[2])(*views[:2]), plain(*views[:2]))
    assert expected > plain(*views[:2])


def test_made_points_carry_no_gradient(views):
    loss = filled(MoCHi(0.3, 9, hardest=1, pairs=0, own=1), views[2])
    loss.generator = torch.Generator().manual_seed(3)
    q = views[0].clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(q, views[1]), q)
    made = mixed_negatives(normalise(views[0]), normalise(views[2]), 1, 0, 1, torch.Generator().manual_seed(3))
    leaf = views[0].clone().requires_grad_()
    rows = []
    for i in range(9):
        s = torch.cat([cosines(leaf, views[1])[i, i : i + 1],
                       cosines(leaf[i : i + 1], torch.cat([views[2], made[i]]))[0]])  # fmt: skip
        rows.append(info_nce_row(s, 0, range(1, len(s)), 0.3))
    torch.testing.assert_close(grad, torch.autograd.grad(mean(rows), leaf)[0])


def test_extrapolation_identity(views):
    """<q^, k^> = 2 λ (1 - λ)(1 - s) + s, never above s."""
    q, k = normalise(views[0]), normalise(views[1])
    s = (q * k).sum(1)
    share = 1 + beta(q, 2.0, 2.0, 9, 1, generator=torch.Generator().manual_seed(0))
    moved = ((share * q + (1 - share) * k) * (share * k + (1 - share) * q)).sum(1)
    torch.testing.assert_close(moved, 2 * share[:, 0] * (1 - share[:, 0]) * (1 - s) + s)
    assert bool((moved <= s).all())
    assert bool(((share > 1) & (share < 2)).all())


def test_feature_transform(views):
    loss = filled(FeatureTransform(0.3, 9), views[2])
    loss.generator = torch.Generator().manual_seed(5)
    value = loss(*views[:2])
    generator = torch.Generator().manual_seed(5)
    q, k, held = (normalise(v) for v in views)
    share = 1 + beta(q, 2.0, 2.0, 9, 1, generator=generator)
    positive = ((share * q + (1 - share) * k) * (share * k + (1 - share) * q)).sum(1)
    share = beta(held, 1.6, 1.6, 9, 1, generator=generator)
    held = share * held + (1 - share) * held[torch.randperm(9, generator=generator)]
    assert bool((held.norm(dim=1) <= 1 + 1e-9).all())
    logits = torch.cat([positive[:, None], q @ held.T], 1) / 0.3
    torch.testing.assert_close(value, -logits.log_softmax(1)[:, 0].mean())
    off = filled(FeatureTransform(0.3, 9, positive=0, negative=0), views[2])
    torch.testing.assert_close(off(*views[:2]), filled(MoCo(0.3, 9), views[2])(*views[:2]))


def test_dclr_masks_by_the_reference(views):
    reference = views[2]
    r = cosines(reference, reference)

    def naive(a, b):
        s = cosines(a, b)
        return mean([info_nce_row(s[i], i, [j for j in range(9) if j != i and r[i, j] < 0.2], 0.3) for i in range(9)])

    loss = DCLR(0.3, ceiling=0.2, noise=0)
    same(lambda a, b: loss(a, b, reference=reference), naive, views[0], views[1])
    torch.testing.assert_close(DCLR(0.3, ceiling=2.0, noise=0)(*views[:2]), InfoNCE(0.3)(*views[:2]))


def test_a_masked_pair_has_no_gradient(views):
    """Multiplying its logit by 0 would leave e^0 in the sum and lower the others' shares."""
    z2 = views[1].clone().requires_grad_()
    value = DCLR(0.3, ceiling=-2.0, noise=0)(views[0], z2)
    assert value.item() == 0
    value.backward()
    assert bool((z2.grad == 0).all())


def test_noise_climbs(views):
    x, y = normalise(views[0]) / 0.3, normalise(views[1])
    negatives = torch.logsumexp((x @ y.T).fill_diagonal_(-math.inf), 1)
    positive = (x * y).sum(1)
    noise = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(n):
        more = torch.logsumexp(x @ normalise(n).T, 1)
        return torch.nn.functional.softplus(torch.logaddexp(negatives, more) - positive).mean().item()

    values = [loss(ascend(x, negatives, positive, noise, steps, 1e-2)) for steps in (0, 1, 4)]
    assert values == sorted(values) and values[0] < values[-1]


def test_noise_negatives_raise_the_loss_and_follow_the_generator(views):
    loss = DCLR(0.3, ceiling=2.0, noise=2.5)
    loss.generator = torch.Generator().manual_seed(0)
    first = loss(*views[:2])
    loss.generator.manual_seed(0)
    assert torch.equal(loss(*views[:2]), first) and first > InfoNCE(0.3)(*views[:2])


def test_dual_momentum(views):
    full = filled(DualMomentum(0.3, 9, forward=1.0, share=1.0), views[2])
    torch.testing.assert_close(full(*views[:2]), filled(MoCo(0.3, 9), views[2])(*views[:2]))
    values = [filled(DualMomentum(0.3, 9, share=r), views[2])(*views[:2]).item() for r in (0.1, 0.4, 1.0)]
    assert values == sorted(values)
    half = filled(DualMomentum(0.3, 9, forward=0.5, share=0.34), views[2])

    def side(anchor, other):
        s = cosines(anchor, views[2]).topk(3).values
        logits = torch.cat([cosines(anchor, other).diagonal()[:, None], s], 1) / 0.3
        return -logits.log_softmax(1)[:, 0].mean()

    same(half, lambda a, b: (side(a, b) + side(b.detach(), a)) / 2, views[0], views[1])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MoCHi(hardest=0), "hardest must be at least 1, pairs and own at least 0, got 0"),
        (lambda: FeatureTransform(positive=-1), "positive and negative must be at least 0, got -1"),
        (lambda: DCLR(noise=-1), "noise and steps must be at least 0, got -1"),
        (lambda: DualMomentum(share=0), r"share in \(0, 1\], got 0.5, 0"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()

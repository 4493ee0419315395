"""Softmax over a catalogue and over samples of it."""

import math

import pytest
import torch

from gcl.losses import InfoNCE, SampledSoftmax
from gcl.losses.functional import catalogue_softmax
from tests.losses.reference import mean, same


def naive(a, b, log_q, key, tau, refined=False, correct=True):
    rows = []
    for i in range(len(a)):
        others = [j for j in range(len(b)) if key[j] != key[i]]
        s = b @ a[i] / tau
        top = s[i] - (log_q[i] if correct or refined else 0)
        share = (torch.stack([top, *(s[j] - log_q[j] for j in others)])).log_softmax(0)[0]
        if not refined:
            rows.append(-share)
            continue
        weight = 1 - share.detach().exp()
        rest = torch.stack([s[j] - (log_q[j] - torch.log(1 - log_q[i].exp())) for j in others]).logsumexp(0)
        rows.append(weight * (rest - s[i]))
    return mean(rows)


@pytest.mark.parametrize("key", [list(range(9)), [0, 1, 1, 2, 3, 4, 5, 5, 0]])
@pytest.mark.parametrize(("refined", "correct"), [(False, True), (False, False), (True, True)])
def test_formula(views, key, refined, correct):
    q = torch.linspace(0.02, 0.3, 9, dtype=torch.float64).log()
    loss = SampledSoftmax(0.7, refined=refined, correct_positive=correct)
    same(
        lambda a, b: loss(a, b, torch.tensor(key), log_q=q),
        lambda a, b: naive(a, b, q, key, 0.7, refined, correct),
        views[0][:6],
        views[1],
        rtol=1e-7,
    )


def test_relations(views):
    a, b = views[0], views[1]
    torch.testing.assert_close(SampledSoftmax(0.5)(a, b), InfoNCE(0.5, similarity="dot")(a, b))
    q = torch.rand(9, dtype=torch.float64).log()
    torch.testing.assert_close(SampledSoftmax()(a, b, log_q=q), SampledSoftmax()(a, b, log_q=q + 3.0))


def test_sampled_gradient_approaches_the_full_one():
    """The mean over many samples of the corrected gradient comes closer to the full softmax's as samples grow."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(200, 4, generator=generator, dtype=torch.float64)
    weights = torch.rand(200, generator=generator, dtype=torch.float64) + 0.3
    q = weights / weights.sum()
    query = torch.randn(1, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    (full,) = torch.autograd.grad(catalogue_softmax(query, items, torch.tensor([7])).sum(), query)
    errors = []
    for count in (5, 400):
        total = torch.zeros_like(query)
        for _ in range(200):
            drawn = torch.multinomial(q, count, True, generator=generator)
            ids = torch.cat([torch.tensor([7]), drawn])
            log_q = torch.cat([torch.zeros(1).double(), (q[drawn] * count).log()])
            value = SampledSoftmax()(query, items[ids], ids, log_q=log_q)
            total += torch.autograd.grad(value, query)[0] / 200
        errors.append((total - full).norm().item())
    assert errors[1] < 0.1 * full.norm().item() and errors[1] < errors[0]


@pytest.mark.parametrize("stream", [True, False])
def test_catalogue_softmax_is_cross_entropy(views, stream):
    x, items = views[0], views[1]
    targets, bias = torch.tensor([0, 3, 3, 8, 1, 2, 4, 5, 6]), torch.linspace(-1, 1, 9, dtype=torch.float64)
    same(
        lambda a, b: catalogue_softmax(a, b, targets, temperature=0.3, bias=bias, stream=stream).mean(),
        lambda a, b: torch.nn.functional.cross_entropy(a @ b.T / 0.3 + bias, targets),
        x,
        items,
    )
    padded = targets.clone()
    padded[2] = -1
    assert catalogue_softmax(x, items, padded, stream=stream)[2].item() == 0


def test_frequencies_are_estimated_from_gaps(views):
    """An id in every batch has Q near 1, one in every tenth batch near 1 / 10."""
    loss = SampledSoftmax(memory=0.5).build(20, 5).double()
    for step in range(100):
        ids = torch.tensor([0, 1 if step % 10 == 0 else 2 + step % 3])
        loss(views[0][:2], views[1][:2], ids)
    assert loss.gap[0].item() == pytest.approx(1.0)
    assert loss.gap[1].item() == pytest.approx(10.0, rel=0.05)
    loss.eval()
    before = loss.step.item()
    loss(views[0][:2], views[1][:2], torch.tensor([0, 1]))
    assert loss.step.item() == before
    again = SampledSoftmax(memory=0.5).build(20, 5).double()
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.gap, loss.gap)


def test_large_batches_of_one_id_are_zero(views):
    assert SampledSoftmax()(views[0], views[1], torch.zeros(9, dtype=torch.long)).item() == 0
    assert SampledSoftmax(refined=True)(views[0], views[1], torch.zeros(9, dtype=torch.long)).item() == 0
    assert math.isfinite(SampledSoftmax(refined=True)(views[0], views[1]).item())


def test_errors():
    with pytest.raises(ValueError, match=r"memory must be in \(0, 1\], got 0"):
        SampledSoftmax(memory=0)
    with pytest.raises(ValueError, match="SampledSoftmax needs a similarity that is an inner product"):
        SampledSoftmax(similarity="euclidean")

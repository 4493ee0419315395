"""Groups of positives."""

import math

import pytest
import torch

from gcl.losses import AnchorStar, GroupContrast, InfoNCE, IntentContrast
from tests.losses.reference import log_sum, mean, same, units


def naive_group(z, tau, how):
    z = units(z)
    v, n, _ = z.shape
    rows = []
    for i in range(n):
        if how in ("pooled", "max"):
            g = units(z[1:].mean(0) if how == "pooled" else z[1:].max(0).values)
            rows.append(log_sum([z[0, i] @ g[j] / tau for j in range(n)]) - z[0, i] @ g[i] / tau)
            continue
        p = [z[0, i] @ z[g, i] / tau for g in range(1, v)]
        total = log_sum(p + [z[0, i] @ z[g, j] / tau for g in range(1, v) for j in range(n) if j != i])
        rows.append(total - (log_sum(p) if how == "sum" else mean(p)))
    return mean(rows)


@pytest.mark.parametrize("how", ["sum", "mean", "pooled", "max"])
def test_group_contrast(views, how, eye):
    cube = torch.stack(views)[:, :5]
    same(GroupContrast(0.3, how), lambda z: naive_group(z, 0.3, how), cube, rtol=1e-8)
    torch.testing.assert_close(GroupContrast(0.3, how)(cube[:2]), InfoNCE(0.3)(*cube[:2]))
    if how != "mean":
        expected = math.log(1 + 3 * math.exp(-2))
        assert GroupContrast(0.5, how)(eye.expand(3, 4, 4)).item() == pytest.approx(expected)


def test_sum_is_below_mean_by_log_of_the_group(views):
    cube = torch.stack(views)[:, :5]
    gap = GroupContrast(0.3, "mean").rows(cube) - math.log(2) - GroupContrast(0.3).rows(cube)
    assert bool((gap >= -1e-12).all())


def test_anchor_star(views):
    loss = AnchorStar(0.3, weights=[0.5, 2.0])
    expected = 0.5 * InfoNCE(0.3)(views[0], views[1]) + 2 * InfoNCE(0.3)(views[0], views[2])
    torch.testing.assert_close(loss(views), expected)
    torch.testing.assert_close(AnchorStar(0.3)(views[:2]), InfoNCE(0.3)(*views[:2]))


def test_intents(views):
    loss = IntentContrast(0.3, 4).build(9, 5).double()
    prototypes = loss.prototypes.detach()

    def naive(a, b):
        return InfoNCE(0.3)(a, (b @ prototypes.T).softmax(1) @ prototypes)

    same(loss, naive, views[0], views[1])
    loss(views[0], views[1]).backward()
    assert loss.prototypes.grad.abs().sum() > 0


def test_errors(views):
    with pytest.raises(ValueError, match="positives must be sum, mean, pooled or max, got 'least'"):
        GroupContrast(positives="least")
    with pytest.raises(ValueError, match="weights must be one a modality after the first, 2, got 1"):
        AnchorStar(weights=[1.0])(views)
    with pytest.raises(ValueError, match="modalities must have one width, got 5, 3"):
        AnchorStar()((views[0], views[1][:, :3]))
    with pytest.raises(ValueError, match="intents must be at least 1"):
        IntentContrast(intents=0)
    with pytest.raises(RuntimeError, match="IntentContrast has no prototypes yet"):
        IntentContrast()(*views[:2])

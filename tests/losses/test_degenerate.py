"""Batches with nothing to compare: no rows, no hard negatives, no other things."""

import math

import pytest
import torch

import gcl.losses as L
from gcl.losses import catalogue
from gcl.losses.functional.discrepancy import mmd
from gcl.testing.objectives import sample

THREE_VIEWS = 3


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def without_rows(value, leaves):
    """The same inputs with no rows, as leaves of a graph."""
    if isinstance(value, tuple):
        return tuple(without_rows(v, leaves) for v in value)
    cut = value.narrow(1 if value.dim() == 3 else 0, 0, 0).clone()
    if cut.is_floating_point():
        leaves.append(cut.requires_grad_())
    return cut


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", catalogue())
def test_an_empty_batch_is_zero_on_the_graph(name, training):
    """On the graph of inputs and parameters, with memories filled; half precision gives a float32 zero."""
    torch.manual_seed(0)
    objective = catalogue()[name]().build(16, 6).double()
    inputs = sample(objective, 8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        objective(*inputs)
    objective.train(training)
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    leaves = []
    empty = without_rows(inputs, leaves)
    value = objective(*empty)
    assert value.dim() == 0 and value.item() == 0 and value.dtype == torch.float64
    assert objective.rows(*empty).shape == (0,)
    grads = torch.autograd.grad(value, leaves + [p for p in objective.parameters() if p.requires_grad])
    assert all(bool((g == 0).all()) for g in grads)
    assert all(torch.equal(v, before[k]) for k, v in objective.state_dict().items())


@pytest.mark.parametrize("name", ["InfoNCE", "VICReg", "Dispersive", "SogCLR"])
def test_an_empty_batch_in_half_precision(name):
    z = torch.zeros(0, 6, dtype=torch.bfloat16)
    assert catalogue()[name]().build(16, 6)(z, z).dtype == torch.float32


def test_no_anchors_among_further_rows():
    """Further rows of z2, or one of two samples alone, have nothing to be compared with."""
    assert L.InfoNCE()(draw(0, 4), draw(5, 4)).item() == 0
    assert L.Dispersive()(draw(0, 4), draw(5, 4)).item() == 0
    assert L.MMD()(draw(5, 4), draw(0, 4)).item() == 0


def test_unbiased_mmd_needs_two_rows():
    x, y = draw(1, 4), draw(5, 4, seed=1)
    text = r"unbiased=True .* x and y need two rows each, got 1 and 5\. Give more rows, or take unbiased=False"
    with pytest.raises(ValueError, match=text):
        L.MMD(unbiased=True)(x, y)
    with pytest.raises(ValueError, match="got 5 and 1"):
        mmd(y, x, unbiased=True)
    assert math.isfinite(L.MMD()(x, y).item()) and math.isfinite(L.MMD(unbiased=True)(y[:2], y[2:]).item())


def test_no_hard_negatives_no_penalty():
    """h = 0: the mean over no hard negatives is 0, as without the option."""
    z1, z2 = draw(6, 4), draw(6, 4, seed=1)
    none = torch.zeros(6, 0, 4, dtype=torch.float64)
    value = L.CLP(0.3, 0.2)(z1, z2, hard=none, queries=none)
    torch.testing.assert_close(value, 0.8 * L.InfoNCE(0.3)(z1, z2))
    torch.testing.assert_close(value, L.CLP(0.3, 0.2)(z1, z2))


def test_hard_negatives_and_queries_come_together():
    z1, z2, hard = draw(6, 4), draw(6, 4, seed=1), draw(6, 2, 4, seed=2)
    with pytest.raises(ValueError, match=r"given together, .*, got hard without queries\. Give both"):
        L.CLP()(z1, z2, hard=hard)
    with pytest.raises(ValueError, match="got queries without hard"):
        L.CLP()(z1, z2, queries=hard)
    alone = L.CLP(0.3, penalty=0.0)(z1, z2, hard=hard)
    torch.testing.assert_close(alone, L.HardNegativeInfoNCE(0.3)(z1, z2, hard=hard))


def test_own_columns_need_targets():
    z = draw(5, 4)
    with pytest.raises(ValueError, match=r"targets must be given with own=True.*, got None\. Give them as \[5, 5\]"):
        L.ICon(own=True)(z, z)


def gro_co(views, ids, k, beta=1.0):
    """Thing by thing, each with a network of its own size."""
    z = views / views.norm(dim=2, keepdim=True)
    values = []
    for i in range(z.shape[1]):
        others = [j for j in range(z.shape[1]) if ids[j] != ids[i]]
        near = sorted((float(z[0, i] @ z[0, j]) for j in others), reverse=True)[:k]
        row = sorted(near) + sorted(float(z[0, i] @ z[v, i]) for v in range(1, len(z)))
        values.append(ordering(row, len(near), beta) if near else 0.0)
    return values


def ordering(scores, negatives, beta):
    """-mean log chance to end on the own side, of scores that start in rising order within each side."""
    n = len(scores)
    x, chance = list(scores), [[float(e == r) for r in range(n)] for e in range(n)]
    for layer in range(n):
        for a in range(layer % 2, n - 1, 2):
            keep = 0.5 + math.atan(beta * (x[a + 1] - x[a])) / math.pi
            x[a], x[a + 1] = keep * x[a] + (1 - keep) * x[a + 1], keep * x[a + 1] + (1 - keep) * x[a]
            for row in chance:
                row[a], row[a + 1] = keep * row[a] + (1 - keep) * row[a + 1], keep * row[a + 1] + (1 - keep) * row[a]
    top = [sum(row[negatives:]) for row in chance]
    return -sum(math.log(1 - p if e < negatives else p) for e, p in enumerate(top)) / n


@pytest.mark.parametrize("ids", [[0, 0, 0, 0, 1, 2], [0, 0, 1, 1, 2, 2], [5, 4, 3, 2, 1, 0], [0, 1, 1, 1, 1, 1]])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_groups_are_ordered_against_other_things_only(ids, k):
    """A row with fewer than k others has fewer; rows of its own id are none of them."""
    views = draw(THREE_VIEWS, 6, 4)
    values = L.GroCo(k, 2.0).rows(views, torch.tensor(ids))
    assert values.tolist() == pytest.approx(gro_co(views, ids, k, 2.0), rel=1e-9)


def test_one_thing_has_no_order():
    views = draw(THREE_VIEWS, 6, 4).requires_grad_()
    value = L.GroCo()(views, torch.zeros(6, dtype=torch.long))
    value.backward()
    assert value.item() == 0 and bool((views.grad == 0).all())
    assert L.GroCo()(views[:, :1]).item() == 0

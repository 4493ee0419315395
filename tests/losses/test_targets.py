"""Objectives of real targets, gates, banks."""

import math

import pytest
import torch

from gcl.losses import ConR, GatedContrast, InfoNCE, InterCLR, SupCon, SupReMix
from gcl.losses.functional import partition as module
from gcl.losses.targets import draw_around, draw_other, mixing_share
from tests.losses.reference import cosines, log_sum, mean, same
from tests.losses.test_energies import units

TARGETS = torch.tensor([1.0, 1.2, 2.0, 3.5, 1.1, 2.2, 5.0, 3.0, 2.0], dtype=torch.float64)


@pytest.fixture(params=[False, True], ids=["dense", "streamed"])
def streamed(request, monkeypatch):
    if request.param:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)


def naive_conr(z, t, guess, g, w, e, tau):
    s = cosines(z, z)
    rows = []
    for i in range(9):
        p = [j for j in range(9) if j != i and abs(t[i] - t[j]) <= w]
        n = [j for j in range(9) if abs(t[i] - t[j]) > w and abs(guess[i] - guess[j]) <= w]
        if not p:
            continue
        if not n:
            rows.append(0 * s[i, i])
            continue
        away = sum(g[i] * torch.exp(e * abs(t[i] - t[j])) * torch.exp(s[i, j] / tau) for j in n)
        total = sum(torch.exp(s[i, j] / tau) for j in p) + away
        rows.append(-g[i] * mean([torch.log(torch.exp(s[i, j] / tau) / total) for j in p]))
    return mean(rows)


def test_conr(views, streamed):
    guess = TARGETS.flip(0)
    g = torch.linspace(0.5, 2, 9, dtype=torch.float64)
    loss = ConR(0.3, 0.9, 0.2)
    same(
        lambda z: loss(z, TARGETS, predictions=guess, rarity=g),
        lambda z: naive_conr(z, TARGETS, guess, g, 0.9, 0.2, 0.3),
        views[0],
        rtol=1e-8,
    )


def test_conr_without_a_confused_pair_is_zero(views):
    """A masked similarity that is exponentiated would count every other row as exp(0)."""
    z = views[0].clone().requires_grad_()
    value = ConR()(z, TARGETS, predictions=TARGETS * 100)
    value.backward()
    assert value.item() == 0 and bool((z.grad == 0).all())


def test_conr_is_sup_con_where_all_that_is_far_is_negative(views):
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])
    torch.testing.assert_close(ConR(0.3, 0.0, 0.0)(views[0], labels), SupCon(0.3)(views[0], labels))


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


def naive_sup_remix(z, tau, magnify):
    s = cosines(z, z) / tau
    rows = []
    for i in range(9):
        p = [j for j in range(9) if j != i and TARGETS[j] == TARGETS[i]]
        if not p:
            continue
        weight = [(1 + abs(TARGETS[i] - TARGETS[j])).log() if magnify else 0.0 for j in range(9)]
        total = log_sum([s[i, j] + weight[j] for j in range(9) if j != i])
        rows.append(total - mean([s[i, j] for j in p]))
    return mean(rows)


@pytest.mark.parametrize("magnify", [False, True])
def test_sup_remix_without_mixtures(views, magnify, streamed):
    loss = SupReMix(0.3, mixtures=0, magnify=magnify)
    same(lambda z: loss(z, TARGETS), lambda z: naive_sup_remix(z, 0.3, magnify), views[0])
    if not magnify:
        torch.testing.assert_close(loss(views[0], TARGETS), SupCon(0.3)(views[0], TARGETS))


def test_sup_remix_mixtures(views):
    """Every row but the extreme ones gets positives, and mixtures are constants."""
    loss = SupReMix(0.3, mixtures=4)
    loss.generator = torch.Generator().manual_seed(0)
    z = views[0].clone().requires_grad_()
    rows = loss.rows(z, TARGETS)
    assert len(rows) == 7
    loss.generator = torch.Generator().manual_seed(0)
    x, t = units(views[0]), TARGETS
    plain, plain_valid = SupReMix(0.3, mixtures=0).compute(views[0], TARGETS)
    negative, exists = loss._negatives(x, t)
    positive, held = loss._positives(x, t)
    total = 0
    s = x @ x.T / 0.3 + (1 + (t[:, None] - t).abs()).log()
    values = []
    for i in range(9):
        pos = [x[i] @ x[j] / 0.3 for j in range(9) if j != i and t[j] == t[i]] + list(positive[i][held[i]])
        if not pos:
            continue
        everything = [s[i, j] for j in range(9) if j != i] + list(negative[i][exists[i]]) + list(positive[i][held[i]])
        values.append(log_sum(everything) - mean(pos))
    torch.testing.assert_close(rows.detach(), torch.stack(values))
    assert len(plain) == 9 and int(plain_valid.sum()) == 2 and total == 0


def test_gated_contrast_of_open_gates_is_sup_con(views):
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])
    loss = GatedContrast(4, mixed=0, temperature=0.3).build(9, 5).double()
    with torch.no_grad():
        loss.filter.weight.zero_()
        loss.filter.bias.fill_(50.0)
    torch.testing.assert_close(loss(views[0], labels), SupCon(0.3)(views[0], labels))


def test_gated_contrast_pairs(views):
    labels = torch.tensor([0, 1, 0, 0, 1, 0, 1, 1, 1])
    torch.manual_seed(0)
    loss = GatedContrast(2, mixed=1, temperature=0.3, sparsity=0.1).build(9, 5).double()
    gate = loss.gate(torch.tensor(0), torch.tensor(1))
    torch.testing.assert_close(gate, loss.gate(torch.tensor(1), torch.tensor(0)))
    extra = torch.tensor([*labels, 2])
    z = torch.cat([views[0], views[1][:1]])
    big = GatedContrast(3, mixed=0, temperature=0.3).build(9, 5).double()
    with torch.no_grad():
        big.filter.weight.copy_(loss.filter.weight)
        big.filter.bias.copy_(loss.filter.bias)
        big.embeddings.weight[:2] = loss.embeddings.weight
    value = big._pair(z, extra, torch.tensor(0), torch.tensor(1))
    g = gate.detach()
    s = cosines(g * z, g * z) / 0.3
    rows = [log_sum([s[i, j] for j in range(10) if j != i]) - mean([s[i, j] for j in range(9) if j != i])
            for i in range(9)]  # fmt: skip
    torch.testing.assert_close(value[0][value[1]], torch.stack(rows))
    loss(views[0], labels).backward()
    assert loss.embeddings.weight.grad.abs().sum() > 0


def test_inter_clr(views):
    loss = InterCLR(0.2, weight=1.0, negatives=3, pool=9).build(12, 5).double()
    ids = torch.arange(9)
    first = loss(views[0], views[1], ids)
    assert first.item() == 0, "no labels yet"
    torch.testing.assert_close(loss.bank[:9], units(views[0]))
    loss.eval()
    loss.labels[:9] = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4])
    bank = loss.bank.clone()
    x = units(views[1])
    rows = loss.rows(views[1], views[2], ids)
    assert rows[8].item() == 0, "alone in its cluster"
    friend = [1, 0, 3, 2, 5, 4, 7, 6]
    for i in range(8):
        near = sorted((j for j in range(9)), key=lambda j: -(x[i] @ bank[j]).item())
        others = [j for j in near if loss.labels[j] != loss.labels[i]]
        top = ((x[i] @ bank[friend[i]]) + 0.5) / 0.2
        low, high = (
            torch.nn.functional.softplus(torch.stack([x[i] @ bank[j] / 0.2 for j in chosen]).logsumexp(0) - top)
            for chosen in (others[-3:], others[:3])
        )
        assert low - 1e-9 <= rows[i] <= high + 1e-9
    mixed = InterCLR(0.2, weight=0.25).build(12, 5).double()(views[0], views[1], ids)
    torch.testing.assert_close(mixed, 0.75 * InfoNCE(0.2)(views[0], views[1]))


def test_inter_clr_check_value():
    """Positive 1, three negatives 0, margin -0.5: log(1 + 3 exp(-1.5 / 0.2))."""
    loss = InterCLR(0.2, weight=1.0, pool=10).build(5, 4).double().eval()
    loss.bank[:] = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 2, 3]]
    loss.labels[:] = torch.tensor([0, 0, 1, 2, 3])
    value = loss(loss.bank[:1].clone(), loss.bank[1:2].clone(), torch.tensor([0]))
    assert value.item() == pytest.approx(0.001658, abs=1e-6)
    assert value.item() == pytest.approx(math.log(1 + 3 * math.exp(-7.5)))


def test_inter_clr_clusters_by_itself(views):
    loss = InterCLR(0.2, clusters=3, every=2, negatives=3, pool=9).build(12, 5).double()
    ids = torch.arange(9)
    rows = [loss.rows(views[0], views[1], ids) for _ in range(3)]
    assert set(loss.labels[:9].tolist()) == {0, 1, 2} and bool((loss.labels[9:] == -1).all())
    torch.testing.assert_close(rows[0], rows[1])
    assert not torch.allclose(rows[1], rows[2])
    z = views[0].clone().requires_grad_()
    loss(z, views[1], ids).backward()
    assert z.grad.isfinite().all(), "the bank that the gradient needs is not the one that was written since"
    with pytest.raises(ValueError, match="clusters must be at least 1 and every at least 0, got 0, 50"):
        InterCLR(clusters=0)


def test_inter_clr_clusters_the_bank():
    loss = InterCLR().build(12, 3)
    loss.generator = torch.Generator().manual_seed(0)
    loss.bank[:9] = torch.eye(3).repeat(3, 1)
    labels = loss.recluster(3)
    assert bool((labels[9:] == -1).all()) and len(labels[:9].unique()) <= 3
    assert bool((labels[0:3] == labels[3:6]).all())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ConR(window=-1), "window must be at least 0, got -1"),
        (lambda: SupReMix(mixtures=-1), "mixtures >= 0, window > 0, law > 0 must hold, got -1"),
        (lambda: GatedContrast(0), "classes >= 1, mixed >= 0, width >= 1 must hold, got 0"),
        (lambda: InterCLR(weight=2), r"weight in \[0, 1\], negatives >= 1, pool >= 1 must hold, got 2"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_unbuilt(views):
    with pytest.raises(RuntimeError, match="GatedContrast has no filter yet"):
        GatedContrast()(views[0], torch.arange(9))
    with pytest.raises(RuntimeError, match="InterCLR has no bank yet"):
        InterCLR().recluster(2)

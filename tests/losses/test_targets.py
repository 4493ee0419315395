"""Objectives of real targets, gates, banks."""

import math

import pytest
import torch

from gcl.losses import ConR, GatedContrast, InfoNCE, InterCLR, SupCon
from tests.losses.reference import cosines, log_sum, mean, same, units

TARGETS = torch.tensor([1.0, 1.2, 2.0, 3.5, 1.1, 2.2, 5.0, 3.0, 2.0], dtype=torch.float64)


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


def test_gated_contrast_of_open_gates_is_sup_con(views):
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])
    loss = GatedContrast(4, mixed=0, temperature=0.3).build(9, 5).double()
    with torch.no_grad():
        loss.filter.weight.zero_()
        loss.filter.bias.fill_(50.0)
    torch.testing.assert_close(loss(views[0], labels), SupCon(0.3)(views[0], labels))


LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])
GATES = ("filter.weight", "filter.bias", "embeddings.weight")


def naive_gated(z, matrix, shift, classes, partners, sparsity):
    """Mean over the rows of all pairs (a, b): SupCon out in the space of g_ab, plus the weighted mean gate."""
    rows = []
    for a, b in partners:
        g = 1 / (1 + torch.exp(-(matrix @ (classes[a] * classes[b]) + shift)))
        s = cosines(g * z, g * z) / 0.3
        mine = [i for i in range(9) if LABELS[i] in (a, b)]
        for i in mine:
            others = [s[i, j] for j in mine if j != i]
            if others:
                total = log_sum([s[i, j] for j in range(9) if j != i])
                rows.append(total - mean(others) + sparsity * g.mean())
    return mean(rows)


@pytest.mark.parametrize("sparsity", [0.0, 0.7])
def test_gated_contrast(views, sparsity, monkeypatch):
    """Value, and gradient on rows, filter and class embeddings; the second other class of the batch is drawn."""
    monkeypatch.setattr("gcl.losses.gated.pick", lambda *_, generator: torch.tensor([1]))
    torch.manual_seed(0)
    loss = GatedContrast(4, mixed=1, temperature=0.3, width=3, sparsity=sparsity).build(9, 5).double()
    plain = [dict(loss.named_parameters())[name].detach() for name in GATES]
    partners = [(0, 0), (0, 2), (1, 1), (1, 2), (2, 2), (2, 1), (3, 3), (3, 1)]
    same(
        lambda z, *gates: torch.func.functional_call(loss, dict(zip(GATES, gates, strict=True)), (z, LABELS)),
        lambda z, *gates: naive_gated(z, *gates, partners, sparsity),
        views[0],
        *plain,
    )


def test_hard_gates(views):
    """Open or shut by the sign of the logit, moved by noise in training alone; the slope is that of the sigmoid."""
    torch.manual_seed(0)
    hard = GatedContrast(4, mixed=0, temperature=0.3, width=3, gate="hard").build(9, 5).double().eval()
    pair = torch.tensor(0), torch.tensor(2)
    logits = hard.filter(hard.embeddings(pair[0]) * hard.embeddings(pair[1])).detach()
    assert 0 < (logits > 0).sum() < 5
    assert torch.equal(hard.gate(*pair).detach(), (logits > 0).double())
    slope = torch.autograd.grad(hard.gate(*pair).sum(), hard.filter.bias)[0]
    torch.testing.assert_close(slope, torch.sigmoid(logits) * (1 - torch.sigmoid(logits)))
    hard.train()
    drawn = torch.stack([hard.gate(*pair).detach() for _ in range(4000)])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), torch.sigmoid(logits), atol=0.03, rtol=0)
    hard.generator = torch.Generator().manual_seed(5)
    first = hard.gate(*pair)
    hard.generator = torch.Generator().manual_seed(5)
    assert torch.equal(first, hard.gate(*pair))
    labels = LABELS
    chosen = {(int(a), int(b)): hard.eval().gate(a, b).detach() for a in labels for b in labels}

    def naive(z):
        rows = []
        for a in range(4):
            s = cosines(chosen[a, a] * z + 1e-30, chosen[a, a] * z + 1e-30) / 0.3
            mine = [i for i in range(9) if labels[i] == a]
            for i in mine:
                others = [s[i, j] for j in mine if j != i]
                if others:
                    rows.append(log_sum([s[i, j] for j in range(9) if j != i]) - mean(others))
        return mean(rows)

    torch.testing.assert_close(hard(views[0], labels), naive(views[0]), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="gate must be soft or hard, got 'open'"):
        GatedContrast(gate="open")


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

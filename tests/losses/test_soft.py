"""Objectives with soft targets."""

import math

import pytest
import torch

from gcl.losses import CLAIF, CWCL, CLIPLoss, ICon, InfoNCE, SupCon
from tests.losses.reference import cosines, mean, same


def cross_entropy(scores, q):
    return mean([-(q[i] * scores[i].log_softmax(0)).sum() for i in range(len(scores))])


def test_cwcl(views, streamed):
    teacher = views[2]
    w = (cosines(teacher, teacher) + 1) / 2
    q = w / w.sum(1, keepdim=True)

    def naive(a, b):
        s = cosines(a, b) / 0.3
        return cross_entropy(s, q) + torch.nn.functional.cross_entropy(s.T, torch.arange(9))

    same(lambda a, b: CWCL(0.3)(a, b, teacher=teacher), naive, views[0], views[1], rtol=1e-7)
    entropy = -(q * q.log()).sum(1).mean()
    assert CWCL(0.3, reverse=False)(views[0], views[1], teacher=teacher) >= entropy


def test_cwcl_check_value_and_relation(eye, views):
    assert CWCL(0.5, reverse=False)(eye, eye).item() == pytest.approx(1.540753, abs=1e-6)
    opposite = torch.cat([torch.eye(2), -torch.eye(2)]).double()[[0, 2]]
    one_hot = CWCL(0.5)(views[0][:2], views[1][:2], teacher=opposite)
    torch.testing.assert_close(one_hot, 2 * CLIPLoss(0.5)(views[0][:2], views[1][:2]))


@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 3, 4, 5, 5, 6]])
def test_claif(views, ids, streamed):
    grade = torch.linspace(0.1, 1, 9, dtype=torch.float64)
    key = list(range(9)) if ids is None else ids

    def naive(a, b):
        s = cosines(a, b) / 0.3
        rows = []
        for i in range(9):
            others = [j for j in range(9) if key[j] != key[i]]
            logs = s[i][[i, *others]].log_softmax(0)
            rows.append(-(grade[i] * logs[0] + (1 - grade[i]) * logs[1:].mean()))
        return mean(rows)

    tensor = None if ids is None else torch.tensor(ids)
    same(lambda a, b: CLAIF(0.3)(a, b, tensor, scores=grade), naive, views[0], views[1])
    torch.testing.assert_close(CLAIF(0.3)(views[0], views[1]), InfoNCE(0.3)(views[0], views[1]))
    ones = CLAIF(0.3)(views[0], views[1], scores=torch.ones(9))
    torch.testing.assert_close(ones, InfoNCE(0.3)(views[0], views[1]))


def naive_icon(s, p, kind, alpha, mix):
    rows = []
    for i in range(len(s)):
        q = s[i].softmax(0)
        n = len(q)
        pi = (1 - alpha) * p[i] + alpha / n
        q = (1 - alpha) * q + alpha / n if mix else q
        forward = sum(pi[j] * (pi[j].log() - q[j].log()) for j in range(n) if pi[j] > 0)
        back = sum(q[j] * (q[j].log() - pi[j].log()) for j in range(n))
        m = (pi + q) / 2
        js = sum((pi[j] * (pi[j] / m[j]).log() if pi[j] > 0 else 0) + q[j] * (q[j] / m[j]).log() for j in range(n)) / 2
        entropy = -sum(pi[j] * pi[j].log() for j in range(n) if pi[j] > 0)
        rows.append({"kl": forward, "reverse": back, "jeffreys": (forward + back) / 2, "js": js,
                     "cross_entropy": forward + entropy}[kind])  # fmt: skip
    return mean(rows)


@pytest.mark.parametrize("kind", ["kl", "reverse", "jeffreys", "js", "cross_entropy"])
@pytest.mark.parametrize(("alpha", "mix"), [(0.0, False), (0.3, False), (0.3, True)])
def test_icon(views, kind, alpha, mix, streamed):
    p = torch.rand(9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.05
    shares = p / p.sum(1, keepdim=True)
    loss = ICon(0.4, alpha=alpha, divergence=kind, mix_learned=mix)
    same(
        lambda a, b: loss(a, b, targets=p),
        lambda a, b: naive_icon(cosines(a, b) / 0.4, shares, kind, alpha, mix),
        views[0],
        views[1],
        rtol=1e-7,
    )


def test_icon_check_value(eye):
    value = ICon(0.5, alpha=0.2, divergence="cross_entropy")(eye, eye)
    assert value.item() == pytest.approx(0.640753, abs=1e-6)


def test_icon_relations(views):
    z = views[0]
    torch.testing.assert_close(ICon(0.2)(views[0], views[1]), InfoNCE(0.2)(views[0], views[1]))
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 2, 2, 1])
    uniform = (labels[:, None] == labels).double()
    torch.testing.assert_close(
        ICon(0.2, own=True, divergence="cross_entropy")(z, z, targets=uniform), SupCon(0.2)(z, labels)
    )
    q = (cosines(views[0], views[1]) / 0.2).softmax(1)
    for kind in ("kl", "reverse", "js", "jeffreys"):
        assert ICon(0.2, divergence=kind)(views[0], views[1], targets=q).item() == pytest.approx(0.0, abs=1e-12)
    flat = ICon(0.2, alpha=1.0)(torch.ones(4, 3).double(), torch.ones(4, 3).double())
    assert flat.item() == pytest.approx(0.0, abs=1e-12)


def test_icon_neighbourhoods(views):
    """Gaussian and Student-t neighbourhoods are those of SNE and t-SNE."""
    z = views[0]
    d2 = torch.cdist(z, z).square()
    p = torch.rand(9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    off = ~torch.eye(9, dtype=torch.bool)
    shares = (p * off) / (p * off).sum(1, keepdim=True)
    for similarity, tau, weights in (("square_euclidean", 0.5, torch.exp(-d2 / 0.5)), ("student", 1.0, 1 / (1 + d2))):
        q = weights * off / (weights * off).sum(1, keepdim=True)
        expected = (shares * (shares / q).log().nan_to_num(0, 0, 0)).sum(1).mean()
        torch.testing.assert_close(ICon(tau, similarity, own=True)(z, z, targets=p), expected)
    chance = z.softmax(1)
    through = chance @ (chance / chance.sum(0)).T
    value = ICon(1.0, "clusters", divergence="cross_entropy")(z, z)
    torch.testing.assert_close(value, -through.diagonal().log().mean())


def test_rows_without_targets_do_not_count(views):
    p = torch.ones(9, 9, dtype=torch.float64)
    p[3] = 0
    assert len(ICon(0.2).rows(views[0], views[1], targets=p)) == 8


def test_errors():
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\], got 2"):
        ICon(alpha=2)
    with pytest.raises(ValueError, match="divergence must be one of kl, reverse, jeffreys, js, cross_entropy, got 'x'"):
        ICon(divergence="x")
    with pytest.raises(ValueError, match="df and gamma must be positive"):
        ICon(similarity={"name": "student", "df": 0})
    assert math.isclose(ICon()(torch.eye(2), torch.eye(2)).item(), math.log(1 + math.exp(-5)), rel_tol=1e-5)


@pytest.mark.parametrize("own", [False, True])
def test_sparse_targets_are_dense_ones(views, own, streamed):
    """Edges of a graph as supervision; row 3 has none, and an edge given twice counts twice."""
    row = torch.tensor([0, 0, 1, 2, 2, 4, 5, 6, 7, 8, 8])
    column = torch.tensor([1, 2, 1, 0, 0, 7, 8, 6, 2, 0, 3])
    value = torch.linspace(0.5, 2, 11, dtype=torch.float64)
    dense = torch.zeros(9, 9, dtype=torch.float64).index_put((row, column), value, accumulate=True)
    coo = torch.sparse_coo_tensor(torch.stack([row, column]), value, (9, 9))
    loss = ICon(0.3, own=own, alpha=0.2)
    z1, z2 = (views[0], views[0]) if own else views[:2]
    for given in (coo, coo.coalesce().to_sparse_csr()):
        same(lambda a, b: loss(a, b, targets=given), lambda a, b: loss(a, b, targets=dense), z1, z2)  # noqa: B023
    assert len(loss.rows(z1, z2, targets=coo)) == (6 if own else 8)


def test_targets_of_another_shape(views):
    with pytest.raises(ValueError, match=r"targets must be \[9, 9\], got \[9, 4\]"):
        ICon()(views[0], views[1], targets=torch.ones(9, 4))

"""Metric learning and soft sorting."""

import math

import pytest
import torch

from gcl.losses import SCOREQ, Circle, GroCo, MultiSimilarity, Triplet
from gcl.losses.sorting import soft_sort
from tests.losses.reference import cosines, log_sum, mean, same

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])


pytestmark = pytest.mark.usefixtures("streamed")


def matrix(z, kind):
    if kind == "cosine":
        return 1 - cosines(z, z)
    d = torch.stack([torch.stack([(a - b).square().sum() for b in z]) for a in z])
    return d if kind == "square" else d.clamp_min(1e-12).sqrt()


def naive_triplet(z, margin, kind, mining, soft, active):
    d = matrix(z, kind)
    price = (lambda x: torch.log(1 + torch.exp(x))) if soft else (lambda x: x.clamp_min(0))
    rows = []
    for i in range(len(z)):
        p = [j for j in range(len(z)) if j != i and LABELS[j] == LABELS[i]]
        n = [j for j in range(len(z)) if LABELS[j] != LABELS[i]]
        if mining == "all":
            values = [price(d[i, a] - d[i, b] + margin) for a in p for b in n]
        elif mining == "hard":
            values = [price(max(d[i, a] for a in p) - min(d[i, b] for b in n) + margin)] if p and n else []
        else:
            values = []
            for a in p:
                beyond = [d[i, b] for b in n if d[i, b] > d[i, a]]
                chosen = min(beyond) if beyond else max(d[i, b] for b in n)
                values.append(price(d[i, a] - chosen + margin))
        values = [v for v in values if v > 0] if active else values
        rows += [mean(values)] if values else []
    return mean(rows)


@pytest.mark.parametrize("kind", ["euclidean", "square", "cosine"])
@pytest.mark.parametrize(
    ("mining", "soft"), [("all", False), ("hard", False), ("hard", True), ("semi_hard", False), ("semi_hard", True)]
)
@pytest.mark.parametrize("active", [False, True])
def test_triplet(views, kind, mining, soft, active):
    loss = Triplet(0.3, kind, mining, soft, active)
    same(
        lambda z: loss(z, LABELS),
        lambda z: naive_triplet(z, 0.3, kind, mining, soft, active),
        views[0],
        rtol=1e-6,
        atol=1e-8,
    )


def naive_drawn(z, margin, active):
    d, dim = matrix(z, "cosine"), z.shape[1]
    rows = []
    for i in range(len(z)):
        p = [j for j in range(len(z)) if j != i and LABELS[j] == LABELS[i]]
        n = [j for j in range(len(z)) if LABELS[j] != LABELS[i]]
        r = [max(2 * d[i, b].item(), 0.25) ** 0.5 for b in n]
        odds = [1 / (x ** (dim - 2) * (1 - x * x / 4) ** ((dim - 3) / 2)) for x in r]
        values = [
            sum(o * (d[i, a] - d[i, b] + margin).clamp_min(0) for o, b in zip(odds, n, strict=True)) / sum(odds)
            for a in p
        ]
        values = [v for v in values if v > 0] if active else values
        rows += [mean(values)] if values else []
    return mean(rows)


@pytest.mark.parametrize("active", [False, True])
def test_negatives_drawn_by_distance(views, active):
    loss = Triplet(0.3, "cosine", "distance", active=active)
    same(lambda z: loss(z, LABELS), lambda z: naive_drawn(z, 0.3, active), views[0], rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="mining=distance is for distance=cosine, got 'square'"):
        Triplet(distance="square", mining="distance")


def test_triplet_check_values(classes):
    z, labels = classes
    for mining in ("all", "hard", "semi_hard"):
        assert Triplet(2.5, "square", mining)(z, labels).item() == pytest.approx(0.5)
        assert Triplet(0.3, "square", mining)(torch.ones_like(z), labels).item() == pytest.approx(0.3)


def naive_circle(z, m, g, weighted=True):
    s = cosines(z, z)
    rows = []
    for i in range(9):
        p = [s[i, j] for j in range(9) if j != i and LABELS[j] == LABELS[i]]
        n = [s[i, j] for j in range(9) if LABELS[j] != LABELS[i]]
        if not p or not n:
            continue
        pull = [-g * (1 + m - x.detach()).clamp_min(0) * (x - 1 + m) for x in p]
        push = [g * (x.detach() + m).clamp_min(0) * (x - m) for x in n]
        total = log_sum(pull) + log_sum(push)
        rows.append(torch.nn.functional.softplus(total, threshold=100))
    return mean(rows)


@pytest.mark.parametrize(("m", "g"), [(0.25, 1.0), (0.25, 256.0), (0.4, 80.0)])
def test_circle(views, m, g):
    loss = Circle(m, g)
    same(lambda z: loss(z, LABELS), lambda z: naive_circle(z, m, g), views[0], rtol=1e-7)


def test_circle_check_values():
    z = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 2, 3]]
    labels = torch.tensor([0, 0, 1, 2, 3])
    assert Circle(0.25, 1.0).rows(z, labels)[0].item() == pytest.approx(1.294039, abs=1e-6)
    assert Circle(0.25, 1.0).rows(torch.ones_like(z), labels)[0].item() == pytest.approx(2.103723, abs=1e-6)


def test_multi_similarity(views):
    levels = (LABELS > 1).long()[None]

    def naive(z):
        s = cosines(z, z)
        rows = []
        for i in range(9):
            total = 0
            for label, t in ((LABELS, 0.5), (levels[0], 0.2)):
                p = sum(torch.exp(-2 * (s[i, j] - t)) for j in range(9) if j != i and label[j] == label[i])
                n = sum(torch.exp(10 * (s[i, j] - t)) for j in range(9) if label[j] != label[i])
                total = total + torch.log(1 + p + 0 * s[i, i]) / 2 + torch.log(1 + n + 0 * s[i, i]) / 10
            rows.append(total)
        return mean(rows)

    loss = MultiSimilarity((0.5, 0.2), beta=10.0)
    same(lambda z: loss(z, LABELS, levels=levels), naive, views[0])
    z = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 2, 3]]
    value = MultiSimilarity().rows(z, torch.tensor([0, 0, 1, 2, 3]))[0]
    assert value.item() == pytest.approx(0.156631, abs=1e-6)


def test_scoreq(views):
    targets = torch.tensor([1.0, 1.2, 2.0, 3.5, 1.1, 2.2, 5.0, 3.0, 2.0])

    def naive(z):
        u = z / z.norm(dim=1, keepdim=True)
        d = matrix(u, "euclidean")
        rows = []
        for a in range(9):
            values = []
            for p in range(9):
                for n in range(9):
                    near, far = (targets[a] - targets[p]).abs().item(), (targets[a] - targets[n]).abs().item()
                    if a not in (p, n) and near < far:
                        values.append((d[a, p] - d[a, n] + (far - near) / 4.0).clamp_min(0))
            rows += [mean(values)] if values else []
        return mean(rows)

    same(lambda z: SCOREQ()(z, targets), naive, views[0], rtol=1e-6, atol=1e-8)
    assert SCOREQ().rows(views[0], torch.ones(9)).numel() == 0


def test_soft_sort_is_doubly_stochastic_and_sorts():
    x = torch.tensor([[3.0, 1.0, 2.0, -1.0, 0.5]], dtype=torch.float64)
    soft = soft_sort(x, 1.0)
    torch.testing.assert_close(soft.sum(1), torch.ones(1, 5, dtype=torch.float64))
    torch.testing.assert_close(soft.sum(2), torch.ones(1, 5, dtype=torch.float64))
    hard = soft_sort(x, 1e6)
    torch.testing.assert_close(hard[0].argmax(1), torch.tensor([4, 2, 3, 0, 1]))
    torch.testing.assert_close(soft_sort(x[:, [1, 0, 2, 3, 4]], 1e6)[0].argmax(1), torch.tensor([2, 4, 3, 0, 1]))


def pair_of(positive, negative):
    """Two things whose only negative has the given cosine, and positives of the given cosine."""
    turn = lambda c: torch.tensor([c, math.sqrt(1 - c * c)])  # noqa: E731
    first = torch.stack([torch.tensor([1.0, 0.0]), turn(negative)])
    angle = math.acos(negative) + math.acos(positive)
    second = torch.stack([turn(positive), torch.tensor([math.cos(angle), math.sin(angle)])])
    return torch.stack([first, second]).double()


def test_gro_co_check_values():
    equal = pair_of(0.5, 0.5)
    assert GroCo(1).rows(equal)[0].item() == pytest.approx(0.693147, abs=1e-6)
    apart = pair_of(1.0, 0.0)
    assert GroCo(1).rows(apart)[0].item() == pytest.approx(0.287682, abs=1e-6)
    assert GroCo(1, beta=1e9).rows(apart)[0].item() == pytest.approx(0.0, abs=1e-6)


def test_gro_co_candidates_are_constants_and_negatives_the_closest(views):
    cube = torch.stack(views).requires_grad_()
    loss = GroCo(3)
    loss(cube).backward()
    assert bool((cube.grad[1:] == 0).all()) and cube.grad[0].abs().sum() > 0
    moved = torch.stack(views)
    s = cosines(views[0], views[0])
    s.fill_diagonal_(-2)
    far = s[0].argsort()[1:4]
    assert not bool(torch.isin(far, s[0].topk(3).indices).any())
    swapped = moved.clone()
    swapped[0, far[0]] = -moved[0, 0]
    torch.testing.assert_close(loss.rows(swapped)[0], loss.rows(moved)[0])


def test_gro_co_hides_rows_of_the_own_id(views):
    cube = torch.stack(views)
    ids = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7])
    keep = torch.tensor([0, 2, 3, 4, 5, 6, 7, 8])
    torch.testing.assert_close(GroCo(3).rows(cube, ids)[0], GroCo(3).rows(cube.index_select(1, keep))[0])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Triplet(distance="x"), "distance must be euclidean, square or cosine, got 'x'"),
        (lambda: Triplet(mining="x"), "mining must be all, hard, semi_hard or distance, got 'x'"),
        (lambda: Triplet(soft=True), "mining=all is a hinge"),
        (lambda: Circle(scale=0), "scale must be a positive number"),
        (lambda: MultiSimilarity((0.5, 0.3))(torch.eye(3), torch.arange(3)), "one a level, 1, got 2"),
        (lambda: GroCo(0), "negatives must be at least 1 and beta positive, got 0"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()

"""Objectives over many views, relation by relation, and reduced otherwise."""

import pytest
import torch

from gcl.losses import (
    BPR,
    BarlowTwins,
    InfoNCE,
    MoCo,
    MVInfoNCE,
    NTXent,
    OverViews,
    PerRelation,
    PolyView,
    Reduced,
    RelationContrast,
    SCoRe,
    Sum,
    SupCon,
    Triplet,
)
from gcl.testing import check_objective
from tests.losses.reference import queue_of, same, units

WHICH = torch.tensor([0, 2, 0, 1, 2, 2, 0, 0, 2])
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 3])


@pytest.fixture
def cube(views):
    return torch.stack(views)


def test_pairs_of_views(cube):
    one, ids = InfoNCE(0.3), torch.tensor([0, 1, 1, 2, 3, 4, 5, 6, 6])
    rest = [sum(units(cube[m]) for m in range(3) if m != v) / 2 for v in range(3)]
    expected = {
        "unordered": [(cube[0], cube[1]), (cube[0], cube[2]), (cube[1], cube[2])],
        "ordered": [(cube[a], cube[b]) for a in range(3) for b in range(3) if a != b],
        "star": [(cube[0], cube[1]), (cube[0], cube[2])],
        "rest": list(zip(cube, rest, strict=True)),
    }
    for pairs, shown in expected.items():
        loss = OverViews({"name": "InfoNCE", "temperature": 0.3}, pairs)
        torch.testing.assert_close(loss(cube), sum(one(a, b) for a, b in shown) / len(shown))
        torch.testing.assert_close(loss(cube, ids), sum(one(a, b, ids) for a, b in shown) / len(shown))
        assert loss.describe()["views"] == f"{pairs} pairs of views, averaged"
    assert OverViews(NTXent(0.3))(cube).item() != pytest.approx(MVInfoNCE(0.3)(cube).item())
    torch.testing.assert_close(OverViews(NTXent(0.3))(cube[:2]), PolyView(0.3)(cube[:2]))


def test_every_relation_by_itself(views):
    one, z1, z2 = InfoNCE(0.3), *views[:2]
    ids = torch.tensor([7, 1, 7, 2, 3, 1, 5, 6, 4])
    parts = [one(z1[r == WHICH], z2[r == WHICH], ids[r == WHICH]) for r in range(3)]
    even = PerRelation(one, 3)(z1, z2, ids, relations=WHICH)
    torch.testing.assert_close(even, sum(p * (r == WHICH).sum() / 9 for r, p in enumerate(parts)))
    heavy = PerRelation(one, 4, [1.0, 0.0, 0.5, 9.0])(z1, z2, ids, relations=WHICH)
    torch.testing.assert_close(heavy, parts[0] + 0.5 * parts[2])
    torch.testing.assert_close(PerRelation(one, 3)(z1, z2, ids), one(z1, z2, ids))
    further = PerRelation(one, 3)(z1[:5], z2, relations=WHICH[:5])
    rows = [torch.cat([(WHICH[:5] == r).nonzero()[:, 0], torch.arange(5, 9)]) for r in range(3)]
    expected = sum(one(z1[:5][WHICH[:5] == r], z2[rows[r]]) * (WHICH[:5] == r).sum() / 5 for r in range(3))
    torch.testing.assert_close(further, expected)


def test_options_of_rows_go_with_their_rows(views):
    z1, z2, log_q = *views[:2], torch.linspace(-3, -1, 9)
    one, named = InfoNCE(0.3), RelationContrast("labels", temperature=0.3)
    for rows in (9, 5):
        at = [torch.cat([(WHICH[:rows] == r).nonzero()[:, 0], torch.arange(rows, 9)]) for r in range(3)]
        shares = [(WHICH[:rows] == r).sum() / rows for r in range(3)]
        mine = [a[a < rows] for a in at]
        found = PerRelation(one, 3)(z1[:rows], z2, relations=WHICH[:rows], log_q=log_q)
        expected = [one(z1[m], z2[a], log_q=log_q[a]) for m, a in zip(mine, at, strict=True)]
        torch.testing.assert_close(found, sum(s * v for s, v in zip(shares, expected, strict=True)))
        found = PerRelation(named, 3)(z1[:rows], z2, relations=WHICH[:rows], labels=LABELS)
        expected = [named(z1[m], z2[a], labels=LABELS[a]) for m, a in zip(mine, at, strict=True)]
        torch.testing.assert_close(found, sum(s * v for s, v in zip(shares, expected, strict=True)))
    weighed, weights = Reduced(one, "weights"), torch.linspace(0, 1, 5)
    found = PerRelation(weighed, 2)(z1[:5], z2, relations=WHICH[:5].clamp_max(1), weights=weights)
    at = [torch.cat([(WHICH[:5].clamp_max(1) == r).nonzero()[:, 0], torch.arange(5, 9)]) for r in range(2)]
    parts = [weighed(z1[a[a < 5]], z2[a], weights=weights[a[a < 5]]) * (a < 5).sum() / 5 for a in at]
    torch.testing.assert_close(found, parts[0] + parts[1])


def test_a_table_of_temperatures(views):
    loss = PerRelation({"name": "InfoNCE", "temperature": "learnable"}, 3, separate=True).double()
    scales = [p for name, p in loss.named_parameters() if "log_scale" in name]
    assert len(scales) == 3
    loss(*views[:2], relations=torch.full((9,), 1)).backward()
    assert [p.grad is not None and bool(p.grad != 0) for p in scales] == [False, True, False]
    queues = PerRelation(MoCo(0.3, size=20), 3, separate=True).build(9, 5).double()
    queues(*views[:2], relations=WHICH)
    assert [int(queue_of(m).written) for m in queues.members] == [4, 1, 4]
    assert len(PerRelation({"name": "InfoNCE", "temperature": "learnable"}, 3).members) == 1


def test_reductions(views):
    z1, z2 = views[:2]
    rows = InfoNCE(0.3).rows(z1, z2)
    torch.testing.assert_close(Reduced(InfoNCE(0.3), "sum")(z1, z2), rows.sum())
    for share, count in ((1.0, 9), (0.5, 5), (0.01, 1)):
        hard = Reduced(InfoNCE(0.3), "hardest", share=share)
        same(hard, lambda a, b: InfoNCE(0.3).rows(a, b).sort().values[9 - count :].mean(), z1, z2)  # noqa: B023
    weights = torch.linspace(0, 2, 9, dtype=torch.float64)
    weighed = Reduced(InfoNCE(0.3), "weights")
    torch.testing.assert_close(weighed(z1, z2, weights=weights), (weights * rows).sum() / weights.sum())
    assert weighed(z1, z2, weights=torch.zeros(9)).item() == 0
    hinged = Reduced(PairHinge(), "nonzero")
    values = PairHinge().rows(z1, z2)
    assert 0 < (values > 0).sum() < 9
    torch.testing.assert_close(hinged(z1, z2), values[values > 0].mean())
    assert Reduced(PairHinge(), "nonzero")(z1, z1).item() == 0


def test_classes_count_alike(views):
    loss = Reduced(SupCon(0.3), "classes")
    values, valid = SupCon(0.3).compute(views[0], LABELS)
    assert valid.tolist() == [True] * 8 + [False]
    expected = sum(values[label == LABELS].mean() for label in range(3)) / 3
    torch.testing.assert_close(loss(views[0], LABELS), expected)
    assert loss.describe()["reduction"] == "classes"


def test_reduced_of_every_kind(views):
    assert Reduced(BPR()).kind == "ranking"
    scores = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(
        Reduced(BPR(), "sum")(scores[:, 0], scores[:, 1:]), BPR().rows(scores[:, 0], scores[:, 1:]).sum()
    )
    torch.testing.assert_close(Reduced("Triplet", "sum")(views[0], LABELS), Triplet().rows(views[0], LABELS).sum())


def test_what_is_not_reduced_by_is_the_objectives(views):
    scores, weights = views[0][:, 0], torch.linspace(-1, 1, 9)
    found = Reduced(BPR(), "sum")(scores, views[1], weights=weights)
    torch.testing.assert_close(found, BPR().rows(scores, views[1], weights=weights).sum())
    with pytest.raises(TypeError, match="weights"):
        Reduced("InfoNCE", "sum")(*views[:2], weights=weights)
    loss = Reduced(SupCon(0.3), "classes")
    torch.testing.assert_close(loss(views[0], labels=LABELS), loss(views[0], LABELS))


def test_the_hardest_share_is_counted_exactly():
    rows = torch.arange(100.0)[:, None] / 99
    for share, count in ((0.6, 25), (0.3, 50), (0.36, 75), (0.7, 10), (0.07, 100), (0.51, 50)):
        wanted = -(-round(share * 100) * count // 100)
        found = Reduced(BPR(), "hardest", share)(torch.zeros(count), rows[:count])
        torch.testing.assert_close(found, BPR().rows(torch.zeros(count), rows[:count])[-wanted:].mean())


def test_the_number_of_tensors_is_that_of_the_objective():
    three = tuple(torch.randn(4, 6) for _ in range(3))
    for loss in (Reduced("Farcon"), Sum(["Farcon"])):
        with pytest.raises(ValueError, match="takes a tuple of 4 tensors, got 3"):
            loss(three)
        assert loss((*three, three[0])).isfinite()


def test_the_wrapped_conform():
    check_objective(lambda: OverViews("InfoNCE", "rest"))
    check_objective(lambda: PerRelation("InfoNCE", 2, separate=True))
    check_objective(lambda: Reduced("SupCon", "classes"), smooth=False)


class PairHinge(InfoNCE):
    """Price of a negative above the positive."""

    def compute(self, z1, z2, ids=None, log_q=None):
        values, valid = super().compute(z1, z2, ids, log_q)
        return (values - 2).clamp_min(0.0), valid


def test_errors(views):
    z1, z2 = views[:2]
    cases = [
        (lambda: OverViews(pairs="all"), "pairs must be unordered, ordered, star or rest, got 'all'"),
        (lambda: OverViews("MoCo"), "objective is called once a pair of views"),
        (lambda: OverViews("SupCon"), "objective must be of kind pair, got one of kind labelled"),
        (lambda: PerRelation(relations=0), "relations must be at least 1, got 0"),
        (lambda: PerRelation(relations=2, weights=[1.0]), "weights must be one a relation, 2, got 1"),
        (lambda: PerRelation("MoCo", 2), "objective is called once a relation"),
        (lambda: PerRelation("SupCon", 2, separate=True), "objective must be of kind pair, got one of kind labelled"),
        (lambda: PerRelation(relations=2)(z1, z2, relations=WHICH), r"relations must be in 0 .. 1.*got 0 to 2"),
        (lambda: PerRelation(relations=3)(z1[:4], z2, relations=WHICH), r"relations must be \[4\], one relation a row"),
        (lambda: Reduced(by="max"), "by must be sum, nonzero, hardest, classes or weights, got 'max'"),
        (lambda: Reduced(share=0), r"share must be in \(0, 1\], got 0"),
        (lambda: Reduced(by="classes"), "by='classes' needs an objective of kind labelled, got one of kind pair"),
        (lambda: Reduced(by="weights")(z1, z2), "weights must be given with by='weights', got None"),
        (
            lambda: Reduced(by="weights")(z1, z2, weights=torch.ones(3)),
            r"weights must be \[9\], one weight a val",
        ),
        (lambda: Reduced(by="weights")(z1, z2, weights=-torch.ones(9)), "weights must be finite and at least 0"),
        (lambda: Reduced(SCoRe(), "classes")(z1, LABELS), "by='classes' needs one value a row, SCoRe gives 1 of 9"),
    ]
    for make, words in cases:
        with pytest.raises(ValueError, match=words):
            make()
    assert OverViews(Sum(["InfoNCE", "SigLIP"])).kind == "multiview"
    assert not PerRelation(BarlowTwins()).extra

"""Relations, and the contrast against the positives of one."""

import math

import pytest
import torch

from gcl.errors import InputError
from gcl.losses import WSP, PolyView, RelationContrast
from gcl.losses.slots import Overlap, Teacher
from gcl.testing import check_objective
from tests.losses.reference import cosines, log_sum, mean, same

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1, 1, 4, 0])
IDS = torch.tensor([3, 8, 5, 5, 1, 0, 9, 2, 4, 8, 7, 3])
PLACES = torch.linspace(0, 4, 12).square()
TAGS = torch.randint(0, 2, (12, 4), generator=torch.Generator().manual_seed(1))
MODEL = torch.randn(12, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
OPTIONS = {"labels": LABELS, "positions": PLACES, "tags": TAGS, "teacher": MODEL}


def weight_of(name, i, j):
    if name == "labels":
        return float(LABELS[i] == LABELS[j])
    if name == "nearness":
        return math.exp(-abs(float(PLACES[i] - PLACES[j])) / 2.0)
    if name == "teacher":
        return (float(cosines(MODEL, MODEL)[i, j]) + 1) / 2
    either = int((TAGS[i] | TAGS[j]).sum())
    return int((TAGS[i] & TAGS[j]).sum()) / either if either else 0.0


PARTS = {"nearness": {"name": "nearness", "kernel": "laplacian", "sigma": 2.0}}
CASES = [["labels"], ["overlap"], ["teacher"], ["labels", "nearness"], ["overlap", "nearness", "teacher"]]


def naive(a, b, names, denominator, positives, own, ids):
    """Loops over rows and columns, every share by itself."""
    s, values = cosines(a, b) / 0.4, []
    for i in range(len(a)):
        shown = [j for j in range(len(b)) if not (own and i == j)]
        w = {j: math.prod(weight_of(n, i, j) for n in names) for j in shown}
        shown = [j for j in shown if w[j] > 0 or ids is None or ids[i] != ids[j]]
        good, bad = [j for j in shown if w[j] > 0], [j for j in shown if w[j] == 0]
        total = sum(w[j] for j in good)
        if not good or (denominator == "negatives" and not bad):
            continue

        def gain(j):
            over = {"all": shown, "negatives": bad, "self": [*bad, j]}[denominator]  # noqa: B023
            return s[i, j] - log_sum([s[i, k] for k in over])  # noqa: B023

        if positives == "mean":
            values.append(-sum(w[j] / total * gain(j) for j in good))
        else:
            values.append(-log_sum([gain(j) + math.log(w[j] / total) for j in good]))
    return mean(values) if values else 0 * (a.sum() + b.sum())


@pytest.mark.parametrize("names", CASES, ids="*".join)
@pytest.mark.parametrize("denominator", ["all", "negatives", "self"])
@pytest.mark.parametrize("positives", ["mean", "average"])
def test_the_formula(names, denominator, positives, streamed):
    read = {{"nearness": "positions", "overlap": "tags"}.get(n, n) for n in names}
    options = {o: OPTIONS[o] for o in read}
    relation = [PARTS.get(n, n) for n in names]
    draw = torch.Generator().manual_seed(3)
    a, b = (torch.randn(n, 5, generator=draw, dtype=torch.float64) for n in (9, 12))
    for own, ids in ((False, None), (False, IDS), (True, None), (True, IDS)):
        loss = RelationContrast(relation, temperature=0.4, denominator=denominator, positives=positives, own=own)
        first = b if own else a
        same(
            lambda x, y: loss(x, y, ids, **options),  # noqa: B023
            lambda x, y: naive(x, y, names, denominator, positives, own, ids),  # noqa: B023
            first, b, rtol=1e-7, atol=1e-8,
        )  # fmt: skip


def test_positives_that_do_not_compete_are_poly_view(views):
    """The denominator of one positive and the negatives, for several positives: all views of a thing, stacked."""
    stack = torch.cat(views)
    who = torch.arange(9).repeat(3)
    for positives, aggregate in (("mean", "geometric"), ("average", "arithmetic")):
        loss = RelationContrast("labels", temperature=0.3, denominator="self", positives=positives, own=True)
        torch.testing.assert_close(loss(stack, stack, labels=who), PolyView(0.3, aggregate)(torch.stack(views)))


def test_several_columns_of_a_thing_are_all_its_positives(views):
    ids = torch.tensor([4, 1, 1, 0, 7, 5, 9, 2, 3])
    loss = RelationContrast(temperature=0.4)
    torch.testing.assert_close(loss(*views[:2], ids), loss(*views[:2], labels=ids))
    assert loss(*views[:2], ids).item() != pytest.approx(loss(*views[:2]).item())


def test_a_row_without_positives_does_not_count(views):
    loss = RelationContrast("overlap", own=True)
    tags = torch.zeros(9, 3)
    tags[:2, 1] = 1
    assert len(loss.rows(views[0], views[0], tags=tags)) == 2
    z = views[0].clone().requires_grad_()
    value = loss(z, z, tags=torch.zeros(9, 3))
    value.backward()
    assert value.item() == 0 and bool((z.grad == 0).all())


def test_half_precision_and_bounds():
    tags = torch.tensor([[1, 0], [1, 1], [0, 0]]).bool()
    weights = Overlap().weigh(*(Overlap().key(tags, 3, torch.zeros(1)),) * 2)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]))
    rows = torch.tensor([[1.0, 0], [-1.0, 1e-9]])
    assert Teacher().weigh(*(Teacher().key(rows, 2, rows),) * 2).min() >= 0


@pytest.mark.parametrize(
    ("relation", "denominator"), [("teacher", "all"), ("labels", "all"), ("labels", "negatives"), ("labels", "self")]
)
def test_conforms(relation, denominator):
    """Weights read off the rows carry no gradient, and the objective says so."""
    assert RelationContrast(relation).detached == (relation == "teacher")
    check_objective(lambda: RelationContrast(relation, denominator=denominator, similarity="square_euclidean"))


@pytest.mark.parametrize("denominator", ["all", "self"])
@pytest.mark.parametrize("positives", ["mean", "average"])
def test_what_is_not_a_number_is_not_hidden(views, denominator, positives):
    loss = RelationContrast("teacher", denominator=denominator, positives=positives)
    bad = MODEL[:9].index_fill(0, torch.tensor([3]), math.nan)
    assert loss(*views[:2], teacher=bad).isnan() and not loss(*views[:2], teacher=MODEL[:9]).isnan()
    tags = TAGS[:9]
    torch.testing.assert_close(loss(*views[:2], teacher=tags), loss(*views[:2], teacher=tags.double()))


@pytest.mark.parametrize("kind", [torch.int64, torch.float64])
def test_seconds_of_an_epoch_keep_their_differences(views, kind):
    seconds, z = torch.arange(9).to(kind) * 30, views[0].float()
    near = RelationContrast({"name": "nearness", "sigma": 30.0}, own=True)
    expected = near(z, z, positions=seconds)
    torch.testing.assert_close(near(z, z, positions=seconds + 1_700_000_000), expected)
    coarse = RelationContrast({"name": "nearness", "sigma": 30.0}, own=True)(z, z, positions=seconds.float())
    torch.testing.assert_close(coarse, expected)
    dated = WSP(sigma=30.0)
    torch.testing.assert_close(dated(z, LABELS[:9], seconds + 1_700_000_000), dated(z, LABELS[:9], seconds))


def test_errors(views):
    a, b = views[:2]
    with pytest.raises(InputError, match=r"relation must be a name.*Did you mean 'labels'"):
        RelationContrast("label")
    with pytest.raises(ValueError, match="one or several that read different things, got labels, labels"):
        RelationContrast(["labels", "labels"])
    with pytest.raises(ValueError, match="one or several that read different things, got none"):
        RelationContrast([])
    with pytest.raises(ValueError, match="positions must be given, for Nearness reads it, got nothing"):
        RelationContrast("nearness")(a, b)
    for wrong in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=r"positions must be finite, where or when a row is, got"):
            RelationContrast("nearness")(a, b, positions=torch.tensor([wrong, *range(8)]))
    with pytest.raises(InputError, match=r"RelationContrast has no argument 'label'. Did you mean 'labels'"):
        RelationContrast()(a, b, label=LABELS)
    with pytest.raises(ValueError, match=r"labels must be \[9\], one label a candidate, got \[12\]"):
        RelationContrast()(a, b, labels=LABELS)
    with pytest.raises(ValueError, match=r"tags must be in 0 .. 1, which of T tags a row has, got 0 to 2"):
        RelationContrast("overlap")(a, b, tags=2 * torch.eye(9))
    with pytest.raises(ValueError, match="z1 and z2 must be the same rows with own=True, got 4 and 9 rows"):
        RelationContrast(own=True)(a[:4], b)
    with pytest.raises(ValueError, match="denominator must be all, negatives or self, got 'none'"):
        RelationContrast(denominator="none")
    with pytest.raises(ValueError, match="positives must be mean or average, got 'sum'"):
        RelationContrast(positives="sum")
    with pytest.raises(ValueError, match="temperature must not depend on the similarity of positives"):
        RelationContrast(temperature="alignment")
    with pytest.raises(ValueError, match="kernel must be gaussian or laplacian, got 'box'"):
        RelationContrast({"name": "nearness", "kernel": "box"})
